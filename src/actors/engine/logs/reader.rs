//! All logs of a function as one, in the order of their times.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::asked;
use super::cursor::Cursor;
use super::start::places;
use crate::engine::{LogLine, LogQuery};
use crate::function::{FunctionId, InstanceId};
use crate::host::{HostError, Log, LogSet, Logs};

/// Lines are read in batches of at least this many bytes, where there are as many.
const PORTION: usize = 32 * 1024;

/// What a line takes beside its text, in bytes: about what a reader gets of its name and time.
const LINE_COST: usize = 128;

pub(super) struct Reader {
    logs: Arc<dyn Logs>,
    query: LogQuery,
    cursors: BTreeMap<InstanceId, Cursor>,
    /// Of what was looked at last.
    version: u64,
    /// Whether anything may still be added to what is there.
    pub(super) grows: bool,
}

impl Reader {
    /// At the place that is asked for, in each log.
    pub(super) async fn open(logs: Arc<dyn Logs>, query: LogQuery) -> Result<Self, HostError> {
        let kept = asked(logs.kept(&query.function)).await?;
        let wanted = |log: &Log| !log.forgotten && query.wants(&log.id);
        let wanted: Vec<Log> = kept.logs.into_iter().filter(wanted).collect();
        let mut places = places(&*logs, &query, &wanted).await?;
        let at = |log: Log| Some((log.id.clone(), Cursor::at(places.remove(&log.id)?, &log)));
        let grows = wanted.iter().any(|log| !log.ended);
        let cursors = wanted.into_iter().filter_map(at).collect();
        Ok(Self { logs, query, cursors, version: kept.version, grows })
    }

    /// The next lines; empty if there are none for now.
    pub(super) async fn batch(&mut self) -> Result<Vec<LogLine>, HostError> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while bytes < PORTION {
            let mut gone = Vec::new();
            for (id, cursor) in &mut self.cursors {
                match cursor.fill(&*self.logs).await {
                    Err(HostError::NotFound(_)) => gone.push(id.clone()),
                    filled => filled?,
                }
            }
            gone.iter().for_each(|id| drop(self.cursors.remove(id)));
            let timed = self.cursors.iter_mut().filter_map(|(id, cursor)| Some((cursor.peek()?, id, cursor)));
            let Some((time, id, cursor)) = timed.min_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1))) else { break };
            let wanted = self.query.wants_from(time);
            cursor.take(|text| {
                if wanted {
                    // A line costs something beside its text: many empty ones are a batch, too.
                    bytes += text.len() + LINE_COST;
                    lines.push(LogLine { instance: id.clone(), time, text: text.to_owned() });
                }
            });
        }
        Ok(lines)
    }

    /// Looks again at what there is.
    pub(super) async fn look(&self) -> Result<LogSet, HostError> {
        asked(self.logs.kept(&self.query.function)).await
    }

    /// Goes on with what there is: with the logs that are read already, and with `more` that are not forgotten.
    pub(super) fn update(&mut self, kept: &LogSet, more: bool) {
        self.version = kept.version;
        self.cursors.retain(|id, _| kept.logs.iter().any(|log| log.id == *id));
        self.grows = false;
        for log in kept.logs.iter().filter(|log| self.query.wants(&log.id)) {
            if !self.cursors.contains_key(&log.id) && (!more || log.forgotten) {
                continue;
            }
            self.grows |= !log.ended;
            let cursor = self.cursors.entry(log.id.clone()).or_insert_with(|| Cursor::at(log.begins, log));
            cursor.update(log);
        }
    }

    /// Returns when there may be more.
    pub(super) async fn changed(&self) -> Result<(), HostError> {
        self.logs.changed(&self.query.function, self.version).await
    }

    pub(super) fn function(&self) -> &FunctionId {
        &self.query.function
    }
}
