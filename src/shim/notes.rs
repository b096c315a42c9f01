//! What a server has to say for people: into containerd's log.
//!
//! containerd reads a FIFO in each bundle and writes what comes to its own standard error. Nothing here waits for it: a
//! FIFO without reader, or one that is full, loses the note.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::PROGRAM;

/// Writes a line about a container into containerd's log.
pub(super) fn note(bundle: &Path, id: &str, text: &str) {
    let fifo = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(bundle.join("log"));
    if let Ok(mut fifo) = fifo {
        let _ = fifo.write_all(format!("{PROGRAM}: {id}: {text}\n").as_bytes());
    }
}
