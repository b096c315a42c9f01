//! One CNI plugin executed once: a verb and a config go in, a result or the plugin's own words come out.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rscni_types::types::{CNI_COMMAND, CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS, CNI_PATH, Cmd};
use rscni_types::version::SpecVersion;
use serde::Deserialize;
use serde_json::{Value, json};

use super::exec::{self, ExecError, Output};

/// The name of the interface inside every instance.
pub(super) const IFNAME: &str = "eth0";
/// How much of what a plugin wrote is quoted in an error.
const QUOTED: usize = 512;

/// Why a plugin's call failed.
#[derive(Debug, thiserror::Error)]
#[error("CNI plugin {plugin}: {fault}")]
pub(super) struct PluginError {
    pub(super) plugin: String,
    pub(super) fault: Fault,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(
        "not found in {}: install it (Debian: apt-get install containernetworking-plugins) or set the plugin directories",
        .0.display()
    )]
    Missing(PathList),
    #[error("{verb}: {0}", verb = <&str>::from(*.1))]
    Exec(ExecError, Cmd),
    #[error("{verb}: {words}", verb = <&str>::from(*.verb))]
    Refused { verb: Cmd, words: String },
    #[error("{verb} answered what is no CNI result: {words}", verb = <&str>::from(*.verb))]
    Garbage { verb: Cmd, words: String },
    #[error("{0}")]
    Other(String),
}

impl PluginError {
    pub(super) fn is_deadline(&self) -> bool {
        matches!(self.fault, Fault::Exec(ExecError::Deadline(_), _))
    }
}

/// Directories, written as the search path that they are.
#[derive(Debug, Clone)]
pub(super) struct PathList(pub(super) Vec<PathBuf>);

impl PathList {
    fn display(&self) -> impl fmt::Display {
        self.0.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    fn joined(&self) -> std::ffi::OsString {
        std::env::join_paths(&self.0).unwrap_or_default()
    }
}

/// What one call is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) verb: Cmd,
    pub(super) container: &'a str,
    /// None where the namespace is gone already.
    pub(super) netns: Option<&'a Path>,
}

/// The plugins of this machine.
#[derive(Debug)]
pub(super) struct Plugins {
    dirs: PathList,
    deadline: Duration,
    /// What each binary said to VERSION: it costs an execution and changes only with the binary.
    versions: Mutex<HashMap<PathBuf, Vec<SpecVersion>>>,
}

/// An error as plugins write it. rscni-types has one, too, but gives away `msg` only for codes that it does not know;
/// here the plugin's own words count.
#[derive(Deserialize)]
struct ErrorReply {
    code: u32,
    msg: String,
    #[serde(default)]
    details: String,
}

impl Plugins {
    pub(super) fn new(dirs: Vec<PathBuf>, deadline: Duration) -> Self {
        Self { dirs: PathList(dirs), deadline, versions: Mutex::default() }
    }

    /// The path of a plugin's binary.
    pub(super) fn find(&self, plugin: &str) -> Result<PathBuf, PluginError> {
        let plain = !plugin.is_empty() && !plugin.contains('/') && plugin != "." && plugin != "..";
        let mut candidates = self.dirs.0.iter().map(|dir| dir.join(plugin));
        candidates
            .find(|path| plain && path.is_file())
            .ok_or_else(|| PluginError { plugin: plugin.to_owned(), fault: Fault::Missing(self.dirs.clone()) })
    }

    /// Executes a plugin. `None` where it answered with nothing, as it should to DEL and CHECK.
    pub(super) async fn call(
        &self,
        plugin: &str,
        call: Call<'_>,
        config: &Value,
    ) -> Result<Option<Value>, PluginError> {
        let program = self.find(plugin)?;
        let path = self.dirs.joined();
        let mut env = vec![
            (CNI_COMMAND, OsStr::new(<&str>::from(call.verb))),
            (CNI_CONTAINERID, OsStr::new(call.container)),
            (CNI_IFNAME, OsStr::new(IFNAME)),
            (CNI_PATH, path.as_os_str()),
        ];
        env.extend(call.netns.map(|netns| (CNI_NETNS, netns.as_os_str())));
        self.execute(plugin, &program, call.verb, &env, config).await
    }

    async fn execute(
        &self,
        plugin: &str,
        program: &Path,
        verb: Cmd,
        env: &[(&str, &OsStr)],
        config: &Value,
    ) -> Result<Option<Value>, PluginError> {
        let failed = |fault| PluginError { plugin: plugin.to_owned(), fault };
        let input = config.to_string();
        let output = exec::run(program, &[], env, input.as_bytes(), self.deadline)
            .await
            .map_err(|error| failed(Fault::Exec(error, verb)))?;
        answer(verb, &output).map_err(failed)
    }

