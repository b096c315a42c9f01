//! Indexes and tails of logs as fuzz targets: whatever a power cut or a bad disk left of them, what is read is bounded by
//! what is there, and what is written next is read again.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use jiff::Timestamp;
use rustix::fs::{MemfdFlags, memfd_create};

use super::{index, tail};
use crate::host::LogTime;

/// A file in memory, and the path by which it is opened.
fn file(content: &[u8]) -> (OwnedFd, PathBuf) {
    let fd = memfd_create("fuzzed", MemfdFlags::CLOEXEC).expect("memory");
    let file = File::from(fd);
    file.write_all_at(content, 0).expect("memory");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
    (file.into(), path)
}

/// The first 8 bytes are the length of the log, the rest is its index.
pub(crate) fn log_indexes(bytes: &[u8]) -> bool {
    let (length, content) = bytes.split_first_chunk::<8>().unwrap_or((&[0; 8], bytes));
    let length = u64::from_le_bytes(*length);
    tails(content, usize::try_from(length % 64).unwrap_or_default());
    let (fd, path) = file(content);
    let Ok(opened) = index::open(&path, length) else { return false };
    assert!(opened.size <= content.len() as u64, "an index that grew by being opened");
    assert!(opened.last.is_none_or(|last| last.end <= length), "a record of bytes that are not there");
    let opened_again = index::open(&path, length).expect("it was sound a moment ago");
    assert_eq!(opened_again, opened, "opening it twice is opening it once");
    let first = index::first(&path, opened.size).expect("it is as long as it was told");
    assert_eq!(first.is_some(), opened.last.is_some());
    let file = File::from(fd);
    let most = (opened.size / 16) as usize;
    for (from, to) in [(0, length), (opened.head.begins, length), (length / 2, length), (0, 0), (length, u64::MAX)] {
        let stamps = index::stamps(&file, opened.size, from, to).expect("what is there can be read");
        assert!(stamps.len() <= most, "more records than there are");
    }
    let next = LogTime { end: length, at: Timestamp::UNIX_EPOCH };
    let size = index::append(&path, opened.size, next).expect("memory");
    let later = index::open(&path, length).expect("what was appended to is sound");
    assert_eq!((later.last, later.size, later.head), (Some(next), size, opened.head), "the new record is the last one");
    true
}

/// The end of a log is part of it, and no longer than was asked for.
fn tails(content: &[u8], most: usize) {
    let (_fd, path) = file(content);
    let read = tail::read(&path, most).expect("memory");
    assert!(read.len() <= 3 * most, "{} bytes of {most}", read.len());
    let whole = String::from_utf8_lossy(content);
    if std::str::from_utf8(content).is_ok() && !read.contains('\u{fffd}') {
        assert!(whole.ends_with(&read), "{read:?} is not the end");
    }
}
