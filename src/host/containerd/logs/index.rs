//! The file beside a log that says when which part of it was written, and whose it is.
//!
//! ```text
//! "actlog1\n"  begins: u64  born: i64  "name.namespace", 128 bytes   (end: u64  at: i64)*
//! ```
//! Numbers are little-endian, times nanoseconds since 1970. A record is one look at the log: what lies between the record
//! before it and `end` was written by `at`. A record that a power cut tore is dropped when the index is opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use jiff::Timestamp;

use crate::function::FunctionId;
use crate::host::LogTime;

const MAGIC: &[u8; 8] = b"actlog1\n";
const NAME: usize = 128;
const HEAD: u64 = 8 + 8 + 8 + NAME as u64;
const RECORD: u64 = 16;

/// What an index says of its log as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Whose log it is.
    pub(super) function: FunctionId,
    /// When its instance was made.
    pub(super) born: Timestamp,
    /// The first byte of the log that is kept.
    pub(super) begins: u64,
}

/// An index as it is found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) head: Head,
    pub(super) last: Option<LogTime>,
    /// The length of the file.
    pub(super) size: u64,
}

/// Begins an index. Returns the length of the file.
pub(super) fn create(path: &Path, head: &Head) -> io::Result<u64> {
    write_new(path, head, &[])
}

/// Reads an index's head and its last record, of those that tell of no more than `length` bytes.
pub(super) fn open(path: &Path, length: u64) -> io::Result<Opened> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let head = read_head(&file)?;
    let found = file.metadata()?.len();
    let mut records = found.saturating_sub(HEAD) / RECORD;
    let mut last = None;
    while records > 0 {
        let stamp = record(&file, records - 1)?;
        if stamp.end <= length {
            last = Some(stamp);
            break;
        }
        records -= 1;
    }
    let size = HEAD + records * RECORD;
    if size != found {
        file.set_len(size)?;
    }
    Ok(Opened { head, last, size })
}

/// Adds a record. Returns the length of the file.
pub(super) fn append(path: &Path, size: u64, stamp: LogTime) -> io::Result<u64> {
    // At its place, not at the end: what a full disk tore is overwritten.
    OpenOptions::new().write(true).open(path)?.write_all_at(&encoded(stamp), size)?;
    Ok(size + RECORD)
}

/// Replaces an index by one with another head, without the records of what is not kept. Returns the length of the file.
pub(super) fn rewrite(path: &Path, size: u64, head: &Head) -> io::Result<u64> {
    let file = File::open(path)?;
    let records = (size - HEAD) / RECORD;
    let first = first_after(&file, records, head.begins)?;
    let mut kept = vec![0; usize::try_from((records - first) * RECORD).map_err(io::Error::other)?];
    file.read_exact_at(&mut kept, HEAD + first * RECORD)?;
    let beside = path.with_extension("new");
    let size = write_new(&beside, head, &kept)?;
    fs::rename(&beside, path)?;
    Ok(size)
}

/// The stamps of the bytes from `from` to `to`, from an index of this length.
pub(super) fn stamps(file: &File, size: u64, from: u64, to: u64) -> io::Result<Vec<LogTime>> {
    let records = (size - HEAD) / RECORD;
    let mut stamps = Vec::new();
    for number in first_after(file, records, from)?..records {
        let stamp = record(file, number)?;
        stamps.push(stamp);
        if stamp.end >= to {
            break;
        }
    }
    Ok(stamps)
}

/// The time of the first record, if there is one.
pub(super) fn first(path: &Path, size: u64) -> io::Result<Option<Timestamp>> {
    if size < HEAD + RECORD {
        return Ok(None);
    }
    Ok(Some(record(&File::open(path)?, 0)?.at))
}

