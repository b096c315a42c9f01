//! What the proxy costs: the same requests sent to a backend directly, through nginx, and through `/function/{name}`, in
//! turns, in one run. Ratios of one run say something; absolute figures depend on the machine.
//!
//! ```text
//! load (this process) -> backend (bare)
//!                     -> nginx, 2 workers  -> backend
//!                     -> actord, 2 workers -> backend
//! ```
//! All share the machine's processors. The processor time of a request is what the kernel counts for the proxy's process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a bench that fails says why")]
#![allow(clippy::disallowed_methods, reason = "time is measured here")]

#[path = "../table/frame/asking.rs"]
mod asking;
mod backend;
mod figures;
#[path = "../../tests/support/memory_engine/mod.rs"]
mod memory_engine;
#[path = "../table/frame/nginx.rs"]
mod nginx;
mod processes;

use figures::{Comparison, Shape};

fn main() {
    processes::play();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let comparison = Comparison::new();
    for shape in Shape::ALL.iter().filter(|shape| words.is_empty() || words.iter().any(|word| shape.is(word))) {
        for (name, value) in comparison.measure(shape) {
            println!("{name:<50} {value:>12.2}");
        }
    }
}
