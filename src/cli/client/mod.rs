//! What every verb that asks a gateway has in common.
//!
//! ```text
//! flags, stack file, OPENFAAS_URL -> url -> login (data directory or ~/.openfaas) -> http -> types of `wire` -> output
//! ```
//! Standard output carries the answer alone, as a table or as JSON; whatever else there is to say goes to standard error.

mod args;
mod environment;
mod error;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod http;
mod login;
mod output;
mod own;
mod shown;
mod sse;
mod url;

pub use args::{GatewayArgs, NamespaceArg};
pub(super) use args::{function_id, gateway_of, parse_pair};
pub(super) use environment::variable;
pub use error::{ClientError, ExitWith};
pub(super) use http::Client;
pub use output::Output;
pub(super) use output::{Table, eprint_line, print, print_json, print_line};
pub(super) use shown::Shown;
pub(super) use sse::{Frame, Frames};
