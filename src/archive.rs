//! Packs files into an OCI image archive: the tar that `docker load`, `ctr images import` and `actord image import` read.
//!
//! ```text
//! files -> layer tar -> gzip -> blobs/sha256/…  \
//!                    config -> blobs/sha256/…    > manifest -> index.json (names the reference) -> archive tar
//! ```
//! Pure: bytes in, bytes out. The same package always becomes the same bytes, so an image's digest only moves when its
//! content does: times are zero, entries are sorted, JSON keys are sorted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::str::FromStr;

use flate2::{Compression, write::GzEncoder};
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, Config, ConfigBuilder, Descriptor, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, OciLayoutBuilder, Os, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION,
    Sha256Digest,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The annotation that tells containerd an image's full name.
pub const CONTAINERD_IMAGE_NAME: &str = "io.containerd.image.name";

/// The mode of directories that no file names.
const DIRECTORY_MODE: u32 = 0o755;

/// One regular file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedFile {
    /// Absolute path in the image, or relative to its root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owning user.
    pub uid: u64,
    /// Owning group.
    pub gid: u64,
    /// Content.
    pub bytes: Vec<u8>,
}

/// An image with a single layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// The full image reference: `docker.io/actord/hello:1`.
    pub reference: String,
    /// The content of the layer. Directories that lead to a file come by themselves.
    pub files: Vec<PackedFile>,
    /// The command that always runs.
    pub entrypoint: Vec<String>,
    /// Its default arguments.
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// User (and group) that the process runs as; the image's default when empty.
    pub user: String,
    /// Working directory; the root when empty.
    pub workdir: String,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Ports it listens on: `8080/tcp`.
    pub exposed_ports: Vec<String>,
    /// The architecture it runs on. Default: that of this build.
    pub architecture: Arch,
}

/// Packs an image into the bytes of an OCI image archive.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] names a file path that can't be in an image (empty, `..`, twice, or both file and
/// directory), or an empty reference.
pub fn pack(package: &Package) -> io::Result<Vec<u8>> {
    if package.reference.is_empty() {
        return Err(invalid("no image reference: give one such as docker.io/me/hello:1"));
    }
    let layer = layer(&package.files)?;
    let mut blobs = BTreeMap::new();

    let diff_id = digest(&layer);
    let layer = add_blob(&mut blobs, MediaType::ImageLayerGzip, gzip(&layer)?)?;
    let config = ImageConfigurationBuilder::default()
        .architecture(package.architecture.clone())
        .os(Os::Linux)
        .config(run_config(package)?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(vec![diff_id]).build().map_err(io::Error::other)?)
        .build()
        .map_err(io::Error::other)?;
    let config = add_blob(&mut blobs, MediaType::ImageConfig, json(&config)?)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(vec![layer])
        .build()
        .map_err(io::Error::other)?;
    let mut manifest = add_blob(&mut blobs, MediaType::ImageManifest, json(&manifest)?)?;
    manifest.set_annotations(Some(names(&package.reference).into()));
    manifest.set_platform(Some(
        PlatformBuilder::default()
            .architecture(package.architecture.clone())
            .os(Os::Linux)
            .build()
            .map_err(io::Error::other)?,
    ));
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(vec![manifest])
        .build()
        .map_err(io::Error::other)?;
    let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build().map_err(io::Error::other)?;

    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "oci-layout", 0o644, (0, 0), &json(&layout)?)?;
    append(&mut archive, "index.json", 0o644, (0, 0), &json(&index)?)?;
    append_directory(&mut archive, "blobs/")?;
    append_directory(&mut archive, "blobs/sha256/")?;
    for (hex, bytes) in &blobs {
        append(&mut archive, &format!("blobs/sha256/{hex}"), 0o644, (0, 0), bytes)?;
    }
    archive.into_inner()
}

/// What the image says about its process.
fn run_config(package: &Package) -> io::Result<Config> {
    let given = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let mut config = ConfigBuilder::default().build().map_err(io::Error::other)?;
    config.set_entrypoint(given(&package.entrypoint));
    config.set_cmd(given(&package.cmd));
    config.set_env(given(&package.env));
    config.set_exposed_ports(given(&package.exposed_ports));
    config.set_user((!package.user.is_empty()).then(|| package.user.clone()));
    config.set_working_dir((!package.workdir.is_empty()).then(|| package.workdir.clone()));
    config.set_labels((!package.labels.is_empty()).then(|| package.labels.clone().into_iter().collect()));
    Ok(config)
}

