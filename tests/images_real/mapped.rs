//! Copies of images for user namespaces, made of what containerd unpacked.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actord::host::containerd::images::ContainerdImages;
use actord::host::{HostError, IdMapping, Image, Images as _, PullPolicy};
use serde_json::Value;

use crate::registry::{BuiltImage, Compression, Layer, Registry, digest};
use crate::{Machine, NAMESPACE};

fn ids(text: &str) -> Option<IdMapping> {
    text.parse().ok()
}

/// A layer of these entries.
fn layer(entries: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Layer {
    let mut builder = tar::Builder::new(Vec::new());
    entries(&mut builder);
    let bytes = builder.into_inner().unwrap();
    let media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
    Layer { media_type, diff_id: digest(&bytes), bytes }
}

fn header(kind: tar::EntryType, mode: u32, owner: (u64, u64), size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    header.set_mtime(1_000_000_007);
    header.set_size(size as u64);
    header
}

fn file(builder: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, owner: (u64, u64), bytes: &[u8]) {
    builder.append_data(&mut header(tar::EntryType::Regular, mode, owner, bytes.len()), path, bytes).unwrap();
}

/// As many small files as take a while to copy.
const MANY: usize = 5_000;

fn many() -> Layer {
    layer(|builder| (0..MANY).for_each(|n| file(builder, &format!("many/{n}"), 0o644, (0, 0), b"x")))
}

impl Machine {
    fn copies(&self) -> Vec<String> {
        self.snapshots().into_iter().filter(|name| name.starts_with("sha256:") && name.contains('@')).collect()
    }

    /// The number of the snapshot that is made next, which this one has: no number is given twice.
    fn next_number(&self, name: &str) -> u64 {
        self.ctr(&["snapshots", "prepare", name]);
        let mounts = self.ctr(&["snapshots", "mounts", "/x", name]);
        self.ctr(&["snapshots", "remove", name]);
        let number = mounts.split('/').skip_while(|part| *part != "snapshots").nth(1).unwrap();
        number.parse().unwrap_or_else(|_| panic!("{mounts}"))
    }

    fn info(&self, snapshot: &str) -> Value {
        serde_json::from_str(&self.ctr(&["snapshots", "info", snapshot])).unwrap()
    }

    /// Where the only copy lies on the disk, whose root is this user's.
    fn copy_of(&self, uid: u32) -> PathBuf {
        let snapshots = self.daemon.directory().join("root/io.containerd.snapshotter.v1.overlayfs/snapshots");
        let layers = fs::read_dir(snapshots).unwrap().map(|layer| layer.unwrap().path().join("fs"));
        let found: Vec<_> = layers.filter(|path| fs::metadata(path).is_ok_and(|about| about.uid() == uid)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    /// The same machine, as it is after actord was started with another setting.
    async fn restarted(self, ids: Option<IdMapping>) -> Self {
        let machine = self.with(|options| options.ids = ids);
        machine.images.recover().await.unwrap();
        machine
    }

    async fn remove_all(&self) {
        for known in self.images.pulled(&std::collections::BTreeSet::new()).await.unwrap() {
            assert!(self.images.remove(&known, true).await.unwrap());
        }
        self.collect().await;
    }
}

fn snapshot(image: &Image) -> &str {
    &image.mapped.as_ref().unwrap().snapshot
}

#[tokio::test]
async fn an_image_is_copied_once_for_a_mapping_whoever_asks_and_the_copy_goes_with_it() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let layers =
        || vec![layer(|to| file(to, "a", 0o644, (0, 0), b"a")), layer(|to| file(to, "b", 0o644, (5, 6), b"b"))];
    let one = registry.push("one", "v1", &BuiltImage::new(layers())).await;
    let two = registry.push("two", "v1", &BuiltImage::new(layers())).await;
    // What was pulled before the setting was there is copied when it is needed next.
    assert_eq!(machine.pull(&one).await.mapped, None);
    assert_eq!(machine.copies(), [""; 0]);
    let machine = machine.restarted(ids("300000:65536")).await;
    let image = machine.ensure(&one, PullPolicy::Never).await.unwrap();
    assert_eq!(machine.copies(), [snapshot(&image)]);
    let first = machine.info(snapshot(&image));
    assert!(first["Kind"] == "Committed" && first["Parent"].as_str().is_none_or(str::is_empty), "{first}");
    let before = machine.next_number("before");
    for policy in [PullPolicy::Never, PullPolicy::IfNotPresent, PullPolicy::Always] {
        for reference in [&one, &two] {
            if policy != PullPolicy::Never || reference == &one {
                let again = machine.ensure(reference, policy).await.unwrap();
                assert_eq!(snapshot(&again), snapshot(&image), "{policy:?} {reference}");
            }
        }
    }
    let (fresh, both) = (ContainerdImages::new(machine.containerd.clone(), machine.options.clone()), [&one, &two]);
    let asked = both.map(|reference| fresh.ensure(reference, PullPolicy::Never));
    let [a, b] = asked;
    let (a, b) = tokio::join!(a, b);
    assert_eq!((snapshot(&a.unwrap()), snapshot(&b.unwrap())), (snapshot(&image), snapshot(&image)));
    assert_eq!(machine.next_number("after"), before + 1, "nothing was looked into or copied again");
    machine.collect().await;
    assert_eq!(machine.copies(), [snapshot(&image)]);
    assert_eq!(machine.info(snapshot(&image)), first, "the one that was made first");
    assert_eq!(machine.leftovers(), [""; 0]);

    let known = machine.images.pulled(&[two.clone()].into()).await.unwrap();
    let unneeded = known.iter().find(|image| !image.needed).unwrap();
    assert!(machine.images.remove(unneeded, true).await.unwrap());
    machine.collect().await;
    assert_eq!(machine.copies(), [snapshot(&image)], "the other image needs it");
    machine.remove_all().await;
    machine.check_empty();
}

#[tokio::test]
async fn a_copy_has_the_files_of_all_layers_with_all_that_they_are_but_their_owners() {
    let machine = Machine::start().with(|options| options.ids = ids("300000:65536"));
    let registry = Registry::start(machine.daemon.directory()).await;
    let capability = [0x0200_0001_u32, 0x400, 0, 0, 0].map(u32::to_le_bytes).concat();
    let base = layer(|to| {
        file(to, "gone", 0o644, (0, 0), b"of the layer below");
        file(to, "changed", 0o644, (0, 0), b"old");
        file(to, "hidden/old", 0o644, (0, 0), b"old");
        file(to, "runs-as-owner", 0o4755, (1000, 1001), b"x");
        to.append_pax_extensions([("SCHILY.xattr.security.capability", capability.as_slice())]).unwrap();
        file(to, "may-bind", 0o755, (0, 0), b"x");
        file(to, "one", 0o600, (7, 8), b"two names");
        let mut link = header(tar::EntryType::Link, 0o600, (7, 8), 0);
        to.append_link(&mut link, "other", "one").unwrap();
        let mut link = header(tar::EntryType::Symlink, 0o777, (9, 9), 0);
        to.append_link(&mut link, "link", "/etc/nowhere").unwrap();
        to.append_data(&mut header(tar::EntryType::Fifo, 0o640, (0, 5), 0), "fifo", &[][..]).unwrap();
        to.append_data(&mut header(tar::EntryType::Directory, 0o1777, (65_535, 0), 0), "dir", &[][..]).unwrap();
    });
    let top = layer(|to| {
        file(to, ".wh.gone", 0o644, (0, 0), b"");
        file(to, "hidden/.wh..wh..opq", 0o644, (0, 0), b"");
        file(to, "hidden/new", 0o644, (3, 4), b"new");
        file(to, "changed", 0o640, (1, 2), b"new");
    });
    let reference = registry.push("fn", "v1", &BuiltImage::new(vec![base, top])).await;
    machine.pull(&reference).await;
    let copy = machine.copy_of(300_000);
    let at = |name: &str| copy.join(name);
    for (name, uid, gid, mode) in [
        ("", 0, 0, 0o755),
        ("changed", 1, 2, 0o640),
        ("hidden/new", 3, 4, 0o644),
        ("runs-as-owner", 1000, 1001, 0o4755),
        ("one", 7, 8, 0o600),
        ("other", 7, 8, 0o600),
        ("link", 9, 9, 0o777),
        ("fifo", 0, 5, 0o640),
        ("dir", 65_535, 0, 0o1777),
    ] {
        let about = fs::symlink_metadata(at(name)).unwrap();
        assert_eq!((about.uid(), about.gid(), about.mode() & 0o7777), (300_000 + uid, 300_000 + gid, mode), "{name}");
        assert!(["", "hidden/new"].contains(&name) || about.mtime() == 1_000_000_007, "{name}: {}", about.mtime());
    }
    assert!(!at("gone").exists() && !at("hidden/old").exists(), "what a layer takes away is not there");
    assert!(!at(".wh.gone").exists() && fs::symlink_metadata(at("gone")).is_err());
    assert_eq!(
        (fs::read(at("changed")).unwrap(), fs::read(at("other")).unwrap()),
        (b"new".to_vec(), b"two names".to_vec())
    );
    let [one, other] = ["one", "other"].map(|name| fs::metadata(at(name)).unwrap());
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("/etc/nowhere"));
    assert!(fs::symlink_metadata(at("fifo")).unwrap().file_type().is_fifo());
    let mut value = Vec::with_capacity(64);
    let name = CString::new("security.capability").unwrap();
    rustix::fs::lgetxattr(at("may-bind"), name, rustix::buffer::spare_capacity(&mut value)).unwrap();
    assert_eq!(value, capability);
}

#[tokio::test]
async fn a_file_of_an_owner_that_is_not_mapped_is_the_images_to_mend_and_leaves_nothing() {
    let machine = Machine::start().with(|options| options.ids = ids("300000:1000"));
    let registry = Registry::start(machine.daemon.directory()).await;
    let far = layer(|to| file(to, "opt/far", 0o644, (1000, 0), b"x"));
    let reference = registry.push("fn", "v1", &BuiltImage::new(vec![far])).await;
    let why = machine.refused(&reference).await;
    assert!(why.contains("\"/opt/far\" belongs to user 1000") && why.contains("300000:1000"), "{why}");
    assert_eq!(machine.leftovers(), [""; 0]);
    assert_eq!(machine.copies(), [""; 0]);
    let machine = machine.restarted(ids("300000:1001")).await;
    machine.pull(&reference).await;
}

#[tokio::test]
async fn another_mapping_has_a_copy_of_its_own_and_the_one_before_goes() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let built = BuiltImage::new(vec![Layer::new("file", b"x", Compression::Gzip)]);
    let reference = registry.push("fn", "v1", &built).await;
    machine.pull(&reference).await;
    let mut machine = machine;
    for mapping in ["300000:65536", "400000:65536", "300000:65536"] {
        machine = machine.restarted(ids(mapping)).await;
        let image = machine.ensure(&reference, PullPolicy::Never).await.unwrap();
        machine.collect().await;
        assert_eq!(machine.copies(), [snapshot(&image)], "{mapping}");
        let first = mapping.split(':').next().unwrap().parse().unwrap();
        assert_eq!(fs::metadata(machine.copy_of(first).join("file")).unwrap().uid(), first);
    }
    let machine = machine.restarted(None).await;
    machine.collect().await;
    assert_eq!(machine.copies(), [""; 0]);
    let image = machine.ensure(&reference, PullPolicy::Never).await.unwrap();
    assert_eq!(image.mapped, None);
    machine.check_runnable(&image).await;
}

