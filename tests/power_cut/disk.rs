//! A disk whose power can be cut: ext4 on a loop device whose file can be copied in an instant.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

/// Sparse: only what is written takes room.
const XFS_SIZE: &str = "2G";
const DISK_SIZE: &str = "96M";

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; `config/setup --test` installs it"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {}", arguments.join(" "), stderr.trim());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A mounted image. Dropping it unmounts it and frees its loop device.
#[derive(Debug)]
pub(crate) struct Mounted {
    device: String,
    at: PathBuf,
}

impl Mounted {
    fn mount(image: &Path, at: PathBuf) -> Self {
        let device = run("losetup", &["--find", "--show", "--direct-io=on", text(image)]);
        // From here on it is given back whatever happens.
        let mounted = Self { device, at };
        std::fs::create_dir_all(&mounted.at).unwrap();
        run("mount", &[&mounted.device, text(&mounted.at)]);
        mounted
    }

    pub(crate) fn mounted(&self) -> &Path {
        &self.at
    }

    /// Unmounts it as soon as all is closed that was opened there. Whatever is closed later than that goes by its path to the next
    /// one that is mounted here: SQLite then takes away that one's log.
    pub(crate) async fn unmount(self) {
        let unmounted = async {
            while !quietly("umount", &[text(&self.at)]) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), unmounted).await;
        in_time.unwrap_or_else(|_| panic!("something is still open in {}", self.at.display()));
    }
}

fn quietly(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily if somebody is still in it: a process that was just killed, or a container that is being made.
        let _ = quietly("umount", &[text(&self.at)]) || quietly("umount", &["--lazy", text(&self.at)]);
        quietly("losetup", &["--detach", &self.device]);
    }
}

/// The disk, with all that it lies on. Fields are dropped from the top of the pile down.
pub(crate) struct Disk {
    ext4: Mounted,
    image: PathBuf,
    xfs: Mounted,
    home: TempDir,
}

impl Disk {
    pub(crate) fn make() -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("xfs.img");
        run("truncate", &["--size", XFS_SIZE, text(&file)]);
        run("mkfs.xfs", &["-q", "-m", "reflink=1", text(&file)]);
        let xfs = Mounted::mount(&file, home.path().join("xfs"));
        let image = xfs.mounted().join("disk.img");
        run("truncate", &["--size", DISK_SIZE, text(&image)]);
        // Past the cache, a file with shared blocks is written by the block of its file system.
        run("mkfs.ext4", &["-q", "-F", "-b", "4096", text(&image)]);
        let ext4 = Mounted::mount(&image, home.path().join("disk"));
        Self { ext4, image, xfs, home }
    }

    pub(crate) fn mounted(&self) -> &Path {
        self.ext4.mounted()
    }

    /// What the disk holds at this instant, in another machine as it were: ext4 replays its journal there.
    pub(crate) fn cut(&self) -> Mounted {
        let image = self.xfs.mounted().join("cut.img");
        run("cp", &["--reflink=always", text(&self.image), text(&image)]);
        let mounted = Mounted::mount(&image, self.home.path().join("cut"));
        // Its blocks go with the loop device.
        std::fs::remove_file(&image).unwrap();
        mounted
    }
}
