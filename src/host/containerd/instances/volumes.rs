//! The volumes that an image declares: directories that an instance finds and can write to, whatever the layers have.
//!
//! ```text
//! the image's paths -> cleaned -> resolved inside the instance's root, and made there -> Volume
//!   root that can be written to: that is all, a volume is a part of the snapshot, on disk
//!   read-only root: a file system in memory on each, with what the image has there (oci/mounts)
//! ```
//! A directory that the image has keeps its owner, mode and files. One that it does not have belongs to the image's user,
//! as with podman (docker gives it to root, so that no other user could write there).
//!
//! The paths and the links in an image are anybody's: each step is looked at before it is taken, no link is followed but
//! by name from the root again, and what is a place of the kernel's or of ours is left as it is.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};

use oci_spec::image::ImageConfiguration;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2, readlinkat};
use rustix::io::Errno;

use super::reserved::RESERVED;
use super::user::Identity;
use crate::host::{HostError, IdMapping};

/// More volumes than any image has. Each is a directory, and may be a mount.
const MOST: usize = 1_000;
/// As many links on one path as the kernel follows.
const MOST_LINKS: usize = 40;

/// A directory of an instance's root that is a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    /// Its path, without links: `/data`.
    pub(super) at: PathBuf,
    /// As the instance sees it.
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    /// Whether the image has nothing in it.
    pub(super) empty: bool,
}

/// Who gets what is made, and how the numbers of this machine are seen by the instance.
#[derive(Debug)]
pub(super) struct Owners {
    /// A volume, as this machine has its owner.
    volume: Identity,
    /// The directories on the way to it: root's.
    way: Identity,
    ids: Option<IdMapping>,
}

impl Owners {
    /// Those of an instance whose user this is.
    ///
    /// # Errors
    /// [`HostError::Spec`] when that user is not mapped.
    pub(super) fn of(user: &Identity, ids: Option<IdMapping>) -> Result<Self, HostError> {
        Ok(Self { volume: user.on_the_machine(ids)?, way: Identity::default().on_the_machine(ids)?, ids })
    }

    /// A number of this machine, as the instance sees it.
    fn seen(&self, number: u32) -> u32 {
        self.ids.map_or(number, |ids| ids.inside(number).unwrap_or(OVERFLOW))
    }
}

/// What the kernel shows in place of a user or group that is not mapped.
const OVERFLOW: u32 = 65_534;

/// Why a volume can't be made: the image's fault, or the machine's.
#[derive(Debug)]
enum Unmade {
    Image(String),
    Machine(io::Error),
}

impl From<Errno> for Unmade {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NAMETOOLONG => Self::Image("its name is too long".to_owned()),
            other => Self::Machine(other.into()),
        }
    }
}

impl From<io::Error> for Unmade {
    fn from(error: io::Error) -> Self {
        Self::Machine(error)
    }
}

