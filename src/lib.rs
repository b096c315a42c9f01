//! actord
pub mod actors;
pub mod archive;
pub mod config;
pub mod endpoints;
pub mod function;
pub mod host;
pub mod store;
