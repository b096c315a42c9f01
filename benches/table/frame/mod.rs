//! What every part of the table stands on: rows with their goals, series of figures, accounts of processor and memory, the
//! machine, the report.
//!
//! # How a row is given
//!
//! A **part** is a file in `benches/table/parts/`. It says which rows it has, then measures them:
//!
//! ```ignore
//! pub(crate) const ROWS: &[Row] = &[
//!     Row { id: "deploy.first", issue: 10, what: "deploy: POST to the first 200", unit: Unit::Ms,
//!           floor: "a bare container", goal: Goal::AtMostTimes(1.0) },
//! ];
//!
//! pub(crate) async fn run(bench: &mut Bench) {
//!     // One actord for each contender: ours, and beside it the one of BEFORE=, if that is given.
//!     let field = bench.field(&["--log-level", "info"]).await;
//!     let (mut deploys, mut bare) = (bench.lanes(), Series::default());
//!     // Turns: in each round everybody has one; the first round warms up.
//!     for round in 0..=bench.sized(1, 15) {
//!         for (lane, actord) in deploys.iter_mut().zip(&field) {
//!             lane.time(async { ... }).await;
//!         }
//!         bare.time(async { ... }).await;
//!         if round == 0 { forget(&mut deploys); bare.clear(); }
//!     }
//!     bench.tell("deploy.first", Measured::of(deploys).floor(bare));
//!     finish(field).await;
//! }
//! ```
//!
//! and is named in one line of `parts/mod.rs` (`ALL`) and one of `tests/bench_table/main.rs`. Then `make bench` prints it and
//! `make test` runs its short form.
//!
//! - **Values are in seconds, bytes or plain numbers**; the row's [`Unit`] says how they are shown, and goals are in that unit.
//! - **Floor**: what the figure is measured against in the same run, in turns with it: the machine's own price, or a rival.
//! - A row that was promised and not told is a failure to measure, and so is a panic: both are told, the other parts go on,
//!   the program ends with 1. A goal that is missed is a result.
//! - `bench.sized(short, whole)` chooses counts: short ones prove that it runs, in some seconds, in a debug build.
//! - A row that can't be measured on this machine (a kernel without it, say) is told by `bench.cannot(id, reason)`.

pub(crate) mod asking;
pub(crate) mod batches;
pub(crate) mod bench;
pub(crate) mod cpu;
pub(crate) mod limit;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod nginx;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod results;
pub(crate) mod row;
pub(crate) mod series;

pub(crate) use bench::{Bench, Measured, Part, finish};
pub(crate) use row::{Goal, Row, Unit};
pub(crate) use series::{Series, forget};
