//! A container's root file system: mounted into its bundle as containerd's snapshotter says, and unmounted again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_shim_protos::api::Mount;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::chdir;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// The kernel takes one page of options. An image of many layers has more.
const OPTIONS_MAX: usize = 4_000;
/// How often a busy file system is tried before it is unmounted as soon as it is not busy any more.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Mounts all of them over each other, or nothing. The directory is made if it is not there.
///
/// # Errors
/// In words that name the mount.
pub(super) fn mount_all(mounts: &[Mount], rootfs: &Path) -> io::Result<()> {
    match fs::create_dir(rootfs) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for one in mounts {
        if let Err(error) = mount_one(one, rootfs) {
            let _ = unmount_all(rootfs);
            let text = format!("mount {} {} at {}: {error}", one.type_, one.source, rootfs.display());
            return Err(io::Error::new(error.kind(), text));
        }
    }
    Ok(())
}

/// Unmounts whatever is mounted there. Nothing, or no directory, is fine.
///
/// # Errors
/// When something stays mounted.
pub(super) fn unmount_all(rootfs: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        let flags = if tries < TRIES { UnmountFlags::NOFOLLOW } else { UnmountFlags::NOFOLLOW | UnmountFlags::DETACH };
        match unmount(rootfs, flags) {
            // One was, another may be below it.
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) if tries < TRIES => {
                tries += 1;
                wait();
            }
            Err(error) => return Err(io::Error::other(format!("unmount {}: {error}", rootfs.display()))),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "on a thread of its own, or in a process that does nothing else")]
fn wait() {
    std::thread::sleep(PAUSE);
}

fn mount_one(one: &Mount, rootfs: &Path) -> io::Result<()> {
    let (flags, data) = options(&one.options);
    let bind = flags.contains(MountFlags::BIND);
    if data.len() > OPTIONS_MAX {
        return mount_shortened(one, rootfs, flags, &one.options);
    }
    call(one, rootfs, flags, &data)?;
    // The flags of a bind mount are those of what is bound, until it is mounted again.
    if bind && flags.intersects(MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC) {
        rustix::mount::mount_remount(rootfs, flags | MountFlags::BIND, "")?;
    }
    Ok(())
}

fn call(one: &Mount, target: &Path, flags: MountFlags, data: &str) -> io::Result<()> {
    let data = std::ffi::CString::new(data)?;
    Ok(mount(one.source.as_str(), target, one.type_.as_str(), flags, Some(data.as_c_str()))?)
}

/// What options are flags, and the others, which are the file system's.
fn options(options: &[String]) -> (MountFlags, String) {
    let (mut flags, mut data) = (MountFlags::empty(), Vec::new());
    for option in options {
        match option.as_str() {
            "bind" => flags |= MountFlags::BIND,
            "rbind" => flags |= MountFlags::BIND | MountFlags::REC,
            "ro" => flags |= MountFlags::RDONLY,
            "rw" | "defaults" => {}
            "nosuid" => flags |= MountFlags::NOSUID,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            "noatime" => flags |= MountFlags::NOATIME,
            "relatime" => flags |= MountFlags::RELATIME,
            "sync" => flags |= MountFlags::SYNCHRONOUS,
            "dirsync" => flags |= MountFlags::DIRSYNC,
            other => data.push(other),
        }
    }
    (flags, data.join(","))
}

/// Mounts an overlay whose layers' paths are too long together: from the directory that all of them are in. The working
/// directory is the whole process's, so this is done by a thread that has one of its own, and ends.
fn mount_shortened(one: &Mount, rootfs: &Path, flags: MountFlags, options: &[String]) -> io::Result<()> {
    let (common, options) =
        shorten(options).ok_or_else(|| io::Error::other("its options are longer than the kernel takes"))?;
    let (_, data) = self::options(&options);
    std::thread::scope(|scope| {
        let mounted = scope.spawn(|| {
            // SAFETY: only the working directory becomes this thread's own, no descriptor.
            #[allow(unsafe_code)]
            unsafe {
                unshare_unsafe(UnshareFlags::FS)?;
            }
            chdir(&common)?;
            call(one, rootfs, flags, &data)
        });
        mounted.join().map_err(|_| io::Error::other("the thread that mounts it panicked"))?
    })
}

