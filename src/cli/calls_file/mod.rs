//! `calls.ndjson` of an export: the asynchronous calls that wait and the dead letters, a line each.
//!
//! ```text
//! calls.db (read only, whoever writes to it) -> Line -> calls.ndjson
//! calls.ndjson -> checked to its last line -> read again -> calls.db, in parts: what is there already is left as it is
//! ```
//! A file may have been written by anybody: what is taken is held to what the door would have let in.

mod head;
mod line;
pub(super) mod room;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use self::line::{Line, Stands};
use crate::queue::wall;
use crate::store::calls::{Calls, LaneKey, Loaded, StoreError};

/// Its name in the directory.
pub(super) const NAME: &str = "calls.ndjson";

/// What a line may take beside the bodies of a call and of its answer, in bytes: headers, URLs, attempts.
const BESIDE: u64 = 2 << 20;
/// So many calls are imported in one transaction, or fewer that take so many bytes.
const TOGETHER: usize = 1_000;
const BYTES_TOGETHER: usize = 8 << 20;

/// Why a file is not one.
#[derive(Debug, thiserror::Error)]
pub enum CallsFileError {
    /// It can't be read or written.
    #[error("can't {0} {1}: {2}")]
    Io(&'static str, PathBuf, io::Error),
    /// A line is none of an export.
    #[error("{0}: line {1}: {2}")]
    Line(PathBuf, usize, String),
    /// The database can't be read or written.
    #[error("{0}: {1}")]
    Store(PathBuf, StoreError),
    /// The disk is too full.
    #[error("{}: its calls need {needed} bytes of the disk, and {free} are free: make room first", path.display())]
    Room {
        /// The file.
        path: PathBuf,
        /// How much they need, with what is left to others.
        needed: u64,
        /// How much there is.
        free: u64,
    },
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) waiting: u64,
    pub(super) dead: u64,
    /// Those that were left out, since their records are damaged.
    pub(super) damaged: u64,
}

/// Writes the calls of the database at `db` to a new file, which only its owner can read. Values of headers that may be secrets
/// are in it only if they are wanted.
pub(super) fn write(db: &Path, to: &Path, with_secrets: bool) -> Result<Written, CallsFileError> {
    let failed = |error| CallsFileError::Io("write", to.to_owned(), error);
    let file = File::options().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    let (mut out, mut written, mut broken) = (BufWriter::new(file), Written::default(), None);
    if db.exists() {
        let now = wall();
        let read = Calls::read_unended(db, now, |_, call| {
            let Some(line) = Line::of(&call, with_secrets, now) else {
                written.damaged += 1;
                return Ok(());
            };
            match line.state {
                Stands::Waiting => written.waiting += 1,
                Stands::Dead => written.dead += 1,
            }
            let put =
                serde_json::to_writer(&mut out, &line).map_err(io::Error::from).and_then(|()| out.write_all(b"\n"));
            put.map_err(|error| {
                let told = StoreError::Failed(error.to_string());
                broken = Some(error);
                told
            })
        });
        if let Some(error) = broken {
            return Err(failed(error));
        }
        read.map_err(|error| CallsFileError::Store(db.to_owned(), error))?;
    }
    out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    Ok(written)
}

/// Reads the file, if it is there, and hands over its calls in parts. `longest`: the longest body that is taken, in bytes.
pub(super) fn read(
    path: &Path,
    longest: usize,
    mut take: impl FnMut(Vec<(LaneKey, Loaded)>) -> Result<(), CallsFileError>,
) -> Result<(), CallsFileError> {
    let failed = |error| CallsFileError::Io("read", path.to_owned(), error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    // Of a call and of its answer, each in four thirds of its length.
    let most = 2 * (longest as u64 / 3 + 1) * 4 + BESIDE;
    let (mut lines, mut text, mut number) = (BufReader::new(file), Vec::new(), 0);
    let (mut part, mut bytes) = (Vec::new(), 0);
    loop {
        text.clear();
        number += 1;
        let wrong = |why: String| CallsFileError::Line(path.to_owned(), number, why);
        if (&mut lines).take(most + 1).read_until(b'\n', &mut text).map_err(failed)? == 0 {
            break;
        }
        if text.len() as u64 > most {
            return Err(wrong(format!("it is longer than any call with bodies of {longest} bytes (queue-max-body)")));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(&text).map_err(|error| wrong(told(&error)))?;
        let call = line.call(longest).map_err(wrong)?;
        bytes += text.len();
        part.push(call);
        if part.len() >= TOGETHER || bytes >= BYTES_TOGETHER {
            take(std::mem::take(&mut part))?;
            bytes = 0;
        }
    }
    if part.is_empty() { Ok(()) } else { take(part) }
}

/// What is wrong with a line of JSON. It has no other lines.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let at = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&at) {
        Some(why) => format!("{why} (column {})", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests;
