//! The disks under the data and the state directory: room, and whether what is written stays written.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open, statvfs};
use tokio::time::Instant;

use super::finding::Finding;
use super::source::Root;
use crate::host::containerd::daemon::SOCKET_PATH_MAX;

const MIB: u64 = 1 << 20;
/// Images need more than this; the store needs less.
const ROOM_SHORT: u64 = 2048 * MIB;
const ROOM_GONE: u64 = 256 * MIB;
const INODES_SHORT: u64 = 20_000;
const INODES_GONE: u64 = 1_000;
/// Every deploy waits for the disk this long, a few times over.
const SYNC_SLOW: Duration = Duration::from_millis(200);

/// A directory that actord needs, or the nearest one above it that is there.
#[derive(Debug, Clone)]
struct Place {
    wanted: PathBuf,
    /// Free bytes for root, and free inodes; none for a file system that has no such number.
    room: Result<(u64, Option<u64>), String>,
    /// The file system's type.
    kind: Option<String>,
}

/// What is known of the disks.
#[derive(Debug)]
pub(super) struct Disk {
    data: Place,
    state: Place,
    /// How long a small synced write took in the data directory.
    sync: Result<Duration, String>,
    socket: PathBuf,
}

impl Disk {
    pub(super) fn read(root: &Root, data: &Path, state: &Path, socket: &Path) -> Self {
        let mounts = root.text("/proc/self/mountinfo").unwrap_or_default();
        Self {
            data: place(data, &mounts),
            state: place(state, &mounts),
            sync: sync(&nearest(data)),
            socket: socket.into(),
        }
    }

    /// `overlay`: whether functions' root file systems are overlays, whose upper parts lie in the data directory.
    pub(super) fn check(&self, overlay: bool) -> Vec<Finding> {
        let mut found = vec![room("disk of data-dir", &self.data), room("disk of state-dir", &self.state)];
        found.push(self.kind(overlay));
        found.push(self.sync());
        let length = self.socket.as_os_str().len();
        if length > SOCKET_PATH_MAX {
            let text =
                format!("{} has {length} characters, a socket's path at most {SOCKET_PATH_MAX}", self.socket.display());
            found.push(Finding::failure("length of state-dir", text, "set a shorter --state-dir"));
        }
        found
    }

    fn kind(&self, overlay: bool) -> Finding {
        let check = "kind of data-dir";
        let data = self.data.wanted.display();
        let elsewhere = "set --data-dir to a directory on a local disk (ext4, xfs)";
        match self.data.kind.as_deref() {
            None => Finding::unknown(check, format!("what {data} lies on can't be seen")),
            Some(kind @ ("tmpfs" | "ramfs")) => {
                Finding::failure(check, format!("{data} lies in memory ({kind}): a reboot loses everything"), elsewhere)
            }
            Some(kind) if kind.starts_with("nfs") || matches!(kind, "cifs" | "smb3" | "9p" | "ceph") => {
                let found =
                    format!("{data} lies on a network ({kind}), where neither locks nor overlays can be relied on");
                Finding::failure(check, found, elsewhere)
            }
            Some("overlay") if overlay => {
                let found = format!("{data} lies on an overlay, and functions' overlays can't be made on that");
                Finding::failure(check, found, format!("{elsewhere}, or --snapshotter native"))
            }
            Some(kind) => Finding::ok(check, kind),
        }
    }

    fn sync(&self) -> Finding {
        let check = "fsync";
        match &self.sync {
            Ok(took) if *took > SYNC_SLOW => {
                let found = format!("a synced write took {took:.0?}; every deploy waits for some");
                Finding::warning(check, found, "set --data-dir to a faster disk; `iostat -x 1` shows who keeps it busy")
            }
            Ok(took) => Finding::ok(check, format!("a synced write took {took:.1?}")),
            Err(error) => Finding::unknown(check, error),
        }
    }
}

fn room(check: &str, place: &Place) -> Finding {
    let wanted = place.wanted.display();
    let (bytes, inodes) = match &place.room {
        Ok(room) => *room,
        Err(error) => return Finding::unknown(check, error),
    };
    let found = match inodes {
        Some(inodes) => format!("{} MiB and {inodes} inodes free in {wanted}", bytes / MIB),
        None => format!("{} MiB free in {wanted}", bytes / MIB),
    };
    let less = |bound: u64, inode_bound: u64| bytes < bound || inodes.is_some_and(|inodes| inodes < inode_bound);
    // In memory little is enough: sockets, leases and the runtime's notes.
    let scale = if matches!(place.kind.as_deref(), Some("tmpfs")) { 16 } else { 1 };
    let remedy = format!("free some: du -xh --max-depth 2 {wanted} | sort -h | tail");
    if less(ROOM_GONE / scale, INODES_GONE) {
        Finding::failure(check, found, remedy)
    } else if less(ROOM_SHORT / scale, INODES_SHORT) {
        Finding::warning(check, found, remedy)
    } else {
        Finding::ok(check, found)
    }
}

