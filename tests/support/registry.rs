//! A real registry on loopback (Debian's docker-registry), and small images to push to it.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A name and a password that [`Registry::with_password`] lets in.
pub const USER: &str = "me";
pub const PASSWORD: &str = "secret";
const HTPASSWD: &str = "me:$2b$04$ImkJWMt8AO9L9BdLS4VQ.Omna4bJInvCXS.i0BIxkNy05WR.Z8Ih2\n";

/// A registry process; it ends when it is dropped.
pub struct Registry {
    process: Child,
    /// `127.0.0.1:port`.
    pub address: String,
    credentials: Option<(&'static str, &'static str)>,
    tls: bool,
}

/// How a registry is to be spoken to.
#[derive(Default)]
struct Door<'a> {
    credentials: Option<(&'static str, &'static str)>,
    /// The certificate and its key, in PEM.
    certificate: Option<(&'a str, &'a str)>,
}

impl Registry {
    /// A registry that lets everybody in. It keeps its things in `directory`.
    pub async fn start(directory: &Path) -> Self {
        Self::run(directory, Door::default()).await
    }

    /// A registry that lets in only who knows the password.
    pub async fn with_password(directory: &Path) -> Self {
        Self::run(directory, Door { credentials: Some((USER, PASSWORD)), ..Door::default() }).await
    }

    /// A registry that speaks TLS with this certificate.
    pub async fn with_certificate(directory: &Path, certificate: &str, key: &str) -> Self {
        Self::run(directory, Door { certificate: Some((certificate, key)), ..Door::default() }).await
    }

    async fn run(directory: &Path, Door { credentials, certificate }: Door<'_>) -> Self {
        let directory = directory.join("registry");
        fs::create_dir_all(&directory).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut config = json!({
            "version": "0.1",
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": directory.join("blobs") }, "delete": { "enabled": true } },
            "http": { "addr": address },
        });
        if credentials.is_some() {
            fs::write(directory.join("htpasswd"), HTPASSWD).unwrap();
            config["auth"] = json!({ "htpasswd": { "realm": "test", "path": directory.join("htpasswd") } });
        }
        if let Some((certificate, key)) = certificate {
            let (certificate_file, key_file) = (directory.join("server.crt"), directory.join("server.key"));
            fs::write(&certificate_file, certificate).unwrap();
            fs::write(&key_file, key).unwrap();
            config["http"]["tls"] = json!({ "certificate": certificate_file, "key": key_file });
        }
        let file = directory.join("config.yml");
        // YAML includes JSON.
        fs::write(&file, config.to_string()).unwrap();
        let process = Command::new(binary())
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
        let registry = Self { process, address, credentials, tls: certificate.is_some() };
        for _ in 0..200 {
            if registry.client().get(registry.url("")).send().await.is_ok() {
                return registry;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the registry does not start");
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}/v2/{path}", if self.tls { "https" } else { "http" }, self.address)
    }

    fn client(&self) -> Client {
        if !self.tls {
            return http_client();
        }
        choose_tls();
        Client::builder().danger_accept_invalid_certs(true).build().unwrap()
    }

    fn request(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        let request = self.client().request(method, url);
        match self.credentials {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    /// Stores a blob and returns its digest.
    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let begun =
            self.request(Method::POST, &self.url(&format!("{repository}/blobs/uploads/"))).send().await.unwrap();
        assert_eq!(begun.status(), StatusCode::ACCEPTED);
        let location = begun.headers()["location"].to_str().unwrap().to_owned();
        let put = self.request(Method::PUT, &format!("{location}&digest={digest}")).body(bytes.to_vec());
        assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
        digest
    }

    /// Stores a manifest under a tag or digest.
    pub async fn push_manifest(&self, repository: &str, name: &str, media_type: &str, bytes: &[u8]) {
        let url = self.url(&format!("{repository}/manifests/{name}"));
        let put = self.request(Method::PUT, &url).header("content-type", media_type).body(bytes.to_vec());
        let answer = put.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text().await.unwrap());
    }

    /// Stores an image under a tag and returns its reference.
    pub async fn push(&self, repository: &str, tag: &str, image: &BuiltImage) -> String {
        self.push_blob(repository, &image.config).await;
        for layer in &image.layers {
            self.push_blob(repository, &layer.bytes).await;
        }
        self.push_manifest(repository, tag, MANIFEST, &image.manifest).await;
        format!("{}/{repository}:{tag}", self.address)
    }

    /// Stores the image of an OCI archive under a tag and returns its reference.
    pub async fn push_archive(&self, repository: &str, tag: &str, archive: &[u8]) -> String {
        let mut files = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, mut bytes) = (entry.path().unwrap().display().to_string(), Vec::new());
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            files.insert(path, bytes);
        }
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let manifest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        let manifest = files.remove(&format!("blobs/{manifest}")).unwrap();
        for (_, blob) in files.iter().filter(|(path, _)| path.starts_with("blobs/sha256/")) {
            self.push_blob(repository, blob).await;
        }
        self.push_manifest(repository, tag, MANIFEST, &manifest).await;
        format!("{}/{repository}:{tag}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An HTTP client; the process's TLS has to be chosen first, even for plain http.
pub fn http_client() -> Client {
    choose_tls();
    Client::new()
}

fn choose_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn binary() -> PathBuf {
    std::env::var_os("ACTORD_TEST_REGISTRY").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/usr/bin/docker-registry"),
        PathBuf::from,
    )
}

/// The digest of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

/// Bytes that don't compress, the same for the same seed.
pub fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// One layer, as it is stored.
#[derive(Debug, Clone)]
pub struct Layer {
    pub media_type: String,
    pub bytes: Vec<u8>,
    pub diff_id: String,
}

impl Layer {
    /// A layer with one file in it.
    pub fn new(path: &str, content: &[u8], compression: Compression) -> Self {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content).unwrap();
        let tar = builder.into_inner().unwrap();
        let diff_id = digest(&tar);
        let (suffix, bytes) = match compression {
            Compression::None => ("", tar),
            Compression::Gzip => ("+gzip", gzip(&tar)),
            Compression::Zstd => ("+zstd", zstd(&tar)),
        };
        Self { media_type: format!("application/vnd.oci.image.layer.v1.tar{suffix}"), bytes, diff_id }
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": digest(&self.bytes), "size": self.bytes.len() })
    }
}

