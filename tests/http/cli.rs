//! The client verbs of the built program against the real handlers: what they print, and their exit codes.

mod apply;
mod ask;
mod events;
mod keep;
mod queue;
mod rollback;
mod tls;
mod verbs;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// How long a verb may take before its test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A person at a shell, with a home of their own.
pub(crate) struct Person {
    home: tempfile::TempDir,
    gateway: String,
}

/// What a verb left.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Told {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Person {
    /// Root on the gateway's machine.
    pub(crate) fn root(gateway: SocketAddr) -> Self {
        let person = Self::stranger(gateway);
        let auth = person.home.path().join("data/auth");
        std::fs::create_dir_all(&auth).unwrap();
        std::fs::write(auth.join("basic-auth-user"), "admin\n").unwrap();
        std::fs::write(auth.join("basic-auth-password"), "secret-pw\n").unwrap();
        person
    }

    /// Somebody without credentials.
    pub(crate) fn stranger(gateway: SocketAddr) -> Self {
        Self { home: tempfile::tempdir().unwrap(), gateway: format!("http://{gateway}") }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn gateway(&self) -> &str {
        &self.gateway
    }

    /// The program with these arguments, in the person's home.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_actord"));
        command.args(arguments).current_dir(self.home()).env_clear();
        command.env("HOME", self.home()).env("OPENFAAS_URL", &self.gateway).env("ACTORD_CONFIG", "/dev/null");
        command.env("ACTORD_DATA_DIR", self.home().join("data"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub(crate) async fn actord(&self, arguments: &[&str]) -> Told {
        self.types(arguments, b"").await
    }

    /// Runs the program with this on its standard input.
    pub(crate) async fn types(&self, arguments: &[&str], input: &[u8]) -> Told {
        let mut child = self.start(arguments);
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A verb that does not read leaves it.
        actix_web::rt::spawn(async move { stdin.write_all(&input).await });
        told(child).await
    }
}

/// Waits until a verb has ended.
pub(crate) async fn told(child: Child) -> Told {
    let output =
        tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("the verb does not end").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Told { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}
