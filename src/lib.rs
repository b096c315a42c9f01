//! actord
pub mod actors;
pub mod endpoints;
pub mod function;
pub mod host;
