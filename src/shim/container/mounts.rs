//! The mounts of a container: what its runtime spec lists, in that order, into the tree of its image.
//!
//! Each is made apart from the tree first, then put where its path leads inside the tree.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::{CWD, FileType, fstat, fstatfs};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_bind,
    mount_bind_recursive, mount_change, mount_remount, move_mount, open_tree, unmount,
};

use super::cgroup::Hierarchies;
use super::copy_up;
use super::fault::Fault;
use super::ids::Ids;
use super::options::Options;
use super::root::{Root, on_the_host, path_of};
use crate::cgroups::Hierarchy;

const PROC_MAGIC: u64 = 0x9fa0;

/// Makes the container's tree a mount of this process's mount namespace, of which nothing is told to the host's.
pub(super) fn begin(tree: &Path) -> Result<Root, Fault> {
    let failed = |errno| Fault::setup(format!("error preparing rootfs {}", tree.display()))(errno);
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).map_err(failed)?;
    mount_bind_recursive(tree, tree).map_err(failed)?;
    Root::open(tree).map_err(failed)
}

/// Has no device node in the tree open anything, on a machine whose control groups don't see to that.
pub(super) fn allow_no_devices(root: &Root) -> Result<(), Fault> {
    mount_remount(path_of(&root.as_fd()), MountFlags::BIND | MountFlags::NODEV, "")
        .map_err(|errno| Fault::setup("error preparing rootfs: nodev")(errno))
}

/// Makes all mounts of a spec.
pub(super) fn make_all(root: &Root, spec: &Spec, hierarchies: &Hierarchies, ids: Option<Ids>) -> Result<(), Fault> {
    for mount in spec.mounts().iter().flatten() {
        let (at, source) = (mount.destination(), mount.source().clone().unwrap_or_default());
        let doing = format!(
            "error during container init: error mounting {:?} to rootfs at {:?}",
            source.to_string_lossy(),
            at.to_string_lossy()
        );
        make(root, mount, at, &source, hierarchies, ids).map_err(|trouble| match trouble {
            Trouble::Kernel(errno, what) if what.is_empty() => Fault::process(&doing)(errno),
            Trouble::Kernel(errno, what) => Fault::process(format!("{doing}: {what}"))(errno),
            Trouble::Place(text) => Fault { text: format!("{doing}: {text}"), ..Fault::process("")(Errno::NOTDIR) },
        })?;
    }
    Ok(())
}

/// Why a mount can't be made.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What the kernel said, and of what if not of the mount.
    Kernel(Errno, String),
    /// What the image has there is no place for it.
    Place(String),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno, String::new())
    }
}

fn make(
    root: &Root,
    mount: &Mount,
    at: &Path,
    source: &Path,
    machine: &Hierarchies,
    ids: Option<Ids>,
) -> Result<(), Trouble> {
    let mut options = Options::parse(mount.options().iter().flatten().map(String::as_str));
    if let Some(ids) = ids {
        options.data = options.data.iter().map(|option| ids.option(option)).collect::<Result<_, _>>()?;
    }
    let kind = mount.typ().as_deref().unwrap_or("none");
    if options.bind || kind == "bind" {
        return bind(root, at, source, &options);
    }
    match kind {
        "cgroup" => cgroups(root, at, source, machine, &options),
        "proc" | "sysfs" => {
            let found =
                root.find_itself(at).map(|found| fstat(&found).map(|stat| FileType::from_raw_mode(stat.st_mode)));
            if let Ok(file) = found
                && file? != FileType::Directory
            {
                return Err(Trouble::Place(format!("filesystem {kind:?} must be mounted on ordinary directory")));
            }
            file_system(root, at, source, kind, &options)
        }
        _ => file_system(root, at, source, kind, &options),
    }
}

