//! One line of a function's log.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// One line of what `GET /system/logs` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogMessage<'a> {
    /// The function's name.
    pub name: Cow<'a, str>,
    /// Where it is.
    pub namespace: Cow<'a, str>,
    /// Which of its instances wrote it.
    pub instance: Cow<'a, str>,
    /// When, RFC 3339.
    pub timestamp: Cow<'a, str>,
    /// The line, with its end if it has one.
    pub text: Cow<'a, str>,
}
