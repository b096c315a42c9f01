//! What a program says of itself, and how it is asked: as it lies in the home, where it will be executed from.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::home::PATH;
use super::marker::Build;

/// A program that says nothing for this long will say nothing.
const SAYS_WITHIN: Duration = Duration::from_secs(5);

/// Asks a program what it is.
pub(super) async fn describe(program: &Path) -> Result<Build, String> {
    let mut command = Command::new(program);
    command
        .arg0("actord")
        .args(["upgrade", "--describe", "--config", "/dev/null"])
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/");
    let answer = output(command, SAYS_WITHIN).await?;
    serde_json::from_slice(&answer).map_err(|error| format!("it does not describe itself: {error}"))
}

/// What a program prints that has to end well and in time.
pub(super) async fn output(mut command: Command, within: Duration) -> Result<Vec<u8>, String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(within, command.output()).await;
    let output = output.map_err(|_| format!("it has not ended within {within:?}"))?;
    let output = output.map_err(|error: io::Error| error.to_string())?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let words = words.trim().lines().next_back().unwrap_or_default();
    Err(format!("{}: {words}", output.status))
}
