//! An actord and functions with everything switched on that hardens and is not on by itself: user namespaces, no way out of the
//! machine, a root that can't be written to, calls by token alone, bounds of memory and disk.

use serde_json::{Value, json};

use crate::actord::Actord;

/// Of actord. The numbers are those that nobody on the machine has.
pub(crate) const SETTINGS: [&str; 10] = [
    "--user-namespaces",
    "true",
    "--user-namespace-ids",
    "300000:65536",
    "--memory-limit",
    "64Mi",
    "--ephemeral-storage",
    "16Mi",
    "--pids-limit",
    "64",
];

/// Of each function.
pub(crate) fn annotations() -> Value {
    json!({ "actord.outbound": "none", "actord.auth": "token" })
}

/// What a call says to be let in: a token that may call and nothing else.
pub(crate) fn authorization(actord: &Actord) -> String {
    let (gateway, data) = (format!("http://{}", actord.public), actord.data().display().to_string());
    let make = ["token", "create", "-n", "openfaas-fn", "--invoke", "--gateway", &gateway, "--data-dir", &data];
    let output = actord.plain(&make);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    format!("Bearer {}", String::from_utf8(output.stdout).unwrap().trim())
}
