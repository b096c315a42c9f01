//! Test images: one static program, with configs and a few files that differ, in an OCI archive.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use actord::host::Image;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"))
}

/// The program, compiled once for all tests of this process.
pub(crate) static PROGRAM: LazyLock<PathBuf> = LazyLock::new(program);

/// Compiles the program, if no test did yet, and returns its path.
fn program() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runtime_real");
    let source = directory.join("program.rs");
    let text = [&source, &directory.join("acts.rs")].map(|path| fs::read(path).unwrap()).concat();
    // Tests run in processes of their own, side by side: the name says what is in it, and it appears whole.
    let name = format!("runtime-real-stripped-{}", &sha256(&text)[7..23]);
    let binary = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !binary.exists() {
        // A directory of its own: the compiler's other files are named after the program, whoever compiles it.
        let directory = binary.with_extension(std::process::id().to_string());
        fs::create_dir_all(&directory).unwrap();
        let fresh = directory.join("program");
        let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args([
                "--edition=2024",
                "-C",
                "target-feature=+crt-static",
                "-C",
                "panic=abort",
                "-C",
                "strip=symbols",
                "-O",
                "-o",
            ])
            .args([&fresh, &source])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        fs::rename(&fresh, &binary).unwrap();
        fs::remove_dir_all(&directory).unwrap();
    }
    binary
}

/// What a path of an image is.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// A file with this content and mode, of root's.
    File(&'static [u8], u32),
    /// A directory with this mode, user and group.
    Directory(u32, u64, u64),
    /// A symbolic link.
    Link(&'static str),
}

/// An image to make: its config, and files on top of what all images have.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) config: Value,
    pub(crate) files: Vec<(&'static str, Node)>,
}

impl Recipe {
    pub(crate) fn new(name: &str, config: Value) -> Self {
        Self { name: name.to_owned(), config, files: Vec::new() }
    }

    /// Runs the program, and has these files.
    pub(crate) fn with(mut self, files: &[(&'static str, Node)]) -> Self {
        self.files = files.to_vec();
        self
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8], mode: u32) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, path, bytes).unwrap();
}

fn append_node(archive: &mut tar::Builder<Vec<u8>>, path: &str, node: &Node) {
    let (kind, mode, uid, gid) = match *node {
        Node::File(bytes, mode) => return append(archive, path, bytes, mode),
        Node::Directory(mode, uid, gid) => (tar::EntryType::Directory, mode, uid, gid),
        Node::Link(_) => (tar::EntryType::Symlink, 0o777, 0, 0),
    };
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_mtime(0);
    match node {
        Node::Link(target) => archive.append_link(&mut header, path, target).unwrap(),
        _ => archive.append_data(&mut header, path, &[][..]).unwrap(),
    }
}

fn layer() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "program", &fs::read(&*PROGRAM).unwrap(), 0o755);
    append(&mut archive, "not-executable", b"x", 0o644);
    append(&mut archive, "not-a-program", b"\x7fnot an ELF", 0o755);
    append(&mut archive, "etc/passwd", b"root:x:0:0::/root:/\napp:x:1000:1001::/:/\n", 0o644);
    append(&mut archive, "etc/group", b"root:x:0:\napp:x:1001:\nextra:x:44:app\n", 0o644);
    archive.into_inner().unwrap()
}

/// What runs the program.
pub(crate) fn program_with(config: &Value) -> Value {
    let mut all = json!({ "Entrypoint": ["/program"] });
    let fields = config.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(fields);
    all
}

/// The images that most tests need.
pub(crate) fn usual() -> Vec<Recipe> {
    let run = |name: &str, config: Value| Recipe::new(name, program_with(&config));
    vec![
        run("root", json!({ "Env": ["fprocess=of-the-image"] })),
        run("named", json!({ "User": "app", "WorkingDir": "/work" })),
        run("numbered", json!({ "User": "4242:4343" })),
        run("stranger", json!({ "User": "nobody-knows" })),
        run("missing", json!({ "Entrypoint": ["/nope"] })),
        run("not-in-path", json!({ "Entrypoint": ["nope"] })),
        run("denied", json!({ "Entrypoint": ["/not-executable"] })),
        run("garbage", json!({ "Entrypoint": ["/not-a-program"] })),
        Recipe::new("empty", json!({})),
        run("odd-env", json!({ "Env": ["NOEQ", "=x", "", "=", "A\0B=x", "C=x\0y", "fprocess=1", "fprocess=2"] })),
        run("empty-entrypoint", json!({ "Entrypoint": [""], "Cmd": ["/program"] })),
        run("stops-by-quit", json!({ "StopSignal": "SIGQUIT" })),
        run("stops-by-short-name", json!({ "StopSignal": "usr2" })),
        run("stops-by-number", json!({ "StopSignal": "10" })),
        run("stops-by-real-time", json!({ "StopSignal": "SIGRTMIN+3" })),
        run("stops-by-nonsense", json!({ "StopSignal": "SIGNONSENSE" })),
    ]
}

/// Writes an archive of these images to `path`; returns them by name.
pub(crate) fn write(path: &Path, recipes: &[Recipe]) -> BTreeMap<String, Image> {
    let layer = layer();
    // Once: an unoptimised build hashes slowly.
    let layer_digest = sha256(&layer);
    let mut blobs = BTreeMap::from([(layer_digest.clone(), layer)]);
    let mut manifests = Vec::new();
    let mut images = BTreeMap::new();
    for Recipe { name, config, files } in recipes {
        let mut store = |bytes: Vec<u8>| {
            let (digest, size) = (sha256(&bytes), bytes.len());
            blobs.insert(digest.clone(), bytes);
            (digest, size)
        };
        let mut layers = vec![layer_digest.clone()];
        // The chain id of one layer is its diff id.
        let mut chain_id = layer_digest.clone();
        if !files.is_empty() {
            let mut archive = tar::Builder::new(Vec::new());
            files.iter().for_each(|(path, node)| append_node(&mut archive, path, node));
            layers.push(store(archive.into_inner().unwrap()).0);
            chain_id = sha256(format!("{chain_id} {}", layers[1]).as_bytes());
        }
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let document = json!({
            "architecture": architecture, "os": "linux", "config": config, "history": [],
            "rootfs": { "type": "layers", "diff_ids": layers },
        });
        let (config, config_size) = store(document.to_string().into_bytes());
        let kind = "application/vnd.oci.image.layer.v1.tar";
        let layers: Vec<_> = layers
            .iter()
            .map(|digest| json!({ "mediaType": kind, "digest": digest, "size": blobs[digest].len() }))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size },
            "layers": layers,
        });
        let manifest = manifest.to_string().into_bytes();
        let (digest, size) = (sha256(&manifest), manifest.len());
        blobs.insert(digest.clone(), manifest);
        let reference = format!("test.local/{name}:1");
        manifests.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
            "annotations": { "io.containerd.image.name": reference },
        }));
        let config = serde_json::from_value(document).unwrap();
        images.insert(name.clone(), Image { reference, digest, chain_id, mapped: None, config: Arc::new(config) });
    }
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644);
    let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
    append(&mut archive, "index.json", index.as_bytes(), 0o644);
    for (digest, bytes) in &blobs {
        append(&mut archive, &digest.replace("sha256:", "blobs/sha256/"), bytes, 0o644);
    }
    fs::write(path, archive.into_inner().unwrap()).unwrap();
    images
}