/// The paths that an image declares, as steps from the root; those that are the root itself are left out.
///
/// # Errors
/// [`HostError::Spec`] when there are too many of them, or one is no path.
pub(super) fn declared(image: &ImageConfiguration) -> Result<Vec<PathBuf>, HostError> {
    let paths = image.config().as_ref().and_then(|config| config.volumes().clone()).unwrap_or_default();
    if paths.len() > MOST {
        return Err(HostError::Spec(format!("the image declares {} volumes: {MOST} are the most", paths.len())));
    }
    if let Some(path) = paths.iter().find(|path| path.contains('\0')) {
        return Err(HostError::Spec(format!("the image's volume {path:?} is no path: mend its VOLUME")));
    }
    let mut paths: Vec<PathBuf> = paths.iter().map(|path| cleaned(path)).filter(|path| path != Path::new("")).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// A path without `.`, and with `..` taken as docker takes it: before any link is looked at, and never beyond the root.
fn cleaned(path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Makes the directories at `paths` in the root that is mounted at `root`, those that are not there.
///
/// # Errors
/// The outer one where the machine fails; [`HostError::Spec`] where the image has something else at a path.
pub(super) fn make(root: &Path, paths: &[PathBuf], owners: &Owners) -> io::Result<Result<Vec<Volume>, HostError>> {
    let directory = File::open(root)?;
    let mut made = BTreeMap::new();
    for path in paths {
        let resolved = match resolve(&directory, path, owners) {
            Ok(resolved) => resolved,
            Err(Unmade::Machine(error)) => return Err(error),
            Err(Unmade::Image(why)) => {
                let path = Path::new("/").join(path);
                let text = format!("the image's volume {} can't be made: {why}: mend its VOLUME", path.display());
                return Ok(Err(HostError::Spec(text)));
            }
        };
        let Some(at) = resolved else {
            tracing::debug!(path = %path.display(), "a volume that is a place of the kernel's or ours is left out");
            continue;
        };
        made.insert(at.clone(), look_at(root, at, owners)?);
    }
    Ok(Ok(made.into_values().collect()))
}

fn look_at(root: &Path, at: PathBuf, owners: &Owners) -> io::Result<Volume> {
    let path = root.join(&at);
    let (about, empty) = (fs::symlink_metadata(&path)?, fs::read_dir(&path)?.next().is_none());
    let at = Path::new("/").join(at);
    let (uid, gid) = (owners.seen(about.uid()), owners.seen(about.gid()));
    Ok(Volume { at, uid, gid, mode: about.mode() & 0o7777, empty })
}

/// Walks a path, and makes what is missing. Returns the path without links; None where it leads to what is not the
/// image's.
fn resolve(root: &File, wanted: &Path, owners: &Owners) -> Result<Option<PathBuf>, Unmade> {
    let mut rest: VecDeque<OsString> = wanted.iter().map(OsStr::to_owned).collect();
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let here = at.join(&name);
        if is_reserved(&here) {
            return Ok(None);
        }
        let parent = open(root, &at, OFlags::DIRECTORY)?;
        match open(&parent, Path::new(&name), OFlags::NOFOLLOW) {
            Err(Errno::NOENT) => {
                mkdirat(&parent, name.as_os_str(), Mode::from_raw_mode(0o755))?;
                let made =
                    openat2(&parent, name.as_os_str(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), STRICT)?;
                let made = File::from(made);
                // Whatever the umask is.
                made.set_permissions(Permissions::from_mode(0o755))?;
                let owner = if rest.is_empty() { &owners.volume } else { &owners.way };
                fchown(&made, Some(owner.uid), Some(owner.gid))?;
                at = here;
            }
            Err(error) => return Err(error.into()),
            Ok(found) => match FileType::from_raw_mode(fstat(&found)?.st_mode) {
                FileType::Directory => at = here,
                FileType::Symlink => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Unmade::Image("it leads through too many links".to_owned()));
                    }
                    let target = readlinkat(&found, "", Vec::new())?;
                    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                    if target.is_absolute() {
                        at = PathBuf::new();
                    }
                    for component in target.components().rev() {
                        if let Component::Normal(step) = component {
                            rest.push_front(step.to_owned());
                        } else if component == Component::ParentDir {
                            rest.push_front("..".into());
                        }
                    }
                }
                _ => {
                    let why =
                        format!("there is something else than a directory at {}", Path::new("/").join(here).display());
                    return Err(Unmade::Image(why));
                }
            },
        }
    }
    // A link may lead to the root.
    Ok(Some(at).filter(|at| at != Path::new("")))
}

/// No link, no `..`, no other file system.
const STRICT: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// A place below `directory`, to look at. With `NOFOLLOW` the last step may be a link, which is opened itself.
fn open(directory: &File, path: &Path, flags: OFlags) -> Result<File, Errno> {
    let path = if path == Path::new("") { Path::new(".") } else { path };
    let resolve = if flags.contains(OFlags::NOFOLLOW) { ResolveFlags::BENEATH } else { STRICT };
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    openat2(directory, path, flags, Mode::empty(), resolve).map(File::from)
}

