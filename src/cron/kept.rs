//! Calls of schedules as calls of the queue: times as milliseconds, and the headers by which functions know them.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::seam::{Calls, Fired, Firing, Key, Known, Mark};
use crate::queue::head::Head;
use crate::queue::{self, Fire, FiredKey, FiredRow, Queue};

/// What a function finds in a call that was due, as connectors of the field send it.
const HEADERS: [(&str, &str); 2] = [("x-topic", "cron-function"), ("x-connector", "cron-connector")];

#[async_trait]
impl Calls for Queue {
    async fn fired(&self) -> Result<Vec<Known>, String> {
        let rows = Self::fired(self).await.map_err(|why| why.to_string())?;
        Ok(rows.into_iter().map(known).collect())
    }

    async fn fire(&self, firing: Firing) -> Result<Fired, String> {
        let headers = HEADERS.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let fire = Fire {
            key: key(firing.key),
            due: firing.due.as_millisecond(),
            skip: firing.skip,
            head: Head(headers.into()).encode(),
            body: Bytes::new(),
        };
        match Self::fire(self, fire).await.map_err(|why| why.to_string())? {
            queue::Fired::Now(call) => Ok(Fired::Now(call.to_string())),
            queue::Fired::Already => Ok(Fired::Already),
            queue::Fired::Skipped => Ok(Fired::Skipped),
        }
    }

    async fn mark(&self, of: Key, mark: Mark) -> Result<(), String> {
        let mark = match mark {
            Mark::Seen(at) => queue::Mark::Seen { now: at.as_millisecond() },
            Mark::Anew(at) => queue::Mark::Anew { now: at.as_millisecond() },
            Mark::Missed(through, count) => queue::Mark::Missed { last_due: through.as_millisecond(), count },
            Mark::Gone => queue::Mark::Gone,
        };
        Self::mark(self, key(of), mark).await.map_err(|why| why.to_string())
    }
}

fn key(Key { function, schedule }: Key) -> FiredKey {
    FiredKey { function, schedule }
}

fn known(row: FiredRow) -> Known {
    // What lies outside all dates was never written: it counts as long ago.
    let at = |time: i64| Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH);
    Known {
        key: Key { function: row.key.function, schedule: row.key.schedule },
        anchor: at(row.anchor),
        last_due: row.last_due.map(at),
        last_call: row.call.map(|call| call.to_string()),
        fired_at: row.fired_at.map(at),
        missed: row.missed,
        skipped: row.skipped,
    }
}