fn place(wanted: &Path, mounts: &str) -> Place {
    let there = nearest(wanted);
    let room = statvfs(&there).map_err(|error| format!("{}: {error}", there.display()));
    Place {
        wanted: wanted.to_owned(),
        room: room.map(|about| (about.f_bavail * about.f_frsize, Some(about.f_favail).filter(|_| about.f_files > 0))),
        kind: kind_of(mounts, &there.canonicalize().unwrap_or(there)),
    }
}

/// The directory, or the nearest one above it that is there.
fn nearest(wanted: &Path) -> PathBuf {
    wanted.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// The type of the file system that a path lies on: that of the last mount with the longest path that leads there.
fn kind_of(mounts: &str, path: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        Some((mount.split(' ').nth(4)?, kind.split(' ').next()?))
    });
    let fitting = mounts.filter(|(mount, _)| path.starts_with(mount));
    fitting.max_by_key(|(mount, _)| mount.len()).map(|(_, kind)| kind.to_owned())
}

/// Times a synced write to a file without a name, which nobody sees and nothing is left of.
fn sync(directory: &Path) -> Result<Duration, String> {
    let failed = |error: &dyn std::fmt::Display| format!("can't be tried in {}: {error}", directory.display());
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = open(directory, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(&error))?;
    let mut file = std::fs::File::from(file);
    let begun = Instant::now();
    file.write_all(&[0; 4096]).and_then(|()| file.sync_all()).map_err(|error| failed(&error))?;
    Ok(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    const MOUNTS: &str = "22 1 254:0 / / rw - ext4 /dev/vda rw\n23 22 0:9 / /run rw shared:1 - tmpfs tmpfs rw\n\
        24 22 0:10 / /srv/nfs rw - nfs4 host:/x rw\n";

    fn disk(bytes: u64, inodes: Option<u64>, kind: &str) -> Disk {
        let place = |path: &str, kind: &str| Place {
            wanted: path.into(),
            room: Ok((bytes, inodes)),
            kind: Some(kind.to_owned()).filter(|kind| !kind.is_empty()),
        };
        Disk {
            data: place("/var/lib/actord", kind),
            state: place("/run/actord", "tmpfs"),
            sync: Ok(Duration::from_millis(3)),
            socket: "/run/actord/containerd.sock".into(),
        }
    }

    fn states(disk: &Disk) -> Vec<State> {
        disk.check(true).iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn room_is_enough_short_or_gone_by_bytes_or_inodes() {
        let first_two = |bytes, inodes| states(&disk(bytes, inodes, "ext4"))[..2].to_vec();
        assert_eq!(first_two(100 << 30, Some(1_000_000)), [State::Ok, State::Ok]);
        assert_eq!(first_two(1 << 30, None), [State::Warning, State::Ok]);
        assert_eq!(first_two(10 * MIB, None), [State::Failure, State::Failure]);
        assert_eq!(first_two(100 << 30, Some(10)), [State::Failure, State::Failure]);
        let found = &disk(MIB, Some(5), "ext4").check(true)[0];
        assert_eq!(found.found, "1 MiB and 5 inodes free in /var/lib/actord");
        assert!(found.remedy.as_ref().unwrap().starts_with("free some: du"));
    }

    #[test]
    fn data_that_would_be_lost_or_can_not_be_relied_on_is_a_failure() {
        for kind in ["tmpfs", "nfs4", "cifs", "overlay"] {
            assert_eq!(states(&disk(100 << 30, None, kind))[2], State::Failure, "{kind}");
        }
        assert_eq!(disk(100 << 30, None, "overlay").check(false)[2].state, State::Ok);
        assert_eq!(states(&disk(100 << 30, None, ""))[2], State::Unknown);
    }

    #[test]
    fn a_slow_disk_and_a_long_path_are_said() {
        let slow = Disk { sync: Ok(Duration::from_secs(2)), ..disk(100 << 30, None, "ext4") };
        assert_eq!(states(&slow)[3], State::Warning);
        let blind = Disk { sync: Err("can't be tried".into()), socket: "x".repeat(200).into(), ..slow };
        assert_eq!(states(&blind)[3..], [State::Unknown, State::Failure]);
    }

    #[test]
    fn a_path_lies_on_the_nearest_mount_above_it() {
        let kind = |path| kind_of(MOUNTS, Path::new(path)).unwrap();
        assert_eq!(
            (kind("/var/lib"), kind("/run/actord"), kind("/running")),
            ("ext4".into(), "tmpfs".into(), "ext4".into())
        );
        assert_eq!(kind("/srv/nfs/actord"), "nfs4");
    }

    #[test]
    fn the_real_disk_is_tried_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let read = Disk::read(&Root::machine(), &dir.path().join("not/there"), dir.path(), Path::new("/x"));
        assert!(read.data.room.is_ok() && read.data.kind.is_some());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