#[tokio::test]
async fn a_copy_that_no_caller_waits_for_any_more_ends_and_leaves_nothing() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &BuiltImage::new(vec![many()])).await;
    machine.pull(&reference).await;
    let machine = machine.restarted(ids("300000:65536")).await;
    let begun = async {
        while !machine.snapshots().iter().any(|name| name.starts_with("copy-")) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        image = machine.ensure(&reference, PullPolicy::Never) => panic!("it was quicker than it can be: {image:?}"),
        () = begun => {}
    }
    for _ in 0..600 {
        if machine.leftovers().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(machine.leftovers(), [""; 0]);
    assert_eq!(machine.copies(), [""; 0]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(machine.daemon.directory().to_str().unwrap()), "{mounts}");
    machine.ensure(&reference, PullPolicy::Never).await.unwrap();
    assert_eq!(fs::read_dir(machine.copy_of(300_000).join("many")).unwrap().count(), MANY);
    assert!(
        matches!(machine.ensure("test.local/none:1", PullPolicy::Never).await, Err(HostError::Image(_))),
        "{NAMESPACE}"
    );
}

#[tokio::test]
async fn a_collection_of_garbage_takes_nothing_of_a_copy_that_is_under_way() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &BuiltImage::new(vec![many()])).await;
    machine.pull(&reference).await;
    let machine = machine.restarted(ids("300000:65536")).await;
    let collected = async {
        while !machine.snapshots().iter().any(|name| name.starts_with("copy-")) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        machine.collect().await;
        assert!(machine.copies().is_empty(), "it was under way");
    };
    let (image, ()) = tokio::join!(machine.ensure(&reference, PullPolicy::Never), collected);
    assert_eq!(machine.copies(), [snapshot(&image.unwrap())]);
    assert_eq!(fs::read_dir(machine.copy_of(300_000).join("many")).unwrap().count(), MANY);
}
