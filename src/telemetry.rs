//! The log: what the program says about itself, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::LogFormat;

/// Starts the log. `filter` is a level, or levels by module: `info,actord::host=debug`.
///
/// # Errors
/// When a log was started already.
pub fn init(filter: &str, format: LogFormat) -> Result<(), TryInitError> {
    // The servers' own words about their workers tell an operator nothing, unless asked for.
    let quiet = if filter.contains("actix") { String::new() } else { ",actix_server=warn".to_owned() };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{filter}{quiet}")))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    }
}
