//! The log: what the program says about itself, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::LogFormat;

/// What the servers' own words add to a filter that does not name them. About their workers they tell an operator nothing;
/// of a connection that ends in the midst of things they say a line each at level ERROR, whatever is sent to the ports. Room
/// `http` tells the same with a bound.
fn quiet(filter: &str) -> &'static str {
    if filter.contains("actix") { "" } else { ",actix_server=warn,actix_http::h1::dispatcher=off" }
}

/// Starts the log. `filter` is a level, or levels by module: `info,actord::host=debug`.
///
/// # Errors
/// When a log was started already.
pub fn init(filter: &str, format: LogFormat) -> Result<(), TryInitError> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{filter}{}", quiet(filter))))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    }
}
