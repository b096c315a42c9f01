//! actord: OpenFaaS functions on one machine, each supervised by an actor of its own, on containerd and CNI.
//!
//! ```text
//!   http ----> engine (upper seam: traits) ----> function (the heart: pure)
//!     |          ^ implemented by                   ^
//!     +------> routes <--- publish --- actors ------+---> store
//!                                        |
//!                                      host (lower seam: traits) <--- host::{containerd, cni}, host::fake in tests
//!   daemon introduces them to each other; main parses the command line and calls it
//! ```
//! [`function`] decides, purely. [`actors`] perform what it decides on a [`host`], publish what is ready in [`routes`] and
//! are the [`engine`] of this machine. [`http`] asks the engine, speaks the types of [`wire`], and forwards requests by
//! routes alone. [`queue`] keeps calls that outlive their callers, by [`store::calls`], and sends them; [`cron`] makes such calls when they are
//! due. [`history`] keeps how much was called, and [`events`] tells what becomes of everything. [`scaler`] lets functions rest that nothing calls. [`store`] keeps what is desired. [`config`] is every setting, [`cli`] the command line, [`stack`] a whole
//! desired state as stack files, [`archive`] packs images, [`bundle`] has all for a machine without a network in one file, [`audit`] keeps who changed what, [`doctor`] looks at the machine, [`upgrade`] puts another program in the place of this one and back, `durable` replaces files so
//! that a power cut leaves them whole, `cgroups` and `process` read what the kernel shows of those. [`daemon`] puts them together. `tests/architecture/main.rs` holds the arrows,
//! `docs/architecture.md` walks through them.

pub mod actors;
pub mod archive;
pub mod audit;
pub mod bundle;
mod cgroups;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod cron;
pub mod daemon;
pub mod data_dir;
pub mod doctor;
mod durable;
pub mod engine;
pub mod events;
pub mod function;
#[cfg(feature = "testing")]
pub mod fuzz_targets;
pub mod history;
pub mod host;
pub mod http;
mod process;
pub mod queue;
pub mod routes;
pub mod scaler;
pub mod shim;
pub mod stack;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod upgrade;
pub mod wire;
