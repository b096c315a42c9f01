//! What is in `/dev` of a container: the nodes that every program may expect, and links to its own descriptors.

use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::fault::Fault;
use super::root::Root;

const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
];

/// Makes them.
pub(super) fn make(root: &Root) -> Result<(), Fault> {
    let dev = root.make_directory(Path::new("/dev")).map_err(failed("/dev"))?;
    for (name, major, minor) in NODES {
        // One that the image has, where nothing is mounted over it, is replaced.
        let _ = unlinkat(&dev, name, rustix::fs::AtFlags::empty());
        let mode = Mode::from_raw_mode(0o666);
        let mask = rustix::process::umask(Mode::empty());
        let made = mknodat(&dev, name, FileType::CharacterDevice, mode, makedev(major, minor));
        rustix::process::umask(mask);
        made.map_err(failed(name))?;
    }
    let has_core = rustix::fs::accessat(CWD, "/proc/kcore", rustix::fs::Access::EXISTS, rustix::fs::AtFlags::empty());
    for (to, name) in LINKS.iter().filter(|(_, name)| *name != "core" || has_core.is_ok()) {
        if *name == "ptmx" {
            let _ = unlinkat(&dev, *name, rustix::fs::AtFlags::empty());
        }
        match symlinkat(*to, &dev, *name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(name)(errno)),
        }
    }
    Ok(())
}

fn failed(name: &str) -> impl Fn(Errno) -> Fault {
    Fault::setup(format!("error during container init: error creating device nodes: {name}"))
}