/// containerd reads the first name, everybody else the second one, which holds the tag alone.
fn names(reference: &str) -> [(String, String); 2] {
    let name = reference.split('@').next().unwrap_or(reference);
    let tag = match name.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => "latest",
    };
    [(CONTAINERD_IMAGE_NAME.to_owned(), reference.to_owned()), (ANNOTATION_REF_NAME.to_owned(), tag.to_owned())]
}

/// The layer's tar: every directory before what is in it, all in the order of their paths.
fn layer(files: &[PackedFile]) -> io::Result<Vec<u8>> {
    let mut by_path = BTreeMap::new();
    let mut directories = BTreeSet::new();
    for file in files {
        let path = file.path.trim_start_matches('/');
        if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(invalid(&format!("can't pack {:?}: not a plain path to a file", file.path)));
        }
        directories.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
        if by_path.insert(path.to_owned(), file).is_some() {
            return Err(invalid(&format!("can't pack {:?}: it is there twice", file.path)));
        }
    }
    let mut tar = tar::Builder::new(Vec::new());
    let mut entries: BTreeMap<&str, Option<&PackedFile>> =
        directories.iter().map(|path| (path.as_str(), None)).collect();
    for (path, file) in &by_path {
        if entries.insert(path, Some(file)).is_some() {
            return Err(invalid(&format!("can't pack {:?}: it is a file and a directory", file.path)));
        }
    }
    for (path, file) in entries {
        match file {
            Some(file) => append(&mut tar, path, file.mode, (file.uid, file.gid), &file.bytes)?,
            None => append_directory(&mut tar, &format!("{path}/"))?,
        }
    }
    tar.into_inner()
}

fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    (uid, gid): (u64, u64),
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = header(tar::EntryType::Regular, mode, (uid, gid));
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
}

fn append_directory(tar: &mut tar::Builder<Vec<u8>>, path: &str) -> io::Result<()> {
    let mut header = header(tar::EntryType::Directory, DIRECTORY_MODE, (0, 0));
    tar.append_data(&mut header, path, io::empty())
}

fn header(kind: tar::EntryType, mode: u32, (uid, gid): (u64, u64)) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_mtime(0);
    header.set_size(0);
    header
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// JSON with its keys sorted: the maps of the OCI types have no order of their own.
fn json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&serde_json::to_value(value)?)?)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

