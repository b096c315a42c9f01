//! actord: OpenFaaS functions on one machine, each supervised by an actor of its own, on containerd and CNI.
//!
//! ```text
//! http -> actors -> { function, host (traits), routes, store } <- host::{ containerd, cni, fake }
//! ```
//! [`function`] is the heart: it decides, purely. [`actors`] perform what it decides on a [`host`], and publish what is
//! ready in [`routes`], the only thing that a request reads. [`config`] is every setting, [`cli`] the command line, [`wire`]
//! the types of the REST API. [`archive`] packs images, [`stack`] reads and writes a whole desired state as stack files,
//! `durable` replaces files so that a power cut leaves them whole, [`doctor`] looks at the machine. The program's `main`
//! introduces the rooms to each other; `tests/architecture.rs` keeps everybody else from it.

pub mod actors;
pub mod archive;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod data_dir;
pub mod doctor;
mod durable;
pub mod function;
pub mod host;
pub mod http;
pub mod routes;
pub mod stack;
pub mod store;
pub mod telemetry;
pub mod wire;
