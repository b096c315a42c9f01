//! actord
pub mod actors;
pub mod archive;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod data_dir;
pub mod endpoints;
pub mod function;
pub mod host;
pub mod store;
pub mod telemetry;
