//! One log, read forwards in lines.
//!
//! A line is what ends with a newline, or with the log. One that is too long comes in parts, so that no line, however
//! long, has to fit into memory.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::asked;
use crate::function::InstanceId;
use crate::host::{HostError, Log, LogTime, Logs};

/// The longest line that comes in one part.
pub(super) const LINE_MAX: usize = 64 * 1024;

/// How much is read at once.
pub(super) const CHUNK: usize = 64 * 1024;

/// A place in a log and what was read from there on.
#[derive(Debug)]
pub(super) struct Cursor {
    id: InstanceId,
    ends: u64,
    ended: bool,
    /// The place of the buffer's first byte.
    place: u64,
    buffer: Vec<u8>,
    /// How much of the buffer is known to have no newline in it.
    searched: usize,
    stamps: VecDeque<LogTime>,
    time: Timestamp,
}

/// How much of the buffer the next line takes: its text, and all of it.
struct Extent {
    text: usize,
    whole: usize,
}

impl Cursor {
    /// At a place in a log.
    pub(super) fn at(place: u64, log: &Log) -> Self {
        Self {
            id: log.id.clone(),
            ends: log.ends,
            ended: log.ended,
            place,
            buffer: Vec::new(),
            searched: 0,
            stamps: VecDeque::new(),
            time: Timestamp::MIN,
        }
    }

    /// Learns what has become of the log.
    pub(super) fn update(&mut self, log: &Log) {
        (self.ends, self.ended) = (log.ends, log.ended);
        if log.ends < self.place {
            // It was begun anew.
            *self = Self::at(log.begins, log);
        }
    }

    /// Reads on until there is a line, or all was read.
    pub(super) async fn fill(&mut self, logs: &dyn Logs) -> Result<(), HostError> {
        while self.extent().is_none() && self.fetched() < self.ends {
            let from = self.fetched();
            let piece = asked(logs.read(&self.id, from, CHUNK)).await?;
            if piece.from > from {
                // What was to be read has been given back: the line that was begun can't be finished.
                self.buffer.clear();
                (self.place, self.searched) = (piece.from, 0);
            }
            if piece.bytes.is_empty() {
                self.ends = self.fetched();
            }
            self.buffer.extend_from_slice(&piece.bytes);
            let known = self.stamps.back().map_or(0, |last| last.end);
            self.stamps.extend(piece.stamps.into_iter().filter(|stamp| stamp.end > known));
        }
        Ok(())
    }

    /// When the next line was begun, if one was read.
    pub(super) fn peek(&mut self) -> Option<Timestamp> {
        self.extent()?;
        while self.stamps.front().is_some_and(|stamp| stamp.end <= self.place) {
            self.stamps.pop_front();
        }
        if let Some(stamp) = self.stamps.front() {
            self.time = stamp.at;
        }
        Some(self.time)
    }

    /// Hands the next line's text to `take`, if one was read.
    pub(super) fn take<T>(&mut self, take: impl FnOnce(&str) -> T) -> Option<T> {
        let Extent { text, whole } = self.extent()?;
        let taken = take(&String::from_utf8_lossy(&self.buffer[..text]));
        self.buffer.drain(..whole);
        self.place += whole as u64;
        self.searched = 0;
        Some(taken)
    }

    fn fetched(&self) -> u64 {
        self.place + self.buffer.len() as u64
    }

    fn extent(&mut self) -> Option<Extent> {
        let most = self.buffer.len().min(LINE_MAX + 1);
        if let Some(at) = self.buffer[self.searched..most].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + at;
            // Found again when the line is taken.
            self.searched = end;
            let text = if self.buffer[..end].ends_with(b"\r") { end - 1 } else { end };
            return Some(Extent { text, whole: end + 1 });
        }
        self.searched = most;
        if self.buffer.len() > LINE_MAX {
            let cut = cut(&self.buffer[..=LINE_MAX]);
            return Some(Extent { text: cut, whole: cut });
        }
        let rest = self.buffer.len();
        (self.ended && rest > 0 && self.fetched() >= self.ends).then_some(Extent { text: rest, whole: rest })
    }
}

/// Where to part a line that goes on after all but the last of these bytes: not within a character.
fn cut(bytes: &[u8]) -> usize {
    let last = bytes.len() - 1;
    let continues = |at: &usize| bytes[*at] & 0xc0 == 0x80;
    let within = (last.saturating_sub(3)..=last).rev().find(|at| !continues(at));
    within.filter(|at| *at > 0).unwrap_or(last)
}
