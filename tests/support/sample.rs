//! The sample function for tests: built once, packed into image archives as each test wants them.
//!
//! ```no_run
//! let archive = Sample::new("docker.io/actord/hello:2").version("2").env("NO_HEALTH", "1").write(dir);
//! ```
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

use actord::archive::{Package, PackedFile, pack};
use sha2::{Digest, Sha256};

/// Where the binary is in the image.
const PATH: &str = "/hello";

/// The sample's static binary, built when there is none of the present source yet.
///
/// Safe when many test processes run at once: its name says what it was built from, and it appears by a rename.
pub fn binary() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sample");
    let script = source.join("build");
    let mut hash = Sha256::new();
    for file in [&script, &source.join("hello.rs")] {
        hash.update(std::fs::read(file).unwrap());
    }
    let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hello-{hash}"));
    if !binary.exists() {
        let status = Command::new(&script).arg(&binary).status().unwrap();
        assert!(status.success(), "{} failed: {status}", script.display());
    }
    binary
}

/// An image of the sample function.
#[derive(Debug, Clone)]
pub struct Sample(Package);

impl Sample {
    /// Version 1 of the sample under this image reference.
    pub fn new(reference: &str) -> Self {
        let binary =
            PackedFile { path: PATH.to_owned(), mode: 0o755, uid: 0, gid: 0, bytes: std::fs::read(binary()).unwrap() };
        let passwd = PackedFile {
            path: "/etc/passwd".to_owned(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            bytes: b"root:x:0:0:root:/:/hello\napp:x:1000:1000:app:/:/hello\n".to_vec(),
        };
        let group =
            PackedFile { path: "/etc/group".to_owned(), bytes: b"root:x:0:\napp:x:1000:\n".to_vec(), ..passwd.clone() };
        Self(Package {
            reference: reference.to_owned(),
            files: vec![binary, passwd, group],
            entrypoint: vec![PATH.to_owned()],
            exposed_ports: vec!["8080/tcp".to_owned()],
            ..Package::default()
        })
    }

    /// Sets the version that it reports.
    pub fn version(self, version: &str) -> Self {
        self.env("VERSION", version)
    }

    /// Adds a variable to the image's environment; config/sample/hello.rs lists those that it knows.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env.push(format!("{name}={value}"));
        self
    }

    /// Sets the image's USER.
    pub fn user(mut self, user: &str) -> Self {
        self.0.user = user.to_owned();
        self
    }

    /// Adds a label to the image.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.0.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds a file to the image.
    pub fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.0.files.push(PackedFile { path: path.to_owned(), mode, uid: 0, gid: 0, bytes: bytes.to_vec() });
        self
    }

    /// The package, for whoever wants to change more of it.
    pub fn package(&self) -> Package {
        self.0.clone()
    }

    /// The image as the bytes of an OCI archive.
    pub fn archive(&self) -> Vec<u8> {
        pack(&self.0).unwrap()
    }

    /// Writes the archive into a directory, under a name made from the reference.
    pub fn write(&self, directory: &Path) -> PathBuf {
        let name: String = self.0.reference.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = directory.join(format!("{name}.tar"));
        std::fs::write(&path, self.archive()).unwrap();
        path
    }
}
