//! Registry credentials as `docker login` keeps them: config.json -> a helper program or the file itself.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::host::HostError;

/// The longest that a credential helper may take; it is killed then.
const HELPER_DEADLINE: Duration = Duration::from_secs(15);

/// The name under which docker keeps the credentials of Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What a helper prints when it has nothing for a registry.
const NOTHING_STORED: &str = "credentials not found";

/// How to log in. Has no Debug: it must not get into a log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing is known for this registry.
    Anonymous,
    /// A name and a password.
    Basic(String, String),
    /// A refresh token, to be exchanged for an access token.
    Identity(String),
    /// An access token.
    Bearer(String),
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: HashMap<String, Entry>,
    cred_helpers: HashMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "lowercase")]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// What is known for `registry` (`docker.io`, `ghcr.io`, `localhost:5000`). A file that isn't there knows nothing.
///
/// # Errors
/// [`HostError::Image`] names the file or helper that can't be used. Never contains a secret.
pub(crate) async fn look_up(config: &Path, registry: &str) -> Result<Credentials, HostError> {
    let text = match tokio::fs::read(config).await {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Credentials::Anonymous),
        Err(error) => return Err(unusable(config, registry, &error.to_string())),
    };
    // Only the place of the fault: serde's own words may quote the file.
    let config_of = |text: &[u8]| {
        serde_json::from_slice::<Config>(text).map_err(|error| {
            unusable(config, registry, &format!("it is not valid at line {} column {}", error.line(), error.column()))
        })
    };
    let parsed = config_of(&text)?;
    let server = server_name(registry);
    let helper = parsed
        .cred_helpers
        .get(registry)
        .or_else(|| parsed.cred_helpers.get(server))
        .or_else(|| (!parsed.creds_store.is_empty()).then_some(&parsed.creds_store));
    if let Some(helper) = helper {
        let credentials = ask_helper(helper, server, HELPER_DEADLINE)
            .await
            .map_err(|why| unusable(config, registry, &format!("the helper docker-credential-{helper} {why}")))?;
        if credentials != Credentials::Anonymous {
            return Ok(credentials);
        }
    }
    let entry = parsed
        .auths
        .get(server)
        .or_else(|| parsed.auths.iter().find(|(name, _)| server_name(host_of(name)) == server).map(|(_, entry)| entry));
    entry.map_or(Ok(Credentials::Anonymous), |entry| entry.credentials().map_err(|why| unusable(config, registry, why)))
}

fn unusable(config: &Path, registry: &str, why: &str) -> HostError {
    HostError::Image(format!(
        "credentials for registry {registry} in {}: {why}: mend it, or log in again: {}",
        config.display(),
        login_command(config, registry)
    ))
}

/// The command that writes a registry's credentials into this file.
pub(crate) fn login_command(config: &Path, registry: &str) -> String {
    let directory = config.parent().unwrap_or(Path::new("."));
    format!("docker --config {} login {registry}", directory.display())
}

/// The name that docker files a registry's credentials under.
fn server_name(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        other => other,
    }
}

/// Old files name registries by address: `https://ghcr.io/v1/`.
fn host_of(name: &str) -> &str {
    let rest = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    rest.split('/').next().unwrap_or(rest)
}