    /// Whether this binary knows `verb` at the config's version.
    pub(super) async fn knows(&self, plugin: &str, verb: Cmd, version: SpecVersion) -> Result<bool, PluginError> {
        if version.allows(verb).is_err() {
            return Ok(false);
        }
        let program = self.find(plugin)?;
        if let Some(known) = self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(&program) {
            return Ok(known.contains(&version));
        }
        let env = [(CNI_COMMAND, OsStr::new("VERSION"))];
        let config = json!({ "cniVersion": version.to_string() });
        let answer = self.execute(plugin, &program, Cmd::Version, &env, &config).await?.unwrap_or_default();
        let texts = answer["supportedVersions"].as_array().cloned().unwrap_or_default();
        // A version that rscni-types can't parse is none that we could ask for.
        let known: Vec<SpecVersion> =
            texts.iter().filter_map(Value::as_str).filter_map(|text| text.parse().ok()).collect();
        let knows = known.contains(&version);
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(program, known);
        Ok(knows)
    }
}

/// What a plugin's output means.
pub(super) fn answer(verb: Cmd, output: &Output) -> Result<Option<Value>, Fault> {
    if !output.status.success() {
        let words = match serde_json::from_slice::<ErrorReply>(&output.stdout) {
            Ok(reply) if reply.details.is_empty() => format!("{} (code {})", reply.msg, reply.code),
            Ok(reply) => format!("{}: {} (code {})", reply.msg, reply.details, reply.code),
            // It crashed, or it is no CNI plugin: say how it ended and the last that it wrote.
            Err(_) => format!("ended with {}: {}", output.status, spoken(output)),
        };
        return Err(Fault::Refused { verb, words });
    }
    if output.stdout.trim_ascii().is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(&output.stdout) {
        Ok(value @ Value::Object(_)) if !output.cut => Ok(Some(value)),
        // DEL and CHECK have no result; whatever a plugin prints there does not matter.
        _ if matches!(verb, Cmd::Del | Cmd::Check) => Ok(None),
        _ => Err(Fault::Garbage { verb, words: spoken(output) }),
    }
}

/// The end of what a plugin wrote, on one line.
fn spoken(output: &Output) -> String {
    let stream = if output.stderr.trim_ascii().is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(&stream[stream.len().saturating_sub(QUOTED)..]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "it wrote nothing".to_owned() } else { line }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        Output { status: ExitStatus::from_raw(code << 8), stdout: stdout.into(), stderr: stderr.into(), cut: false }
    }

    #[test]
    fn an_error_without_a_version_keeps_the_plugins_own_words_and_code() {
        let error = answer(Cmd::Add, &output(1, r#"{"code":999,"msg":"no IP addresses available"}"#, "")).unwrap_err();
        assert_eq!(error.to_string(), "ADD: no IP addresses available (code 999)");
        let error =
            answer(Cmd::Add, &output(1, r#"{"code":4,"msg":"bad env","details":"CNI_NETNS"}"#, "")).unwrap_err();
        assert_eq!(error.to_string(), "ADD: bad env: CNI_NETNS (code 4)");
    }

    #[test]
    fn a_crash_is_told_by_its_status_and_the_last_that_was_written() {
        let error = answer(Cmd::Add, &output(101, "", "thread 'main' panicked\nat x")).unwrap_err();
        assert_eq!(error.to_string(), "ADD: ended with exit status: 101: thread 'main' panicked at x");
    }

    #[test]
    fn garbage_is_refused_for_add_and_ignored_for_del() {
        assert!(matches!(answer(Cmd::Add, &output(0, "hello", "")), Err(Fault::Garbage { .. })));
        assert!(matches!(answer(Cmd::Add, &output(0, "[1]", "")), Err(Fault::Garbage { .. })));
        assert!(matches!(answer(Cmd::Del, &output(0, "hello", "")), Ok(None)));
    }

    #[test]
    fn a_plugin_that_is_not_there_is_named_with_the_package_that_has_it() {
        let plugins = Plugins::new(vec!["/nowhere".into()], Duration::from_secs(1));
        let text = plugins.find("bridge").unwrap_err().to_string();
        assert!(text.contains("CNI plugin bridge: not found in /nowhere"), "{text}");
        assert!(text.contains("containernetworking-plugins"), "{text}");
        for bad in ["", ".", "..", "../bin/sh"] {
            assert!(plugins.find(bad).is_err());
        }
    }
}
