//! The REST surface and the proxy, over real sockets: an engine in memory stands for the machine, raw listeners
//! stand for functions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

#[path = "../support/memory_engine/mod.rs"]
mod memory_engine;
#[path = "../support/raw_client.rs"]
mod raw_client;
mod support;

mod alert;
mod answers;
mod audit;
mod auth;
mod bodies;
mod by_hand;
mod calls;
mod cli;
mod connections;
mod conversations;
mod dashboard;
mod deploy;
mod events;
mod faults;
mod frozen;
mod function_auth;
mod guesses;
mod headers;
mod history;
mod instances;
mod invoke;
mod kept;
mod logs;
mod malformed;
mod metrics;
mod namespaces;
mod openapi;
mod pipelining;
mod queued;
mod rollback;
mod routes;
mod scale;
mod schedules;
mod secrets;
mod sessions;
mod shapes;
mod slow_readers;
mod status;
mod stop;
mod strangers;
mod streams;
mod system;
mod timeouts;
mod tls;
mod tokens;
mod trial;
mod upgrade;
mod uploads;
mod versions;
