//! Test images: one static program, with configs that differ, in an OCI archive.

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
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(program);

/// Compiles the program, if no test did yet, and returns its path.
fn program() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runtime_real/program.rs");
    let text = fs::read(&source).unwrap();
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

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8], mode: u32) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, path, bytes).unwrap();
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

/// The images' names and configs.
fn configs() -> Vec<(&'static str, Value)> {
    let entry = json!(["/program"]);
    vec![
        ("root", json!({ "Entrypoint": entry, "Env": ["fprocess=of-the-image"] })),
        ("named", json!({ "Entrypoint": entry, "User": "app", "WorkingDir": "/work" })),
        ("numbered", json!({ "Entrypoint": entry, "User": "4242:4343" })),
        ("stranger", json!({ "Entrypoint": entry, "User": "nobody-knows" })),
        ("missing", json!({ "Entrypoint": ["/nope"] })),
        ("not-in-path", json!({ "Entrypoint": ["nope"] })),
        ("denied", json!({ "Entrypoint": ["/not-executable"] })),
        ("garbage", json!({ "Entrypoint": ["/not-a-program"] })),
        ("empty", json!({})),
        (
            "odd-env",
            json!({ "Entrypoint": entry, "Env": ["NOEQ", "=x", "", "=", "A\0B=x", "C=x\0y", "fprocess=1", "fprocess=2"] }),
        ),
        ("empty-entrypoint", json!({ "Entrypoint": [""], "Cmd": entry })),
        ("stops-by-quit", json!({ "Entrypoint": entry, "StopSignal": "SIGQUIT" })),
        ("stops-by-short-name", json!({ "Entrypoint": entry, "StopSignal": "usr2" })),
        ("stops-by-number", json!({ "Entrypoint": entry, "StopSignal": "10" })),
        ("stops-by-real-time", json!({ "Entrypoint": entry, "StopSignal": "SIGRTMIN+3" })),
        ("stops-by-nonsense", json!({ "Entrypoint": entry, "StopSignal": "SIGNONSENSE" })),
    ]
}

/// Writes an archive of all images to `path`; returns them by name.
pub(crate) fn write(path: &Path) -> BTreeMap<&'static str, Image> {
    let layer = layer();
    // Once: an unoptimised build hashes slowly.
    let layer_digest = sha256(&layer);
    let mut blobs = BTreeMap::from([(layer_digest.clone(), layer.clone())]);
    let mut manifests = Vec::new();
    let mut images = BTreeMap::new();
    for (name, config) in configs() {
        let mut store = |document: &Value| {
            let bytes = document.to_string().into_bytes();
            let digest = sha256(&bytes);
            let size = bytes.len();
            blobs.insert(digest.clone(), bytes);
            (digest, size)
        };
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let document = json!({
            "architecture": architecture, "os": "linux", "config": config, "history": [],
            "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
        });
        let (config, config_size) = store(&document);
        let (digest, size) = store(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer.len(),
            }],
        }));
        let reference = format!("test.local/{name}:1");
        manifests.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
            "annotations": { "io.containerd.image.name": reference },
        }));
        // The chain id of one layer is its diff id.
        let (chain_id, config) = (layer_digest.clone(), serde_json::from_value(document).unwrap());
        images.insert(name, Image { reference, digest, chain_id, config: Arc::new(config) });
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