fn add_blob(blobs: &mut BTreeMap<String, Vec<u8>>, kind: MediaType, bytes: Vec<u8>) -> io::Result<Descriptor> {
    let hex = hex(&bytes);
    let digest = Sha256Digest::from_str(&hex).map_err(io::Error::other)?;
    let descriptor = Descriptor::new(kind, bytes.len() as u64, digest);
    blobs.insert(hex, bytes);
    Ok(descriptor)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};

    use super::*;

    fn file(path: &str, mode: u32, bytes: &[u8]) -> PackedFile {
        PackedFile { path: path.into(), mode, uid: 0, gid: 0, bytes: bytes.to_vec() }
    }

    fn package() -> Package {
        Package {
            reference: "docker.io/actord/hello:1".into(),
            files: vec![
                PackedFile { uid: 1000, gid: 1001, ..file("/usr/bin/hello", 0o755, b"#!program") },
                file("etc/motd", 0o644, b"hi\n"),
            ],
            entrypoint: vec!["/usr/bin/hello".into()],
            cmd: vec!["--quiet".into()],
            env: vec!["VERSION=1".into()],
            user: "1000:1001".into(),
            workdir: "/usr".into(),
            labels: (0..20).map(|n| (format!("label{n}"), n.to_string())).collect(),
            exposed_ports: vec!["8080/tcp".into()],
            architecture: Arch::ARM64,
        }
    }

    fn entries(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
        });
        entries.collect()
    }

    fn blob<'a>(archive: &'a BTreeMap<String, Vec<u8>>, descriptor: &Descriptor) -> &'a [u8] {
        let bytes = &archive[&format!("blobs/sha256/{}", descriptor.as_digest_sha256().unwrap())];
        assert_eq!(descriptor.size(), bytes.len() as u64);
        assert_eq!(descriptor.digest().as_ref(), digest(bytes));
        bytes
    }

    #[test]
    fn what_was_packed_is_what_unpacks() {
        let archive = entries(&pack(&package()).unwrap());
        assert_eq!(archive["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
        let index: ImageIndex = serde_json::from_slice(&archive["index.json"]).unwrap();
        let [entry] = index.manifests().as_slice() else { panic!("one manifest") };
        assert_eq!(entry.platform().as_ref().unwrap().architecture(), &Arch::ARM64);
        let names = entry.annotations().as_ref().unwrap();
        assert_eq!(names[CONTAINERD_IMAGE_NAME], "docker.io/actord/hello:1");
        assert_eq!(names[ANNOTATION_REF_NAME], "1");

        let manifest: ImageManifest = serde_json::from_slice(blob(&archive, entry)).unwrap();
        let config: ImageConfiguration = serde_json::from_slice(blob(&archive, manifest.config())).unwrap();
        let [layer] = manifest.layers().as_slice() else { panic!("one layer") };
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(blob(&archive, layer)).read_to_end(&mut tar).unwrap();
        assert_eq!(config.rootfs().diff_ids(), &[digest(&tar)]);
        assert_eq!(config.architecture(), &Arch::ARM64);
        let run = config.config().as_ref().unwrap();
        assert_eq!(run.entrypoint().as_ref().unwrap(), &["/usr/bin/hello"]);
        assert_eq!(run.cmd().as_ref().unwrap(), &["--quiet"]);
        assert_eq!(run.env().as_ref().unwrap(), &["VERSION=1"]);
        assert_eq!(run.user().as_ref().unwrap(), "1000:1001");
        assert_eq!(run.working_dir().as_ref().unwrap(), "/usr");
        assert_eq!(run.exposed_ports().as_ref().unwrap(), &["8080/tcp"]);
        assert_eq!(run.labels().as_ref().unwrap()["label7"], "7");

        let mut layer = tar::Archive::new(tar.as_slice());
        let found: Vec<_> = layer
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().to_str().unwrap().to_owned();
                (path, header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap())
            })
            .collect();
        let expected = [
            ("etc/", 0o755, 0, 0, 0),
            ("etc/motd", 0o644, 0, 0, 0),
            ("usr/", 0o755, 0, 0, 0),
            ("usr/bin/", 0o755, 0, 0, 0),
            ("usr/bin/hello", 0o755, 1000, 1001, 0),
        ];
        assert_eq!(found, expected.map(|(path, mode, uid, gid, mtime)| (path.to_owned(), mode, uid, gid, mtime)));
        assert_eq!(entries(&tar)["usr/bin/hello"], b"#!program");
    }

    #[test]
    fn the_same_package_becomes_the_same_bytes_in_whatever_order_its_files_come() {
        let mut turned = package();
        turned.files.reverse();
        let packed = pack(&package()).unwrap();
        for _ in 0..8 {
            assert!(packed == pack(&turned).unwrap(), "every hash map of these types has an order of its own");
        }
        turned.env.push("MORE=1".into());
        assert!(packed != pack(&turned).unwrap());
    }

    #[test]
    fn a_path_that_can_not_be_in_an_image_is_refused_by_name() {
        for paths in [vec![""], vec!["/"], vec!["/a/../b"], vec!["a//b"], vec!["a/"], vec!["/a", "a"], vec!["a", "a/b"]]
        {
            let files = paths.iter().map(|path| file(path, 0o644, b"")).collect();
            let error = pack(&Package { files, ..package() }).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{paths:?}");
            assert!(paths.iter().any(|path| error.to_string().contains(&format!("{path:?}"))), "{error}");
        }
        assert!(pack(&Package { reference: String::new(), ..package() }).is_err());
    }

    #[test]
    fn a_reference_without_a_tag_means_latest() {
        for (reference, tag) in
            [("localhost:5000/hello", "latest"), ("localhost:5000/hello:2", "2"), ("hello@sha256:00", "latest")]
        {
            assert_eq!(names(reference)[1].1, tag, "{reference}");
        }
    }
}