/// The directory that all layers below are in, and the options with their paths from there.
fn shorten(options: &[String]) -> Option<(PathBuf, Vec<String>)> {
    let layers = options.iter().find_map(|option| option.strip_prefix("lowerdir="))?;
    let layers: Vec<&Path> = layers.split(':').map(Path::new).collect();
    let mut common = layers.first()?.parent()?;
    while !layers.iter().all(|layer| layer.starts_with(common)) {
        common = common.parent()?;
    }
    let short: Option<Vec<&str>> = layers.iter().map(|layer| layer.strip_prefix(common).ok()?.to_str()).collect();
    let lower = format!("lowerdir={}", short?.join(":"));
    let shortened = options.iter().map(|option| match option.starts_with("lowerdir=") {
        true => lower.clone(),
        false => option.clone(),
    });
    Some((common.to_owned(), shortened.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(options: &[&str]) -> Vec<String> {
        options.iter().map(|&option| option.to_owned()).collect()
    }

    #[test]
    fn flags_are_told_from_the_options_of_a_file_system() {
        let (flags, data) = options(&strings(&["ro", "nosuid", "index=off", "lowerdir=/a:/b"]));
        assert_eq!(flags, MountFlags::RDONLY | MountFlags::NOSUID);
        assert_eq!(data, "index=off,lowerdir=/a:/b");
        assert_eq!(options(&strings(&["rbind", "rw"])), (MountFlags::BIND | MountFlags::REC, String::new()));
    }

    #[test]
    fn the_paths_of_many_layers_are_shortened_by_what_they_share() {
        let (common, short) =
            shorten(&strings(&["index=off", "lowerdir=/s/12/fs:/s/3/fs", "upperdir=/s/9/fs"])).unwrap();
        assert_eq!(common, Path::new("/s"));
        assert_eq!(short, strings(&["index=off", "lowerdir=12/fs:3/fs", "upperdir=/s/9/fs"]));
        assert_eq!(shorten(&strings(&["ro"])), None);
    }

    #[test]
    fn unmounting_what_is_not_mounted_or_not_there_is_done_already() {
        let directory = tempfile::tempdir().unwrap();
        unmount_all(directory.path()).unwrap();
        unmount_all(&directory.path().join("nowhere")).unwrap();
    }

    #[test]
    fn layers_whose_paths_are_longer_than_a_page_are_mounted_over_each_other() {
        let directory = tempfile::Builder::new().prefix("actord-layers-").tempdir_in("/tmp").unwrap();
        let at = |name: &str| directory.path().join("x".repeat(100)).join(name);
        for number in 0..60 {
            let layer = at(&number.to_string());
            fs::create_dir_all(&layer).unwrap();
            fs::write(layer.join(format!("file-{number}")), "").unwrap();
        }
        let layers: Vec<String> = (0..60).map(|number| at(&number.to_string()).display().to_string()).collect();
        for name in ["upper", "work"] {
            fs::create_dir(at(name)).unwrap();
        }
        let options = vec![
            format!("lowerdir={}", layers.join(":")),
            format!("upperdir={}", at("upper").display()),
            format!("workdir={}", at("work").display()),
        ];
        let overlay = Mount { type_: "overlay".into(), source: "overlay".into(), options, ..Mount::default() };
        let before = std::env::current_dir().unwrap();
        mount_all(&[overlay], &at("rootfs")).unwrap();
        let mounted = (0..60).all(|number| at("rootfs").join(format!("file-{number}")).exists());
        unmount_all(&at("rootfs")).unwrap();
        assert!(mounted);
        assert_eq!(std::env::current_dir().unwrap(), before);
        assert_eq!(fs::read_dir(at("rootfs")).unwrap().count(), 0);
    }
}