impl Entry {
    fn credentials(&self) -> Result<Credentials, &'static str> {
        if !self.registrytoken.is_empty() {
            return Ok(Credentials::Bearer(self.registrytoken.clone()));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Credentials::Identity(self.identitytoken.clone()));
        }
        if !self.username.is_empty() {
            return Ok(Credentials::Basic(self.username.clone(), self.password.clone()));
        }
        if self.auth.is_empty() {
            return Ok(Credentials::Anonymous);
        }
        let decoded = STANDARD.decode(&self.auth).or_else(|_| STANDARD_NO_PAD.decode(&self.auth));
        let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        // docker itself pads passwords with NUL.
        match text.as_deref().map(|text| text.trim_end_matches('\0')).and_then(|text| text.split_once(':')) {
            Some((user, password)) => Ok(Credentials::Basic(user.to_owned(), password.to_owned())),
            None => Err("its auth is not base64 of name:password"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Variables of the service manager's that are meant for this process alone.
const OURS_ALONE: [&str; 6] =
    ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// Runs `docker-credential-<helper> get` with the server's name on its input.
async fn ask_helper(helper: &str, server: &str, deadline: Duration) -> Result<Credentials, String> {
    if helper.is_empty() || helper.contains('/') {
        return Err("has a name that can't be run".to_owned());
    }
    let mut command = Command::new(format!("docker-credential-{helper}"));
    // A helper may need HOME and the like; what the service manager says to us is not for it.
    for name in OURS_ALONE {
        command.env_remove(name);
    }
    let mut child = command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that what it started ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("can't be run: {error}"))?;
    let group = child.id();
    let mut input = child.stdin.take();
    let answered = tokio::time::timeout(deadline, async {
        if let Some(mut input) = input.take() {
            // A helper that doesn't read its input is told by its exit code.
            let _ = input.write_all(format!("{server}\n").as_bytes()).await;
        }
        child.wait_with_output().await
    });
    let output = match answered.await {
        Ok(output) => output.map_err(|error| format!("failed: {error}"))?,
        Err(_) => {
            kill_group(group);
            return Err(format!("gave no answer within {} s and was killed", deadline.as_secs()));
        }
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        if said.to_lowercase().contains(NOTHING_STORED) {
            return Ok(Credentials::Anonymous);
        }
        let said: String = said.trim().chars().take(200).collect();
        return Err(format!("failed with {}: {said}", output.status));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| "printed no credentials".to_owned())?;
    Ok(match answer.username.as_str() {
        "<token>" => Credentials::Identity(answer.secret),
        _ => Credentials::Basic(answer.username, answer.secret),
    })
}

fn kill_group(group: Option<u32>) {
    let pid = group.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn look_up_in(json: &str, registry: &str) -> Result<Credentials, HostError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, json).unwrap();
        look_up(&path, registry).await
    }

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic(user.to_owned(), password.to_owned())
    }

    #[tokio::test]
    async fn the_file_answers_for_hosts_addresses_and_docker_hub() {
        let auth = STANDARD.encode("me:pass:word");
        let json = format!(
            r#"{{"auths":{{"ghcr.io":{{"auth":"{auth}"}},"https://old.example.com/v1/":{{"auth":"{auth}"}},
                "https://index.docker.io/v1/":{{"username":"hub","password":"p"}},
                "token.example.com":{{"auth":"{auth}","identitytoken":"refresh"}}}}}}"#
        );
        assert!(look_up_in(&json, "ghcr.io").await.unwrap() == basic("me", "pass:word"));
        assert!(look_up_in(&json, "old.example.com").await.unwrap() == basic("me", "pass:word"));
        assert!(look_up_in(&json, "docker.io").await.unwrap() == basic("hub", "p"));
        assert!(look_up_in(&json, "token.example.com").await.unwrap() == Credentials::Identity("refresh".to_owned()));
        assert!(look_up_in(&json, "else.example.com").await.unwrap() == Credentials::Anonymous);
    }

    #[tokio::test]
    async fn no_file_means_no_credentials() {
        let none = look_up(Path::new("/nonexistent/config.json"), "ghcr.io").await;
        assert!(none.unwrap() == Credentials::Anonymous);
    }

    #[tokio::test]
    async fn a_broken_file_is_named_without_its_secrets() {
        for json in [r#"{"auths":{"ghcr.io":{"auth":["hunter2"]}}}"#, r#"{"auths":{"ghcr.io":{"auth":"hunter2!"}}}"#] {
            let error = look_up_in(json, "ghcr.io").await.err().unwrap().to_string();
            assert!(error.contains("config.json") && error.contains("ghcr.io"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_helper_that_is_not_installed_is_named() {
        let json = r#"{"credHelpers":{"ghcr.io":"no-such-helper"}}"#;
        let error = look_up_in(json, "ghcr.io").await.err().unwrap().to_string();
        assert!(error.contains("docker-credential-no-such-helper"), "{error}");
        assert!(look_up_in(json, "quay.io").await.unwrap() == Credentials::Anonymous);
    }
}
