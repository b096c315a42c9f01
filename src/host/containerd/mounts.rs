//! containerd's mounts in the terms of mount(2).

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use containerd_client::types::Mount;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// The kernel takes one page of mount options.
const OPTIONS_MAX: usize = 4_000;

/// Mounts all of them at `at`, over each other, for a look from outside: nothing there is executed. What was mounted before
/// one failed is unmounted.
pub(super) fn mount_all(mounts: &[Mount], at: &Path, access: MountFlags) -> io::Result<()> {
    for wanted in mounts {
        let plan = Plan::of(wanted)?;
        let flags = plan.flags | access | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
        if let Err(error) = mount(&wanted.source, at, &wanted.r#type, flags, plan.options.as_deref()) {
            unmount_all(at)?;
            return Err(error.into());
        }
    }
    Ok(())
}

/// Unmounts whatever is mounted at `at`, once or several times over; nothing there is fine.
pub(super) fn unmount_all(at: &Path) -> io::Result<()> {
    loop {
        match unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// One of containerd's mounts in the terms of mount(2).
struct Plan {
    flags: MountFlags,
    options: Option<std::ffi::CString>,
    /// Held open for as long as `options` name it.
    _common: Option<fs::File>,
}

impl Plan {
    fn of(wanted: &Mount) -> io::Result<Self> {
        let mut flags = MountFlags::empty();
        let mut options = Vec::new();
        for option in &wanted.options {
            match option.as_str() {
                "rw" | "ro" => {}
                "bind" => flags |= MountFlags::BIND,
                "rbind" => flags |= MountFlags::BIND | MountFlags::REC,
                other => options.push(other.to_owned()),
            }
        }
        let mut common = None;
        if options.iter().map(String::len).sum::<usize>() > OPTIONS_MAX {
            common = shorten(&mut options)?;
        }
        let joined = options.join(",");
        let options = (!joined.is_empty()).then(|| std::ffi::CString::new(joined)).transpose()?;
        Ok(Self { flags, options, _common: common })
    }
}

/// An overlay of many layers has more text than fits: names their common directory by an open file instead.
fn shorten(options: &mut [String]) -> io::Result<Option<fs::File>> {
    let Some(lower) = options.iter_mut().find(|option| option.starts_with("lowerdir=")) else { return Ok(None) };
    let layers: Vec<PathBuf> = lower["lowerdir=".len()..].split(':').map(PathBuf::from).collect();
    let mut common = layers[0].clone();
    while !layers.iter().all(|layer| layer.starts_with(&common)) {
        common.pop();
    }
    let directory = fs::File::open(&common)?;
    let from = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let short = layers.iter().filter_map(|layer| layer.strip_prefix(&common).ok());
    let short: Vec<_> = short.map(|layer| format!("{from}/{}", layer.display())).collect();
    *lower = format!("lowerdir={}", short.join(":"));
    Ok(Some(directory))
}
