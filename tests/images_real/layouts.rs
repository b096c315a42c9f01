//! Every layout of an image archive that programs write, each built here as they build it.

use std::path::Path;

use actord::host::{Images as _, PullPolicy};
use serde_json::{Value, json};

use crate::Machine;
use crate::registry::{
    BuiltImage, Compression, INDEX, Layer, MANIFEST, OTHER_ARCHITECTURE, architecture, digest, gzip,
};

/// An archive in the making.
struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: tar::EntryType, path: &str, content: &[u8], link: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        match kind {
            tar::EntryType::Symlink | tar::EntryType::Link => self.0.append_link(&mut header, path, link).unwrap(),
            _ => {
                // By hand where it fits: the library would take a leading `./` away.
                if path.len() < 100 {
                    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
                    header.set_cksum();
                    self.0.append(&header, content).unwrap();
                } else {
                    self.0.append_data(&mut header, path, content).unwrap();
                }
            }
        }
        self
    }

    fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(tar::EntryType::Regular, path, content.as_ref(), "")
    }

    fn json(self, path: &str, document: &Value) -> Self {
        self.file(path, document.to_string())
    }

    fn directory(self, path: &str) -> Self {
        self.entry(tar::EntryType::Directory, path, &[], "")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, path, &[], target)
    }

    fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, path, &[], target)
    }

    /// A file whose path stands in an extended header, as tar of POSIX writes long ones.
    fn pax(mut self, path: &str, content: &[u8]) -> Self {
        self.0.append_pax_extensions([("path", path.as_bytes())]).unwrap();
        self.file("a-short-name", content)
    }

    fn blob(self, content: &[u8]) -> Self {
        self.file(&format!("blobs/{}", digest(content).replace(':', "/")), content)
    }

    fn blobs(self, image: &BuiltImage) -> Self {
        let tar = self.blob(&image.manifest).blob(&image.config);
        image.layers.iter().fold(tar, |tar, layer| tar.blob(&layer.bytes))
    }

    fn layout(self) -> Self {
        self.json("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))
    }

    fn index(self, entries: &[Value]) -> Self {
        self.json("index.json", &index(entries))
    }

    fn done(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn index(entries: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

fn hex(bytes: &[u8]) -> String {
    digest(bytes).trim_start_matches("sha256:").to_owned()
}

/// An entry without a platform, with these annotations.
fn plain(image: &BuiltImage, annotations: &Value) -> Value {
    json!({ "mediaType": MANIFEST, "digest": image.digest(), "size": image.manifest.len(), "annotations": annotations })
}

fn built(content: &str, compression: Compression) -> BuiltImage {
    let base = Layer::new("base", b"the same in all", Compression::None);
    BuiltImage::new(vec![base, Layer::new("hello", content.as_bytes(), compression)])
}

/// An image's config and layers as manifest.json names them, with the names.
fn saved(config: &str, layers: &[&str], names: &Value) -> Value {
    json!([{ "Config": config, "RepoTags": names, "Layers": layers }])
}

/// An archive as docker wrote it before 1.10.
fn version_1(tar: Tar, image: &BuiltImage) -> Tar {
    let ids = ["1".repeat(64), "2".repeat(64)];
    let config = json!({ "Cmd": ["/hello"], "Env": ["A=1"] });
    let lower = json!({ "id": ids[0], "created": "2015-01-01T00:00:00Z", "container_config": { "Cmd": null } });
    let upper = json!({
        "id": ids[1], "parent": ids[0], "created": "2015-01-01T00:00:00Z", "config": config,
        "architecture": architecture(), "os": "linux", "docker_version": "1.8.3", "Size": 5,
    });
    let mut tar = tar;
    for (id, json, layer) in [(&ids[1], &upper, &image.layers[1]), (&ids[0], &lower, &image.layers[0])] {
        tar = tar.directory(&format!("{id}/")).file(&format!("{id}/VERSION"), "1.0").json(&format!("{id}/json"), json);
        tar = tar.file(&format!("{id}/layer.tar"), &layer.bytes);
    }
    tar.json("repositories", &json!({ "old/fn": { "1.0": ids[1], "latest": ids[1] } }))
}

/// The archives: who writes them, their bytes, the file's name, what the images are called then.
fn table() -> Vec<(&'static str, Vec<u8>, &'static str, Vec<String>)> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let name = "docker.io/me/fn:1";
    let annotated = json!({ "io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1" });
    let (one, zipped, zstd) =
        (built("one", Compression::None), built("zipped", Compression::Gzip), built("zstd", Compression::Zstd));
    let long = "d".repeat(120);
    let (config, lower, upper) = (hex(&one.config), hex(&one.layers[0].bytes), hex(&one.layers[1].bytes));
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", hex(bytes));
    let with_docker = |tags: &Value| {
        let layers = [blob(&one.layers[0].bytes), blob(&one.layers[1].bytes)];
        saved(&blob(&one.config), &[&layers[0], &layers[1]], tags)
    };
    let mut table = vec![
        (
            "docker before 1.10",
            version_1(Tar::new(), &one).done(),
            "old.tar",
            names(&["docker.io/old/fn:1.0", "docker.io/old/fn:latest"]),
        ),
        (
            "docker from 1.10 to 24, with what older ones read",
            version_1(Tar::new(), &one)
                .file(&format!("{config}.json"), &one.config)
                .json(
                    "manifest.json",
                    &saved(
                        &format!("{config}.json"),
                        &[&format!("{}/layer.tar", "1".repeat(64)), &format!("{}/layer.tar", "2".repeat(64))],
                        &json!(["me/fn:1"]),
                    ),
                )
                .done(),
            "x.tar",
            names(&[name]),
        ),
        (
            "docker since 25",
            Tar::new()
                .directory("blobs/")
                .directory("blobs/sha256/")
                .blobs(&one)
                .index(&[plain(&one, &annotated)])
                .json("manifest.json", &with_docker(&json!(["me/fn:1"])))
                .layout()
                .json("repositories", &json!({ "me/fn": { "1": "x" } }))
                .done(),
            "x.tar",
            names(&[name]),
        ),
        (
            "docker since 25, by id",
            Tar::new()
                .blobs(&one)
                .index(&[plain(&one, &json!({}))])
                .json("manifest.json", &with_docker(&Value::Null))
                .layout()
                .done(),
            "my-fn.tar",
            names(&["localhost/my-fn:latest"]),
        ),
        (
            "an index that has only tags, beside a manifest.json with names",
            Tar::new()
                .layout()
                .index(&[plain(&one, &json!({ "org.opencontainers.image.ref.name": "1" }))])
                .json("manifest.json", &with_docker(&json!(["me/fn:1"])))
                .blobs(&one)
                .done(),
            "x.tar",
            names(&[name]),
        ),
        (
            "podman save, and skopeo docker-archive",
            Tar::new()
                .file(&format!("{lower}.tar"), &one.layers[0].bytes)
                .file(&format!("{upper}.tar"), &one.layers[1].bytes)
                .directory(&upper)
                .symlink(&format!("{upper}/layer.tar"), &format!("../{upper}.tar"))
                .file(&format!("{upper}/VERSION"), "1.0")
                .json(&format!("{upper}/json"), &json!({ "id": upper }))
                .file(&format!("{config}.json"), &one.config)
                .json("repositories", &json!({ "localhost/fn": { "1": upper } }))
                .json(
                    "manifest.json",
                    &saved(
                        &format!("{config}.json"),
                        &[&format!("{lower}.tar"), &format!("{upper}.tar")],
                        &json!(["localhost/fn:1"]),
                    ),
                )
                .done(),
            "x.tar",
            names(&["localhost/fn:1"]),
        ),
        (
            "skopeo docker-archive without a name",
            Tar::new()
                .file(&format!("{lower}.tar"), &one.layers[0].bytes)
                .file(&format!("{upper}.tar"), &one.layers[1].bytes)
                .file(&format!("{config}.json"), &one.config)
                .json(
                    "manifest.json",
                    &saved(&format!("{config}.json"), &[&format!("{lower}.tar"), &format!("{upper}.tar")], &json!([])),
                )
                .done(),
            "Some Function_v2.tar",
            names(&["localhost/some-function-v2:latest"]),
        ),
        (
            "crane pull, kaniko and ko",
            Tar::new()
                .file(&digest(&zipped.config), &zipped.config)
                .file(&format!("{}.tar.gz", hex(&zipped.layers[0].bytes)), &zipped.layers[0].bytes)
                .file(&format!("{}.tar.gz", hex(&zipped.layers[1].bytes)), &zipped.layers[1].bytes)
                .json(
                    "manifest.json",
                    &saved(
                        &digest(&zipped.config),
                        &[
                            &format!("{}.tar.gz", hex(&zipped.layers[0].bytes)),
                            &format!("{}.tar.gz", hex(&zipped.layers[1].bytes)),
                        ],
                        &json!(["me/fn:1"]),
                    ),
                )
                .done(),
            "x.tar",
            names(&[name]),
        ),
        (
            "jib, with layers of names that say nothing",
            Tar::new()
                .file("config.json", &one.config)
                .file("layers/first", &one.layers[0].bytes)
                .file("layers/second", &one.layers[1].bytes)
                .json("manifest.json", &saved("config.json", &["layers/first", "layers/second"], &json!(["me/fn:1"])))
                .done(),
            "x.tar",
            names(&[name]),
        ),
        (
            "a layer that is a hard link to another, and names with ./ before them",
            {
                let layer = Layer::new("twice", b"twice", Compression::None);
                let twice = BuiltImage::new(vec![layer.clone(), layer.clone()]);
                Tar::new()
                    .directory("./")
                    .json(
                        "./manifest.json",
                        &saved("./config.json", &["./a/layer.tar", "./b/layer.tar"], &json!(["me/fn:1"])),
                    )
                    .file("./config.json", &twice.config)
                    .file("./a/layer.tar", &layer.bytes)
                    .hard_link("b/layer.tar", "a/layer.tar")
                    .done()
            },
            "x.tar",
            names(&[name]),
        ),
        (
            "long names of GNU and of POSIX",
            Tar::new()
                .file(&format!("{long}/layer.tar"), &one.layers[0].bytes)
                .pax(&format!("{long}/of-posix/layer.tar"), &one.layers[1].bytes)
                .file("config.json", &one.config)
                .json(
                    "manifest.json",
                    &saved(
                        "config.json",
                        &[&format!("{long}/layer.tar"), &format!("{long}/of-posix/layer.tar")],
                        &json!(["me/fn:1"]),
                    ),
                )
                .done(),
            "x.tar",
            names(&[name]),
        ),
        (
            "buildkit, with an attestation",
            {
                let attestation =
                    BuiltImage::for_architecture("unknown", vec![Layer::new("x", b"x", Compression::None)]);
                let mut provenance = attestation.entry("unknown");
                provenance["platform"]["os"] = json!("unknown");
                provenance["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
                let inner = index(&[zipped.entry(architecture()), provenance]).to_string();
                let mut entry = json!({ "mediaType": INDEX, "digest": digest(inner.as_bytes()), "size": inner.len() });
                entry["annotations"] = annotated.clone();
                Tar::new().blob(inner.as_bytes()).blobs(&zipped).blobs(&attestation).index(&[entry]).layout().done()
            },
            "x.tar",
            names(&[name]),
        ),
        (
            "buildkit without a name",
            Tar::new().blobs(&zstd).index(&[zstd.entry(architecture())]).layout().done(),
            "built.oci.tar",
            names(&["localhost/built:latest"]),
        ),
        (
            "an index of two platforms without a name",
            {
                let other =
                    BuiltImage::for_architecture(OTHER_ARCHITECTURE, vec![Layer::new("x", b"x", Compression::Gzip)]);
                let entries = [other.entry(OTHER_ARCHITECTURE), one.entry(architecture())];
                Tar::new().layout().index(&entries).blobs(&other).blobs(&one).done()
            },
            "two.tar",
            names(&["localhost/two:latest"]),
        ),
        (
            "two images without a name",
            Tar::new()
                .layout()
                .index(&[plain(&one, &json!({})), plain(&zipped, &json!({}))])
                .blobs(&one)
                .blobs(&zipped)
                .done(),
            "two.tar",
            vec![format!("localhost/two@{}", one.digest()), format!("localhost/two@{}", zipped.digest())],
        ),
        (
            "skopeo oci-archive with a name",
            Tar::new()
                .blobs(&zipped)
                .index(&[plain(&zipped, &json!({ "org.opencontainers.image.ref.name": "me/fn:1" }))])
                .layout()
                .done(),
            "x.tar",
            names(&[name]),
        ),
        (
            "skopeo oci-archive with a tag",
            Tar::new()
                .blobs(&zipped)
                .index(&[plain(&zipped, &json!({ "org.opencontainers.image.ref.name": "v1" }))])
                .layout()
                .done(),
            "fn.tar",
            names(&["localhost/fn:v1"]),
        ),
        (
            "skopeo oci-archive without a name",
            Tar::new().layout().index(&[plain(&zipped, &json!(null))]).blobs(&zipped).done(),
            "fn.tar",
            names(&["localhost/fn:latest"]),
        ),
        (
            "an index without its mark",
            Tar::new().index(&[plain(&one, &annotated)]).blobs(&one).done(),
            "x.tar",
            names(&[name]),
        ),
        (
            "indices in an index",
            {
                let inner = index(&[one.entry(architecture())]).to_string();
                let entry = json!({ "mediaType": INDEX, "digest": digest(inner.as_bytes()), "size": inner.len() });
                let middle = index(&[entry]).to_string();
                let mut entry =
                    json!({ "mediaType": INDEX, "digest": digest(middle.as_bytes()), "size": middle.len() });
                entry["annotations"] = annotated.clone();
                Tar::new().index(&[entry]).blob(middle.as_bytes()).blob(inner.as_bytes()).blobs(&one).layout().done()
            },
            "x.tar",
            names(&[name]),
        ),
    ];
    let archive = || Tar::new().layout().index(&[plain(&zstd, &annotated)]).blobs(&zstd).done();
    let frame = |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let half = archive().len() / 2;
    table.push(("all of it gzipped", gzip(&archive()), "x.tar.gz", names(&[name])));
    table.push(("all of it by zstd", frame(&archive()), "x.tar.zst", names(&[name])));
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4].to_vec();
    let frames = [skipped, frame(&archive()[..half]), frame(&archive()[half..])].concat();
    table.push(("by zstd in parts, as pzstd does", frames, "x.tar.zst", names(&[name])));
    table.push((
        "old docker's by zstd",
        frame(&version_1(Tar::new(), &one).done()),
        "x",
        names(&["docker.io/old/fn:1.0", "docker.io/old/fn:latest"]),
    ));
    table
}

#[tokio::test]
async fn every_layout_that_programs_write_is_imported_and_can_be_run() {
    let machine = Machine::start();
    for (writer, bytes, file, names) in table() {
        let path = machine.daemon.directory().join(file);
        std::fs::write(&path, bytes).unwrap();
        let mut imported = machine.images.import(&path).await.unwrap_or_else(|error| panic!("{writer}: {error}"));
        imported.sort();
        let mut expected = names.clone();
        expected.sort();
        assert_eq!(imported, expected, "{writer}");
        machine.collect().await;
        for name in names {
            let image =
                machine.ensure(&name, PullPolicy::Never).await.unwrap_or_else(|error| panic!("{writer}: {error}"));
            machine.check_runnable(&image).await;
            machine.ctr(&["images", "remove", "--sync", &image.reference]);
        }
        machine.check_empty();
        std::fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn the_image_of_an_old_archive_is_what_it_was() {
    let machine = Machine::start();
    let path = machine.daemon.directory().join("old.tar");
    std::fs::write(&path, version_1(Tar::new(), &built("old", Compression::None)).done()).unwrap();
    machine.images.import(&path).await.unwrap();
    let image = machine.ensure("old/fn:1.0", PullPolicy::Never).await.unwrap();
    let config = image.config.config().clone().unwrap();
    assert_eq!(
        (config.cmd().clone().unwrap(), config.env().clone().unwrap()),
        (vec!["/hello".into()], vec!["A=1".into()])
    );
    assert_eq!(image.config.rootfs().diff_ids().len(), 2);
    assert_eq!(machine.unpacked("hello"), [b"old"]);
}

#[tokio::test]
async fn what_an_old_archive_lacks_is_told_and_nothing_is_left() {
    let machine = Machine::start();
    let id = "1".repeat(64);
    let layer = Layer::new("x", b"x", Compression::None).bytes;
    let top = |parent: &str| json!({ "id": id, "parent": parent, "architecture": architecture(), "os": "linux" });
    let repositories = json!({ "fn": { "1": id } });
    let start = || Tar::new().json("repositories", &repositories);
    for (archive, words) in [
        (start().done(), "/json is missing"),
        (start().json(&format!("{id}/json"), &top("")).done(), "layer.tar is missing"),
        (start().json(&format!("{id}/json"), &top(&id)).file(&format!("{id}/layer.tar"), &layer).done(), "in a circle"),
        (
            start().json(&format!("{id}/json"), &top("2")).file(&format!("{id}/layer.tar"), &layer).done(),
            "2/json is missing",
        ),
        (
            start().json(&format!("{id}/json"), &top("")).file(&format!("{id}/layer.tar"), gzip(&layer)).done(),
            "is compressed",
        ),
        (Tar::new().json("repositories", &json!({})).done(), "name no image"),
        (Tar::new().file("repositories", "{{").done(), "repositories"),
        (b"\xfd7zXZ\0".repeat(100), "xz"),
        (b"BZh9".repeat(100), "bzip2"),
    ] {
        let path = machine.daemon.directory().join("bad.tar");
        std::fs::write(&path, archive).unwrap();
        machine.import_refused(Path::new(&path), words).await;
    }
}