fn bind(root: &Root, at: &Path, source: &Path, options: &Options) -> Result<(), Trouble> {
    let of_source = |errno| Trouble::Kernel(errno, format!("stat {}", source.display()));
    let found = on_the_host(source).map_err(of_source)?;
    not_named_in_proc(at)?;
    let is_directory = FileType::from_raw_mode(fstat(&found).map_err(of_source)?.st_mode) == FileType::Directory;
    let place = if is_directory { root.make_directory(at)? } else { root.make_file(at)? };
    not_in_proc(at, &place)?;
    if !is_directory && FileType::from_raw_mode(fstat(&place)?.st_mode) == FileType::Directory {
        return Err(Errno::NOTDIR.into());
    }
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if options.recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(&found, "", flags)?;
    put(&tree, &place)?;
    // A bind takes its flags in a second step only.
    if !options.flags.is_empty() {
        mount_remount(path_of(&tree), options.flags | MountFlags::BIND, "")?;
    }
    Ok(())
}

fn file_system(root: &Root, at: &Path, source: &Path, kind: &str, options: &Options) -> Result<(), Trouble> {
    let place = root.make_directory(at)?;
    if kind != "proc" {
        not_in_proc(at, &place)?;
    }
    let made = new(kind, source, options)?;
    if options.copy_up {
        copy_up::copy(root, at, &made)
            .map_err(|errno| Trouble::Kernel(errno, format!("tmpcopyup: failed to copy {}", at.display())))?;
    }
    Ok(put(&made, &place)?)
}

/// A file system that is not attached anywhere yet.
fn new(kind: &str, source: &Path, options: &Options) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", source)?;
    for option in &options.data {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(context.as_fd(), key, value)?,
            None => fsconfig_set_flag(context.as_fd(), option.as_str())?,
        }
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, options.attributes())
}

fn put(made: &OwnedFd, place: &OwnedFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(made, "", place, "", flags)
}

/// Nothing is mounted over what the kernel tells in `/proc`.
fn not_in_proc(at: &Path, place: &OwnedFd) -> Result<(), Trouble> {
    let magic = u64::try_from(fstatfs(place)?.f_type).unwrap_or_default();
    if magic == PROC_MAGIC { Err(in_proc(at)) } else { Ok(()) }
}

/// The same before anything is made there, where the path says it.
fn not_named_in_proc(at: &Path) -> Result<(), Trouble> {
    if at.starts_with("/proc") { Err(in_proc(at)) } else { Ok(()) }
}

fn in_proc(at: &Path) -> Trouble {
    Trouble::Place(format!("{:?} cannot be mounted because it is inside /proc", at.to_string_lossy()))
}

/// The container's view of its control groups: one file system for each hierarchy of version 1, or that of version 2.
fn cgroups(root: &Root, at: &Path, source: &Path, machine: &Hierarchies, options: &Options) -> Result<(), Trouble> {
    let mut hierarchies = machine.of_version_1().peekable();
    if hierarchies.peek().is_none() {
        return file_system(root, at, source, "cgroup2", options);
    }
    let parent = Options::parse(["nosuid", "noexec", "nodev", "mode=755"]);
    file_system(root, at, Path::new("tmpfs"), "tmpfs", &parent)?;
    for hierarchy in hierarchies {
        let name = hierarchy.mount.file_name().unwrap_or_default();
        one_hierarchy(root, &at.join(name), hierarchy, options)?;
        let controllers = hierarchy.controllers.iter().flatten();
        for alias in controllers.filter(|one| name.to_str().is_some_and(|name| name.contains(',') && name != **one)) {
            let directory = root.find(at)?;
            rustix::fs::symlinkat(name, directory, alias.as_str())?;
        }
    }
    Ok(())
}

fn one_hierarchy(root: &Root, at: &Path, hierarchy: &Hierarchy, options: &Options) -> Result<(), Trouble> {
    let named = hierarchy.controllers.iter().flatten().any(|one| one.starts_with("name="));
    let data = hierarchy.controllers.clone().unwrap_or_default();
    let options = Options {
        data,
        ..Options::parse(options.read_only().then_some("ro").into_iter().chain(["nosuid", "noexec", "nodev"]))
    };
    file_system(root, at, Path::new(if named { "systemd" } else { "cgroup" }), "cgroup", &options)
}

