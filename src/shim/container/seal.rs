//! A program that makes containers by copying itself is, for a moment, the program of a process inside one. An image whose
//! command is `/proc/self/exe` runs this program once more there, with libraries of its own, and could write to its file.
//! So it runs from a mount that is read-only.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, fstatvfs, open};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::kernel;

const SELF: &str = "/proc/self/exe";

/// Whether this program's file can't be written to by way of its process.
fn is_sealed() -> io::Result<bool> {
    let file = open(SELF, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Ok(fstatvfs(&file)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// This program's file as its server shall run it: by a mount of its own, which is read-only.
///
/// # Errors
/// As the kernel has them; before Linux 5.12 there is no such mount.
pub fn sealed_program() -> io::Result<OwnedFd> {
    let file = open_tree(CWD, SELF, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    kernel::make_read_only(file.as_fd())?;
    Ok(file)
}

/// Goes on as the same program, with the same arguments and variables, from a read-only mount of its file; returns where it
/// does so already.
///
/// # Errors
/// As the kernel has them; before Linux 5.12 there is no such mount.
pub fn seal() -> io::Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    let file = sealed_program()?;
    let strings = |texts: Vec<OsString>| -> Vec<CString> {
        texts.into_iter().filter_map(|text| CString::new(text.into_vec()).ok()).collect()
    };
    let arguments = strings(std::env::args_os().collect());
    let environment = std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    });
    Err(kernel::execute_file(file.as_fd(), &arguments, &strings(environment.collect())).into())
}
