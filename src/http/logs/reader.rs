//! All logs of a function as one, in the order of their times.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::asked;
use super::cursor::Cursor;
use super::query::Query;
use super::start::places;
use crate::function::{FunctionId, InstanceId};
use crate::host::{HostError, Log, Logs};
use crate::wire::LogMessage;

/// An answer is sent in portions of at least this much, where there is as much.
const PORTION: usize = 32 * 1024;

pub(super) struct Reader {
    logs: Arc<dyn Logs>,
    function: FunctionId,
    query: Query,
    cursors: BTreeMap<InstanceId, Cursor>,
    /// Of what was looked at last.
    version: u64,
    /// Whether anything may still be added to what is there.
    pub(super) grows: bool,
}

impl Reader {
    /// At the place that is asked for, in each log.
    pub(super) async fn open(logs: Arc<dyn Logs>, function: FunctionId, query: Query) -> Result<Self, HostError> {
        let kept = asked(logs.kept(&function)).await?;
        let wanted: Vec<Log> = kept.logs.into_iter().filter(|log| query.wants(&log.id)).collect();
        let mut places = places(&*logs, &query, &wanted).await?;
        let at = |log: Log| Some((log.id.clone(), Cursor::at(places.remove(&log.id)?, &log)));
        let grows = wanted.iter().any(|log| !log.ended);
        let cursors = wanted.into_iter().filter_map(at).collect();
        Ok(Self { logs, function, query, cursors, version: kept.version, grows })
    }

    /// The next lines; empty if there are none for now.
    pub(super) async fn batch(&mut self) -> Result<Vec<u8>, HostError> {
        let mut lines = Vec::new();
        while lines.len() < PORTION {
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
            let function = &self.function;
            cursor
                .take(|text| {
                    if !wanted {
                        return Ok(());
                    }
                    let message = LogMessage {
                        name: function.name.as_str().into(),
                        namespace: function.namespace.as_str().into(),
                        instance: id.as_str().into(),
                        timestamp: time.to_string().into(),
                        text: text.into(),
                    };
                    serde_json::to_writer(&mut lines, &message).map(|()| lines.push(b'\n'))
                })
                .transpose()
                .map_err(|error| HostError::Failed(format!("write a line of the log of {id}: {error}")))?;
        }
        Ok(lines)
    }

    /// Looks again at what there is.
    pub(super) async fn refresh(&mut self) -> Result<(), HostError> {
        let kept = asked(self.logs.kept(&self.function)).await?;
        self.version = kept.version;
        self.cursors.retain(|id, _| kept.logs.iter().any(|log| log.id == *id));
        self.grows = false;
        for log in kept.logs.iter().filter(|log| self.query.wants(&log.id)) {
            self.grows |= !log.ended;
            let cursor = self.cursors.entry(log.id.clone()).or_insert_with(|| Cursor::at(log.begins, log));
            cursor.update(log);
        }
        Ok(())
    }

    /// Returns when there may be more.
    pub(super) async fn changed(&self) -> Result<(), HostError> {
        self.logs.changed(&self.function, self.version).await
    }

    pub(super) fn function(&self) -> &FunctionId {
        &self.function
    }
}