/// Makes the tree the root of this process, and leaves nothing of the host's.
pub(super) fn enter(tree: &Path) -> Result<(), Fault> {
    let failed =
        |errno| Fault::setup("error during container init: error jailing process inside rootfs: pivot_root")(errno);
    rustix::process::chdir(tree).map_err(failed)?;
    rustix::process::pivot_root(".", ".").map_err(failed)?;
    // The old root lies over the new one, and is told of nothing since `begin`.
    unmount(".", UnmountFlags::DETACH).map_err(failed)?;
    rustix::process::chdir("/").map_err(failed)
}

/// Makes the root read-only.
pub(super) fn make_root_read_only() -> Result<(), Fault> {
    remount_read_only(Path::new("/"))
        .map_err(|errno| Fault::setup("error during container init: error setting rootfs as readonly")(errno))
}

/// Makes paths read-only that are there.
pub(super) fn make_read_only(paths: &[String]) -> Result<(), Fault> {
    for path in paths {
        let done = mount_bind_recursive(path, path).and_then(|()| remount_read_only(Path::new(path)));
        match done {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => {
                return Err(Fault::setup(format!("error during container init: readonly path {path}"))(errno));
            }
        }
    }
    Ok(())
}

fn remount_read_only(path: &Path) -> Result<(), Errno> {
    use rustix::fs::StatVfsMountFlags as Has;
    let has = rustix::fs::statvfs(path)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (flag, kept) in
        [(Has::NOSUID, MountFlags::NOSUID), (Has::NODEV, MountFlags::NODEV), (Has::NOEXEC, MountFlags::NOEXEC)]
    {
        flags.set(kept, has.contains(flag));
    }
    mount_remount(path, flags, "")
}

/// Hides paths that are there: a file under `/dev/null`, a directory under an empty one.
pub(super) fn mask(paths: &[String]) -> Result<(), Fault> {
    for path in paths {
        let hidden = match mount_bind("/dev/null", path) {
            Err(Errno::NOTDIR) => hide_directory(path),
            done => done,
        };
        match hidden {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Fault::setup(format!("error during container init: mask path {path}"))(errno)),
        }
    }
    Ok(())
}

fn hide_directory(path: &str) -> Result<(), Errno> {
    let empty = new("tmpfs", Path::new("tmpfs"), &Options::parse(["ro"]))?;
    move_mount(&empty, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

impl Options {
    fn attributes(&self) -> MountAttrFlags {
        let mut attributes = MountAttrFlags::empty();
        for (flag, attribute) in [
            (MountFlags::RDONLY, MountAttrFlags::MOUNT_ATTR_RDONLY),
            (MountFlags::NOSUID, MountAttrFlags::MOUNT_ATTR_NOSUID),
            (MountFlags::NODEV, MountAttrFlags::MOUNT_ATTR_NODEV),
            (MountFlags::NOEXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC),
            (MountFlags::NOATIME, MountAttrFlags::MOUNT_ATTR_NOATIME),
            (MountFlags::STRICTATIME, MountAttrFlags::MOUNT_ATTR_STRICTATIME),
        ] {
            attributes.set(attribute, self.flags.contains(flag));
        }
        attributes
    }
}

/// Where the tree of a spec is on the host.
pub(super) fn tree_of(spec: &Spec, bundle: &Path) -> Result<PathBuf, Fault> {
    let root = spec.root().as_ref().ok_or_else(|| Fault::request("the runtime spec has no root"))?;
    let path = bundle.join(root.path());
    path.canonicalize().map_err(|error| Fault::request(format!("rootfs {}: {error}", path.display())))
}
