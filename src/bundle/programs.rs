//! Programs of the system: run to their end, with what they said where they failed.

use std::io;
use std::process::{Command, Stdio};

use super::BundleError;

/// The last lines of what a program said are those that say why.
const TOLD: usize = 5;

/// A command whose words are English and that asks nobody.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

/// Runs a command and returns what it wrote. `what` names what it is to do, `next` what to do where it fails.
pub(super) fn run(command: &mut Command, what: &str, next: &str) -> Result<String, BundleError> {
    let failed = |why: String| BundleError::Program { what: what.to_owned(), why: format!("{why}; {next}") };
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            failed(format!("this machine has no {program}: packages are for Debian, --functions-only leaves them out"))
        }
        _ => failed(format!("can't run {program}: {error}")),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(TOLD)..].join(", ");
    Err(failed(if last.is_empty() { format!("{program} ended with {}", output.status) } else { last }))
}
