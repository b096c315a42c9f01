//! The images of the examples, made of what is at hand: their own files, the watchdog's stand-in, and interpreters and
//! programs of this machine with the libraries that they are linked against. No registry and no docker is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use actord::archive::{CONTAINERD_IMAGE_NAME, PackedFile};
use serde_json::{Value, json};

use crate::registry::{CONFIG, INDEX, MANIFEST, architecture, digest};

/// Where examples have their own file in an image.
const HOME: &str = "/home/app";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples")
}

/// What has to be in an image beside the example's own file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Base {
    Shell,
    Python,
    Node,
}

impl Base {
    /// Its files, or what this machine lacks of them.
    pub(super) fn files(self) -> Result<Vec<PackedFile>, &'static str> {
        match self {
            Self::Shell => {
                let tools =
                    ["/bin/sh", "/usr/bin/tr", "/usr/bin/sed", "/usr/bin/sort", "/usr/bin/uniq", "/usr/bin/head"];
                Ok(with_libraries(&tools.map(PathBuf::from)))
            }
            Self::Python => python(),
            Self::Node => {
                let node = PathBuf::from("/usr/bin/node");
                if node.exists() { Ok(with_libraries(&[node])) } else { Err("/usr/bin/node") }
            }
        }
    }
}

/// An image's layer, as it is named in a manifest.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    digest: String,
    size: usize,
}

/// An archive of several images. What they share is in it once, and not compressed: it is read once.
#[derive(Default)]
pub(super) struct Images {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: Vec<Value>,
}

impl Images {
    fn keep(&mut self, bytes: Vec<u8>) -> Layer {
        let layer = Layer { digest: digest(&bytes), size: bytes.len() };
        self.blobs.insert(layer.digest.replace(':', "/"), bytes);
        layer
    }

    pub(super) fn layer(&mut self, files: &[PackedFile]) -> Layer {
        let mut tar = tar::Builder::new(Vec::new());
        for file in files {
            add(&mut tar, file.path.trim_start_matches('/'), file.mode, &file.bytes);
        }
        self.keep(tar.into_inner().unwrap())
    }

    /// An image of these layers and the example's own file.
    pub(super) fn image(&mut self, reference: &str, mut layers: Vec<Layer>, script: &str, entrypoint: &[&str]) {
        let name = Path::new(script).file_name().unwrap().to_str().unwrap();
        layers.push(self.layer(&[file(&folder().join(script), &format!("{HOME}/{name}"), 0o644)]));
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": { "Entrypoint": entrypoint, "User": "1000:1000" },
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| &layer.digest).collect::<Vec<_>>() },
        });
        let descriptor =
            |kind: &str, Layer { digest, size }: &Layer| json!({ "mediaType": kind, "digest": digest, "size": size });
        let config = self.keep(config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": layers.iter().map(|layer| descriptor(LAYER, layer)).collect::<Vec<_>>(),
        });
        let mut listed = descriptor(MANIFEST, &self.keep(manifest.to_string().into_bytes()));
        listed["annotations"] = json!({ CONTAINERD_IMAGE_NAME: reference });
        self.manifests.push(listed);
    }

    pub(super) fn write(self, path: &Path) {
        let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
        add(&mut tar, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests });
        add(&mut tar, "index.json", 0o644, index.to_string().as_bytes());
        for (digest, bytes) in &self.blobs {
            add(&mut tar, &format!("blobs/{digest}"), 0o644, bytes);
        }
        tar.finish().unwrap();
    }
}

fn add(tar: &mut tar::Builder<impl Write>, path: &str, mode: u32, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    tar.append_data(&mut header, path, bytes).unwrap();
}

/// What stands for of-watchdog, as `/usr/bin/fwatchdog`.
pub(super) fn watchdog() -> PackedFile {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/examples/watchdog.rs");
    let home = tempfile::tempdir().unwrap();
    let binary = home.path().join("watchdog");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut build = Command::new(rustc);
    build.args(["--edition", "2024", "-O", "-C", "panic=abort", "-C", "target-feature=+crt-static", "-o"]);
    assert!(build.arg(&binary).arg(source).status().unwrap().success());
    file(&binary, "/usr/bin/fwatchdog", 0o755)
}

/// Python with the modules that the examples come to, and no others.
fn python() -> Result<Vec<PackedFile>, &'static str> {
    let program = fs::canonicalize("/usr/bin/python3").map_err(|_| "/usr/bin/python3")?;
    let imports = "import sys, json, http.server, urllib.request, hmac, hashlib, encodings.idna";
    let list =
        "print(*{module.__file__ for module in sys.modules.values() if getattr(module, '__file__', None)}, sep='\\n')";
    let listed = answer(&program, &["-I", "-c", &format!("{imports}; {list}")]);
    let (linked, plain): (Vec<_>, Vec<_>) = listed.lines().map(PathBuf::from).partition(|path| is_library(path));
    let linked: Vec<_> = std::iter::once(program.clone()).chain(linked).collect();
    let mut files = with_libraries(&linked);
    files.extend(plain.iter().map(|path| file(path, path.to_str().unwrap(), 0o644)));
    files.push(file(&program, "/usr/bin/python3", 0o755));
    Ok(files)
}

fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "so")
}

/// Programs, or libraries, with the shared libraries that the loader finds for them.
fn with_libraries(programs: &[PathBuf]) -> Vec<PackedFile> {
    let mut paths: BTreeSet<PathBuf> = programs.iter().cloned().collect();
    for program in programs {
        let listed = answer(Path::new("ldd"), &[program.to_str().unwrap()]);
        paths.extend(listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    paths.iter().map(|path| file(path, path.to_str().unwrap(), mode(path))).collect()
}

fn file(from: &Path, to: &str, mode: u32) -> PackedFile {
    let bytes = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    PackedFile { path: to.to_owned(), mode, uid: 0, gid: 0, bytes }
}

fn answer(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
