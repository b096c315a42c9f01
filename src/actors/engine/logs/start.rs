//! Where to begin to read: found from the ends of the logs, which are never read as a whole for their last lines.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::asked;
use super::cursor::CHUNK;
use crate::engine::LogQuery;
use crate::function::InstanceId;
use crate::host::{HostError, Log, LogChunk, Logs};

/// The place in each log from which on it is asked for: the last lines of all logs together, by their times.
pub(super) async fn places(
    logs: &dyn Logs,
    query: &LogQuery,
    all: &[Log],
) -> Result<BTreeMap<InstanceId, u64>, HostError> {
    let mut searches = Vec::new();
    for log in all {
        let mut search = Search::from_end(log);
        search.skip_what_is_not_ended(logs, log.ended).await?;
        search.step(logs, query).await?;
        searches.push(search);
    }
    let mut left = query.tail.unwrap_or(u64::MAX);
    while left > 0 {
        // The later instance's line is the later one if they have the same time: see `Reader::batch`.
        let latest = searches.iter_mut().filter(|search| search.found.is_some());
        let latest = latest.max_by(|a, b| (a.found.map(|it| it.1), &a.id).cmp(&(b.found.map(|it| it.1), &b.id)));
        let Some(search) = latest else { break };
        left -= 1;
        search.accept();
        search.step(logs, query).await?;
    }
    Ok(searches.into_iter().map(|search| (search.id, search.bound)).collect())
}

/// Goes through a log's lines backwards.
struct Search {
    id: InstanceId,
    begins: u64,
    /// Where the line begins that was accepted last.
    bound: u64,
    /// Where the line before it begins, and when that was, if it is asked for.
    found: Option<(u64, Timestamp)>,
    piece: LogChunk,
}

impl Search {
    fn from_end(log: &Log) -> Self {
        Self { id: log.id.clone(), begins: log.begins, bound: log.ends, found: None, piece: LogChunk::default() }
    }

    /// A line without its newline is none before its log has ended.
    async fn skip_what_is_not_ended(&mut self, logs: &dyn Logs, ended: bool) -> Result<(), HostError> {
        if !ended {
            self.bound = self.line_start(logs, self.bound).await?;
        }
        Ok(())
    }

    fn accept(&mut self) {
        if let Some((start, _)) = self.found.take() {
            self.bound = start;
        }
    }

    /// Looks for the line before the one that was accepted last.
    async fn step(&mut self, logs: &dyn Logs, query: &LogQuery) -> Result<(), HostError> {
        self.found = None;
        if self.bound <= self.begins {
            return Ok(());
        }
        // Its last byte is its newline, or the log's last byte.
        let start = self.line_start(logs, self.bound - 1).await?;
        if let Some(time) = self.time(logs, start).await?.filter(|time| query.wants_from(*time)) {
            self.found = Some((start, time));
        }
        Ok(())
    }

    /// The first byte of the line that the byte before `end` belongs to.
    async fn line_start(&mut self, logs: &dyn Logs, mut end: u64) -> Result<u64, HostError> {
        loop {
            if end <= self.begins {
                return Ok(self.begins);
            }
            let before = match self.loaded(end) {
                Some(before) => before,
                None => {
                    self.load(logs, end.saturating_sub(CHUNK as u64).max(self.begins), CHUNK).await?;
                    match self.loaded(end) {
                        Some(before) => before,
                        // It was given back meanwhile.
                        None => return Ok(self.begins),
                    }
                }
            };
            match before.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => return Ok(self.piece.from + at as u64 + 1),
                None => end = self.piece.from,
            }
        }
    }

    /// What is loaded of the bytes before a place, if the last of them is.
    fn loaded(&self, end: u64) -> Option<&[u8]> {
        let length = usize::try_from(end.checked_sub(self.piece.from)?).ok()?;
        self.piece.bytes.get(..length).filter(|bytes| !bytes.is_empty())
    }

    async fn load(&mut self, logs: &dyn Logs, from: u64, most: usize) -> Result<(), HostError> {
        self.piece = match asked(logs.read(&self.id, from, most)).await {
            // Nothing of it is kept any more.
            Err(HostError::NotFound(_)) => LogChunk { from: u64::MAX, ..LogChunk::default() },
            read => read?,
        };
        self.begins = self.begins.max(if self.piece.from > from { self.piece.from } else { 0 });
        Ok(())
    }

    /// When the byte at a place was written; none if it is not kept any more.
    async fn time(&mut self, logs: &dyn Logs, place: u64) -> Result<Option<Timestamp>, HostError> {
        let known = |piece: &LogChunk| {
            let after = piece.from <= place;
            piece.stamps.iter().find(|stamp| after && stamp.end > place).map(|stamp| stamp.at)
        };
        if let Some(time) = known(&self.piece) {
            return Ok(Some(time));
        }
        self.load(logs, place, CHUNK).await?;
        Ok(known(&self.piece))
    }
}