/// Some bytes as a gzip stream.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Some bytes as a zstd frame of raw blocks (RFC 8878).
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    let mut blocks = bytes.chunks(128 << 10).peekable();
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        let header = last | u32::try_from(block.len()).unwrap() << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// An image for a platform.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    pub config: Vec<u8>,
    pub layers: Vec<Layer>,
    pub manifest: Vec<u8>,
}

impl BuiltImage {
    /// An image of these layers for this machine.
    pub fn new(layers: Vec<Layer>) -> Self {
        Self::for_architecture(architecture(), layers)
    }

    /// An image of these layers for another architecture.
    pub fn for_architecture(architecture: &str, layers: Vec<Layer>) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
        Self::with_diff_ids(architecture, layers, &diff_ids)
    }

    /// An image whose config says what its layers don't hold, if need be.
    pub fn with_diff_ids(architecture: &str, layers: Vec<Layer>, diff_ids: &[String]) -> Self {
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": { "Cmd": ["/hello"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        })
        .to_string()
        .into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "digest": digest(&config), "size": config.len() },
            "layers": layers.iter().map(Layer::descriptor).collect::<Vec<_>>(),
        })
        .to_string()
        .into_bytes();
        Self { config, layers, manifest }
    }

    /// The manifest's digest.
    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// The manifest's entry in an index.
    pub fn entry(&self, architecture: &str) -> Value {
        json!({
            "mediaType": MANIFEST,
            "digest": self.digest(),
            "size": self.manifest.len(),
            "platform": { "os": "linux", "architecture": architecture },
        })
    }
}

/// This machine's architecture, and one that it isn't.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub const OTHER_ARCHITECTURE: &str = "s390x";