fn is_reserved(path: &Path) -> bool {
    RESERVED.iter().any(|reserved| Path::new("/").join(path).starts_with(reserved))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use serde_json::{Value, json};

    use super::*;

    fn image(volumes: &Value) -> ImageConfiguration {
        let (config, rootfs) = (json!({ "Volumes": volumes }), json!({ "type": "layers", "diff_ids": [] }));
        serde_json::from_value(json!({ "architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs }))
            .unwrap()
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        let volumes: serde_json::Map<_, _> = paths.iter().map(|path| ((*path).to_owned(), json!({}))).collect();
        declared(&image(&volumes.into())).unwrap()
    }

    fn user() -> Owners {
        Owners::of(&Identity { uid: 4242, gid: 4343, groups: Vec::new() }, None).unwrap()
    }

    #[test]
    fn paths_are_cleaned_and_never_lead_beyond_the_root() {
        for (declared, clean) in [
            (&["/data"][..], &["data"][..]),
            (&["data", "/data/", "//data/./", "/x/../data"], &["data"]),
            (&["/../x", "/../../../x", "/a/../../x"], &["x"]),
            (&["/a/../../etc"], &["etc"]),
            (&["/", "", ".", "..", "/..", "/a/.."], &[]),
            (&["/b", "/a/b", "/a"], &["a", "a/b", "b"]),
        ] {
            assert_eq!(paths(declared), clean.iter().map(PathBuf::from).collect::<Vec<_>>(), "{declared:?}");
        }
        assert!(
            matches!(declared(&image(&json!({ "/a\u{0}b": {} }))), Err(HostError::Spec(why)) if why.contains("VOLUME"))
        );
        let many: serde_json::Map<_, _> = (0..=MOST).map(|at| (format!("/{at}"), json!({}))).collect();
        assert!(matches!(declared(&image(&many.into())), Err(HostError::Spec(why)) if why.contains("1001")));
        assert_eq!(declared(&image(&json!(null))).unwrap(), Vec::<PathBuf>::new());
    }

    /// A root with what images may have, beside a directory that nothing may be made in.
    fn root() -> (tempfile::TempDir, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("root");
        for directory in ["root/kept/inner", "root/etc", "outside"] {
            fs::create_dir_all(base.path().join(directory)).unwrap();
        }
        fs::write(root.join("kept/file"), "of the image").unwrap();
        fs::set_permissions(root.join("kept"), Permissions::from_mode(0o1770)).unwrap();
        std::os::unix::fs::chown(root.join("kept"), Some(7), Some(8)).unwrap();
        fs::write(root.join("a-file"), "x").unwrap();
        let outside = base.path().join("outside");
        for (link, target) in [
            ("to-root", Path::new("/")),
            ("to-proc", Path::new("/proc/self")),
            ("to-kept", Path::new("kept")),
            ("to-nothing", Path::new("/not/there")),
            ("to-hosts", Path::new("etc/hosts")),
            ("up", Path::new("../../../outside")),
            ("up-and-out", Path::new("../outside")),
            ("absolute", outside.as_path()),
            ("circle", Path::new("circle")),
            ("to-file", Path::new("a-file")),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        (base, root)
    }

    fn made(root: &Path, path: &str) -> Result<Vec<Volume>, HostError> {
        make(root, &paths(&[path]), &user()).unwrap()
    }

    #[test]
    fn what_is_missing_is_made_for_the_images_user_and_what_is_there_stays_as_it_is() {
        let (_base, root) = root();
        let volume = |at: &str, (uid, gid), mode, empty| Volume { at: at.into(), uid, gid, mode, empty };
        let own = (4242, 4343);
        for (path, expected) in [
            ("/data", volume("/data", own, 0o755, true)),
            ("/deep/er/data", volume("/deep/er/data", own, 0o755, true)),
            ("/kept", volume("/kept", (7, 8), 0o1770, false)),
            ("/kept/inner", volume("/kept/inner", (0, 0), 0o755, true)),
            ("/to-kept", volume("/kept", (7, 8), 0o1770, false)),
            ("/to-kept/new", volume("/kept/new", own, 0o755, true)),
            ("/to-root/rooted", volume("/rooted", own, 0o755, true)),
            ("/to-nothing", volume("/not/there", own, 0o755, true)),
            ("/to-nothing/x", volume("/not/there/x", own, 0o755, true)),
        ] {
            assert_eq!(made(&root, path).unwrap(), [expected], "{path}");
        }
        let parent = fs::metadata(root.join("deep/er")).unwrap();
        assert_eq!((parent.uid(), parent.mode() & 0o7777), (0, 0o755), "only the volume itself is the user's");
        assert_eq!(fs::read_to_string(root.join("kept/file")).unwrap(), "of the image");
        let twice = make(&root, &paths(&["/kept", "/to-kept"]), &user()).unwrap().unwrap();
        assert_eq!(twice.len(), 1, "two ways to one place are one volume");
    }

    #[test]
    fn in_a_user_namespace_what_is_made_is_the_mapped_users_and_what_is_there_is_told_as_seen_from_inside() {
        let (_base, root) = root();
        let user = Identity { uid: 4242, gid: 4343, groups: Vec::new() };
        let owners = Owners::of(&user, "100000:65536".parse().ok()).unwrap();
        std::os::unix::fs::chown(root.join("kept"), Some(100_007), Some(8)).unwrap();
        let made = make(&root, &paths(&["/deep/er/data", "/kept"]), &owners).unwrap().unwrap();
        let seen: Vec<_> = made.iter().map(|volume| (volume.at.to_str().unwrap(), volume.uid, volume.gid)).collect();
        assert_eq!(seen, [("/deep/er/data", 4242, 4343), ("/kept", 7, OVERFLOW)]);
        for (path, uid, gid) in [("deep", 100_000, 100_000), ("deep/er/data", 104_242, 104_343), ("kept", 100_007, 8)] {
            let about = fs::metadata(root.join(path)).unwrap();
            assert_eq!((about.uid(), about.gid()), (uid, gid), "{path}");
        }
    }

    #[test]
    fn no_path_and_no_link_leads_out_of_the_root_or_to_a_place_of_ours() {
        let (base, root) = root();
        for path in [
            "/",
            "/to-root",
            "/to-root/",
            "/proc",
            "/proc/1/x",
            "/sys/fs",
            "/dev",
            "/dev/shm/x",
            "/to-proc",
            "/to-proc/x",
            "/etc/hosts",
            "/etc/hosts/x",
            "/to-hosts",
            "/etc/resolv.conf",
            "/var/openfaas/secrets",
            "/var/openfaas/secrets/x",
        ] {
            assert_eq!(made(&root, path).unwrap(), [], "{path}");
        }
        for (path, at) in [("/up/x", "/outside/x"), ("/up-and-out/y", "/outside/y"), ("/../../z", "/z")] {
            assert_eq!(made(&root, path).unwrap()[0].at, Path::new(at), "{path}");
        }
        let inside = Path::new("/").join(base.path().strip_prefix("/").unwrap()).join("outside/w");
        assert_eq!(made(&root, "/absolute/w").unwrap()[0].at, inside, "inside the root, however it is called");
        assert_eq!(fs::read_dir(base.path().join("outside")).unwrap().count(), 0, "nothing is made outside");
        assert!(!root.join("proc").exists() && !root.join("etc/hosts").exists());
    }

    #[test]
    fn a_volume_that_can_not_be_a_directory_is_the_images_to_mend() {
        let (_base, root) = root();
        let long = format!("/{}", "n".repeat(300));
        for (path, why) in [
            ("/a-file", "/a-file"),
            ("/a-file/x", "/a-file"),
            ("/to-file", "/a-file"),
            ("/circle", "too many links"),
            (long.as_str(), "too long"),
        ] {
            let refused = made(&root, path);
            assert!(matches!(&refused, Err(HostError::Spec(text)) if text.contains(why)), "{path}: {refused:?}");
        }
    }
}
