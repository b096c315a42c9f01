//! Logs in memory: bytes with the time at which each write came.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::machine::{Machine, State, Written};
use crate::function::{FunctionId, InstanceId};
use crate::host::{HostError, Log, LogChunk, LogSet, LogTime};

impl State {
    pub(super) fn begin_log(&mut self, id: &InstanceId, function: &FunctionId) {
        let function = function.clone();
        let log = Written {
            function: function.clone(),
            bytes: Vec::new(),
            stamps: Vec::new(),
            begins: 0,
            born: Timestamp::now(),
            ended: false,
            forgotten: false,
        };
        self.logs.insert(id.clone(), log);
        self.changes.note(&function);
    }

    pub(super) fn write_log(&mut self, id: &InstanceId, bytes: &[u8], at: Timestamp) {
        let Some(log) = self.logs.get_mut(id).filter(|_| !bytes.is_empty()) else { return };
        log.bytes.extend_from_slice(bytes);
        let at = log.stamps.last().map_or(at, |last| last.at.max(at));
        log.stamps.push(LogTime { end: log.bytes.len() as u64, at });
        self.changes.note(&log.function);
    }

    /// Nothing will be added to it: its instance is gone.
    pub(super) fn end_log(&mut self, id: &InstanceId) {
        let Some(log) = self.logs.get_mut(id) else { return };
        log.ended = true;
        self.changes.note(&log.function);
        if log.forgotten || log.bytes.is_empty() {
            self.remove_log(id);
        }
    }

    fn forget_logs(&mut self, before: impl Fn(&FunctionId) -> Option<Timestamp>) {
        let mut gone = Vec::new();
        for (id, log) in &mut self.logs {
            if before(&log.function).is_some_and(|before| log.born <= before) {
                log.forgotten = true;
                self.changes.note(&log.function);
                gone.extend(log.ended.then(|| id.clone()));
            }
        }
        for id in gone {
            self.remove_log(&id);
        }
    }

    /// Forgets the oldest bytes.
    pub(super) fn shorten_log(&mut self, id: &InstanceId, begins: u64) {
        if let Some(log) = self.logs.get_mut(id) {
            log.begins = begins.min(log.bytes.len() as u64);
            self.changes.note(&log.function);
        }
    }

    pub(super) fn remove_log(&mut self, id: &InstanceId) {
        if let Some(log) = self.logs.remove(id) {
            self.changes.note(&log.function);
        }
    }
}

impl Machine {
    pub(super) async fn kept(&self, function: &FunctionId, _half: bool) -> Result<LogSet, HostError> {
        let state = self.lock();
        let logs = state.logs.iter().filter(|(_, log)| log.function == *function).map(|(id, log)| Log {
            id: id.clone(),
            begins: log.begins,
            ends: log.bytes.len() as u64,
            ended: log.ended,
            forgotten: log.forgotten,
        });
        Ok(LogSet { logs: logs.collect(), version: state.changes.version(function) })
    }

    pub(super) async fn read(
        &self,
        id: &InstanceId,
        from: u64,
        most: usize,
        _half: bool,
    ) -> Result<LogChunk, HostError> {
        let state = self.lock();
        let log = state.logs.get(id).ok_or_else(|| HostError::NotFound(format!("log of {id}")))?;
        let from = from.max(log.begins);
        let rest = usize::try_from(from).ok().and_then(|from| log.bytes.get(from..)).unwrap_or_default();
        let bytes = rest[..most.min(rest.len())].to_vec();
        let stamps = stamps_between(&log.stamps, from, from + bytes.len() as u64);
        Ok(LogChunk { from, bytes, stamps })
    }

    pub(super) async fn changed(&self, function: &FunctionId, seen: u64, _half: bool) -> Result<(), HostError> {
        let changes = self.lock().changes.clone();
        changes.after(function, seen).await
    }

    pub(super) async fn forget(&self, function: &FunctionId, before: Timestamp, _half: bool) -> Result<(), HostError> {
        self.lock().forget_logs(|of| (of == function).then_some(before));
        Ok(())
    }

    pub(super) async fn sweep(
        &self,
        known: &BTreeMap<FunctionId, Timestamp>,
        before: Timestamp,
        _half: bool,
    ) -> Result<(), HostError> {
        self.lock().forget_logs(|of| Some(known.get(of).copied().unwrap_or(before)));
        Ok(())
    }
}

/// The stamps of the bytes from `from` to `to`, out of all stamps in order.
fn stamps_between(stamps: &[LogTime], from: u64, to: u64) -> Vec<LogTime> {
    let first = stamps.partition_point(|stamp| stamp.end <= from);
    let last = stamps.partition_point(|stamp| stamp.end < to);
    stamps.get(first..=last.min(stamps.len().saturating_sub(1))).unwrap_or_default().to_vec()
}
