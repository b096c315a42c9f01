//! A containerd of a test's own: its root, state and socket lie in a directory that goes with it.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A containerd that ends, with its mounts and directories, when it is dropped.
pub struct PrivateContainerd {
    process: Child,
    directory: tempfile::TempDir,
}

impl PrivateContainerd {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one with more in its configuration.
    pub fn start_with(settings: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("actord-test-").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{}\"\n[ttrpc]\naddress = \"{}\"\n{settings}",
            at("root"),
            at("state"),
            at("containerd.sock"),
            at("containerd.sock.ttrpc"),
        );
        fs::write(at("config.toml"), config).unwrap();
        let containerd = Self { process: run(directory.path()), directory };
        containerd.wait_until_it_answers();
        containerd
    }

    /// Kills it, runs something, and starts it again on what it left.
    pub fn restart(&mut self, meanwhile: impl FnOnce()) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        meanwhile();
        self.process = run(self.directory.path());
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..300 {
            if self.ctr("default", &["version"]).is_ok() {
                return;
            }
            pause(Duration::from_millis(50));
        }
        panic!("containerd does not start: {}", self.log());
    }

    /// What it has written into its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory().join("containerd.log")).unwrap()
    }

    /// Its directory: for whatever else the test makes.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("containerd.sock")
    }

    /// What `ctr` prints, or why it failed.
    pub fn ctr(&self, namespace: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("ctr")
            .args(["--address", self.socket().to_str().unwrap(), "--namespace", namespace])
            .args(arguments)
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

impl Drop for PrivateContainerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for mount in own.filter(|path| Path::new(path).starts_with(self.directory.path())) {
            let _ = Command::new("umount").args(["--lazy", mount]).status();
        }
    }
}

/// Starts the process on the configuration in its directory.
fn run(directory: &Path) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("containerd.log")).unwrap();
    Command::new("containerd")
        .args(["--config", directory.join("config.toml").to_str().unwrap(), "--log-level", "warn"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

#[allow(clippy::disallowed_methods, reason = "no runtime to block here")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
