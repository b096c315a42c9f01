//! `cni-fault`: a CNI plugin that does nothing, writes down that it was asked to, and fails as it is told.
//!
//! It stands in a chain behind a plugin that does the work. Its config names a directory, `faultDir`. Each call is
//! appended to `calls` there as one line of JSON. A file named like the verb (`ADD`, `DEL`, `CHECK`) says what goes
//! wrong from then on:
//!
//! | content | what happens |
//! | --- | --- |
//! | none, or `pass` | the previous result is passed on |
//! | `error WORDS` | a CNI error with those words |
//! | `crash` | a panic, no JSON |
//! | `garbage` | success with an answer that is no JSON |
//! | `silent` | success without an answer |
//! | `hang` | no answer for ever, with a child process that holds the output open |
//! | `slow MILLISECONDS` | the previous result is passed on, later |

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, exit};
use std::thread::sleep;
use std::time::Duration;

use cni_plugin::config::NetworkConfig;
use cni_plugin::error::CniError;
use cni_plugin::reply::reply;
use cni_plugin::{Cni, Command};
use serde_json::{Value, json};

/// One call, whichever verb it has.
struct Call {
    verb: Command,
    container: String,
    netns: Option<PathBuf>,
    config: NetworkConfig,
}

fn main() {
    let call = match Cni::load() {
        Cni::Add { container_id, netns, config, .. } => {
            Call { verb: Command::Add, container: container_id, netns: Some(netns), config }
        }
        Cni::Check { container_id, netns, config, .. } => {
            Call { verb: Command::Check, container: container_id, netns: Some(netns), config }
        }
        Cni::Del { container_id, netns, config, .. } => {
            Call { verb: Command::Del, container: container_id, netns, config }
        }
        Cni::Version(_) => unreachable!("answered by load"),
    };
    if let Err(error) = answer(&call) {
        reply(error.into_reply(call.config.cni_version));
    }
}

fn answer(call: &Call) -> Result<(), CniError> {
    let dir = call.config.specific.get("faultDir").and_then(Value::as_str);
    let dir = Path::new(dir.ok_or(CniError::MissingField("faultDir"))?);
    // In this order: whoever sees that it was asked may take the fault away.
    let fault = fs::read_to_string(dir.join(call.verb.as_ref())).unwrap_or_default();
    write_down(dir, call)?;
    let (what, how) = fault.trim().split_once(' ').unwrap_or((fault.trim(), ""));
    match what {
        "" | "pass" => pass(call),
        "error" => Err(CniError::Generic(how.to_owned())),
        #[allow(clippy::panic, reason = "it was told to")]
        "crash" => panic!("told to crash"),
        "garbage" => {
            println!("<html>this is no CNI result</html>");
            Ok(())
        }
        "silent" => Ok(()),
        "hang" => {
            let mut child = Process::new("sleep").arg("3600").spawn()?;
            fs::write(dir.join("hanging"), format!("{} {}", std::process::id(), child.id()))?;
            child.wait()?;
            exit(0);
        }
        "slow" => {
            let wait = how.parse().map_err(|error| CniError::Debug(Box::new(error)))?;
            #[allow(clippy::disallowed_methods, reason = "a process of its own, without tokio")]
            sleep(Duration::from_millis(wait));
            pass(call)
        }
        other => Err(CniError::Generic(format!("unknown fault {other:?}"))),
    }
}

/// ADD answers with what it was given; DEL and CHECK have no answer.
fn pass(call: &Call) -> Result<(), CniError> {
    if matches!(call.verb, Command::Add) {
        let previous = call.config.prev_result.as_ref().ok_or(CniError::MissingField("prevResult"))?;
        println!("{previous}");
    }
    Ok(())
}

fn write_down(dir: &Path, call: &Call) -> Result<(), CniError> {
    let mut environment: Vec<String> = std::env::vars_os().map(|(key, _)| key.to_string_lossy().into_owned()).collect();
    environment.sort();
    let line = json!({
        "verb": call.verb.as_ref(),
        "container": call.container,
        "netns": call.netns,
        "name": call.config.name,
        "label": call.config.specific.get("label"),
        "prevResult": call.config.prev_result,
        "environment": environment,
    });
    let mut calls = OpenOptions::new().create(true).append(true).open(dir.join("calls"))?;
    // One write, so that lines of plugins that run at once don't mix.
    calls.write_all(format!("{line}\n").as_bytes())?;
    Ok(())
}