/// The first record that ends after a place.
fn first_after(file: &File, records: u64, place: u64) -> io::Result<u64> {
    let (mut low, mut high) = (0, records);
    while low < high {
        let middle = low + (high - low) / 2;
        if record(file, middle)?.end <= place { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

fn write_new(path: &Path, head: &Head, records: &[u8]) -> io::Result<u64> {
    let name = head.function.to_string();
    let mut bytes = Vec::with_capacity(152 + records.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&head.begins.to_le_bytes());
    bytes.extend_from_slice(&nanoseconds(head.born).to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes.resize(usize::try_from(HEAD).map_err(io::Error::other)?, 0);
    bytes.extend_from_slice(records);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(&bytes)?;
    Ok(bytes.len() as u64)
}

fn read_head(file: &File) -> io::Result<Head> {
    let mut bytes = [0; 8 + 8 + 8 + NAME];
    file.read_exact_at(&mut bytes, 0)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "this is no index of a log");
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or_else(invalid)?;
    let (begins, rest) = rest.split_first_chunk::<8>().ok_or_else(invalid)?;
    let (born, name) = rest.split_first_chunk::<8>().ok_or_else(invalid)?;
    let name = std::str::from_utf8(name).map_err(|_| invalid())?.trim_end_matches('\0');
    if magic != MAGIC {
        return Err(invalid());
    }
    let function = name.parse().map_err(|_| invalid())?;
    Ok(Head { function, born: time(i64::from_le_bytes(*born)), begins: u64::from_le_bytes(*begins) })
}

fn record(file: &File, number: u64) -> io::Result<LogTime> {
    let mut bytes = [0; 16];
    file.read_exact_at(&mut bytes, HEAD + number * RECORD)?;
    let number = u128::from_le_bytes(bytes);
    #[expect(clippy::cast_possible_truncation, reason = "each half is taken by itself")]
    let (end, at) = (number as u64, (number >> 64) as i64);
    Ok(LogTime { end, at: time(at) })
}

fn encoded(stamp: LogTime) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (end, at) = bytes.split_at_mut(8);
    end.copy_from_slice(&stamp.end.to_le_bytes());
    at.copy_from_slice(&nanoseconds(stamp.at).to_le_bytes());
    bytes
}

fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(begins: u64) -> Head {
        Head { function: "echo.dev".parse().unwrap(), born: time(1_000_000_007), begins }
    }

    fn stamp(end: u64) -> LogTime {
        LogTime { end, at: time(2_000_000_000 + i64::try_from(end).unwrap()) }
    }

    fn written(path: &Path, ends: &[u64]) -> u64 {
        let size = create(path, &head(0)).unwrap();
        ends.iter().fold(size, |size, end| append(path, size, stamp(*end)).unwrap())
    }

    #[test]
    fn what_was_recorded_is_found_again_by_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.idx");
        let size = written(&path, &[10, 20, 30]);
        assert_eq!(open(&path, 30).unwrap(), Opened { head: head(0), last: Some(stamp(30)), size });
        let file = File::open(&path).unwrap();
        for (from, to, ends) in [(0, 1, vec![10]), (0, 10, vec![10]), (9, 11, vec![10, 20]), (10, 30, vec![20, 30])] {
            let found: Vec<u64> = stamps(&file, size, from, to).unwrap().iter().map(|stamp| stamp.end).collect();
            assert_eq!(found, ends, "{from}..{to}");
        }
        assert_eq!(stamps(&file, size, 12, 13).unwrap(), [stamp(20)]);
    }

    #[test]
    fn a_torn_record_and_those_of_bytes_that_were_lost_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.idx");
        let size = written(&path, &[10, 20, 30]);
        File::options().append(true).open(&path).unwrap().write_all(b"torn").unwrap();
        assert_eq!(open(&path, 25).unwrap().last, Some(stamp(20)));
        assert_eq!(fs::metadata(&path).unwrap().len(), size - RECORD);
    }

    #[test]
    fn records_of_what_is_not_kept_go_and_one_that_is_half_kept_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.idx");
        let size = written(&path, &[10, 20, 30]);
        let size = rewrite(&path, size, &head(15)).unwrap();
        let opened = open(&path, 30).unwrap();
        assert_eq!(opened, Opened { head: head(15), last: Some(stamp(30)), size });
        let file = File::open(&path).unwrap();
        assert_eq!(stamps(&file, size, 15, 30).unwrap(), [stamp(20), stamp(30)]);
    }

    #[test]
    fn what_is_no_index_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.idx");
        for content in [Vec::new(), vec![0; 10], vec![b'x'; 500]] {
            fs::write(&path, content).unwrap();
            assert!(open(&path, 0).is_err());
        }
    }
}
