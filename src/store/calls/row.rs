//! How what is kept of a call is written into columns, and read back.

use bytes::Bytes;
use rusqlite::Row;
use rusqlite::types::{Type, ValueRef};
use sha2::{Digest, Sha256};

use super::call::{Attempt, Callback, Kept, Phase, State, Summary, Verdict};
use super::id::{CallId, LaneId, Seq};
use crate::function::FunctionId;

/// Of a call's tries the first ones and the last ones are kept.
const FIRST: usize = 5;
const LAST: usize = 15;
/// How much is kept of a sentence that says why something failed, in bytes.
const REASON_MAX: usize = 1000;
/// What a call takes beside what it carries, about: rows, indexes and pages that are half full.
pub(super) const OVERHEAD: i64 = 400;

/// All columns of a [`Summary`], and [`ATTEMPTS`], of `calls c CROSS JOIN lanes l ON l.lane = c.function`. They are read by their
/// places: each call that is sent has them read, and looking for a name costs more than reading what it names.
pub(super) const SUMMARY: &str = "c.seq, c.id, c.caller_id, c.lane, c.state, c.phase, c.due, c.accepted, c.tries, c.called, \
     c.deadline, c.status, c.reason, c.verdict, c.bytes, c.guarded, c.callback, c.callback_checked, c.method, c.path, \
     c.schedule, l.namespace, l.name, c.attempts";
/// Where the tries are among them.
pub(super) const ATTEMPTS: usize = 23;

impl State {
    /// As a column has it.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Waiting => 0,
            Self::Done => 1,
            Self::Dead => 2,
            Self::Cancelled => 3,
        }
    }

    fn of(number: i64) -> Option<Self> {
        [Self::Waiting, Self::Done, Self::Dead, Self::Cancelled].into_iter().find(|state| state.number() == number)
    }
}

impl Phase {
    /// As a column has it.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Function => 0,
            Self::Callback => 1,
        }
    }

    fn of(number: i64) -> Option<Self> {
        [Self::Function, Self::Callback].into_iter().find(|phase| phase.number() == number)
    }
}

/// A verdict as a column has it; its reason has a column of its own.
pub(super) fn verdict_number(verdict: &Verdict) -> i64 {
    match verdict {
        Verdict::Done => State::Done.number(),
        Verdict::Dead { .. } => State::Dead.number(),
    }
}

/// A value that no program of ours wrote.
fn wrong(column: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, format!("{column}: not what was written").into())
}

/// Reads a row of [`SUMMARY`].
pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    let number = |column: usize| row.get::<_, i64>(column);
    let count = |column: usize| Ok::<_, rusqlite::Error>(u32::try_from(number(column)?).unwrap_or(u32::MAX));
    let reason: Option<String> = row.get(12)?;
    let verdict = match row.get::<_, Option<i64>>(13)?.map(State::of) {
        Some(Some(State::Done)) => Some(Verdict::Done),
        Some(Some(State::Dead)) => Some(Verdict::Dead { reason: reason.clone().unwrap_or_default() }),
        None => None,
        Some(_) => return Err(wrong("verdict")),
    };
    let (callback, checked): (Option<String>, bool) = (row.get(16)?, number(17)? != 0);
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(|_| wrong("name"));
    Ok(Summary {
        seq: Seq(number(0)?),
        id: id(row.get_ref(1)?)?,
        caller_id: row.get(2)?,
        function: function(text(21)?, text(22)?)?,
        lane: LaneId(number(3)?),
        state: State::of(number(4)?).ok_or_else(|| wrong("state"))?,
        phase: phase(number(5)?)?,
        due: number(6)?,
        accepted: number(7)?,
        tries: count(8)?,
        called: count(9)?,
        deadline: row.get(10)?,
        status: row.get(11)?,
        reason,
        verdict,
        bytes: u64::try_from(number(14)?).unwrap_or(0),
        guarded: number(15)? != 0,
        callback: callback.map(|url| Callback { url, checked }),
        method: row.get(18)?,
        path: row.get(19)?,
        schedule: row.get(20)?,
    })
}

/// Reads a column with a phase.
pub(super) fn phase(number: i64) -> rusqlite::Result<Phase> {
    Phase::of(number).ok_or_else(|| wrong("phase"))
}

/// Reads a column with an id.
pub(super) fn id(value: ValueRef<'_>) -> rusqlite::Result<CallId> {
    let bytes = value.as_bytes().ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(CallId::from_bytes).ok_or_else(|| wrong("id"))
}

/// Reads the columns that name a function.
pub(super) fn function(namespace: &str, name: &str) -> rusqlite::Result<FunctionId> {
    let read = name.parse().ok().zip(namespace.parse().ok());
    read.map(|(name, namespace)| FunctionId::new(name, namespace)).ok_or_else(|| wrong("name"))
}

/// The tries that a column has. What can't be read of what is only shown is left out.
pub(super) fn attempts(value: ValueRef<'_>) -> Vec<Attempt> {
    value.as_bytes().ok().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

/// The tries with one more, as a column has them.
pub(super) fn with_attempt(mut all: Vec<Attempt>, one: Option<&Attempt>) -> Option<Vec<u8>> {
    if let Some(one) = one {
        if all.len() >= FIRST + LAST {
            all.remove(FIRST);
        }
        all.push(Attempt { error: one.error.as_deref().map(shortened), ..one.clone() });
    }
    if all.is_empty() { None } else { serde_json::to_vec(&all).ok() }
}

/// As much of a sentence as is kept.
pub(super) fn shortened(text: &str) -> String {
    let mut end = text.len().min(REASON_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The headers of an answer as a column has them: each name and each value with its length before it.
pub(super) fn answer_head(head: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut written = Vec::new();
    for (name, value) in head {
        for part in [name.as_bytes(), value] {
            written.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            written.extend_from_slice(part);
        }
    }
    written
}

/// The headers of an answer, of what a column has; none if it was never written so.
pub(super) fn read_answer_head(mut written: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut part = || -> Option<Option<Vec<u8>>> {
        let Some((length, rest)) = written.split_first_chunk::<4>() else {
            return if written.is_empty() { Some(None) } else { None };
        };
        let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        written = rest;
        Some(Some(part.to_vec()))
    };
    let mut head = Vec::new();
    while let Some(name) = part()? {
        head.push((String::from_utf8(name).ok()?, part()??));
    }
    Some(head)
}

/// Reads an answer, and whether it is as it was written.
pub(super) fn answer(row: &Row<'_>) -> rusqlite::Result<(Kept, bool)> {
    let (status, head, body): (i64, Vec<u8>, Vec<u8>) = (row.get("status")?, row.get("head")?, row.get("body")?);
    let sound = answer_sum(status, &head, &body) == row.get_ref("sum")?.as_bytes().unwrap_or_default();
    let read = read_answer_head(&head);
    let sound = sound && read.is_some();
    let kept = Kept {
        status: u16::try_from(status).unwrap_or(0),
        head: read.unwrap_or_default(),
        body: body.into(),
        total: u64::try_from(row.get::<_, i64>("total")?).unwrap_or(0),
    };
    Ok((kept, sound))
}

/// SQLite does not notice a bit that flips inside a value.
fn sum(parts: &[&[u8]]) -> [u8; 8] {
    let mut whole = Sha256::new();
    for part in parts {
        whole.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        whole.update(part);
    }
    let mut short = [0; 8];
    short.copy_from_slice(&whole.finalize()[..8]);
    short
}

/// The checksum of all that decides what is sent.
pub(super) fn request_sum(
    id: CallId,
    method: &str,
    path: &str,
    callback: Option<&str>,
    head: &[u8],
    body: &[u8],
) -> [u8; 8] {
    let callback = callback.unwrap_or_default();
    sum(&[id.as_bytes(), method.as_bytes(), path.as_bytes(), callback.as_bytes(), head, body])
}

/// The checksum of an answer.
pub(super) fn answer_sum(status: i64, head: &[u8], body: &[u8]) -> [u8; 8] {
    sum(&[&status.to_be_bytes(), head, body])
}

/// The beginning of an answer's body that is kept when nobody waits for all of it.
pub(super) fn cut(body: &Bytes, most: usize) -> Bytes {
    body.slice(..body.len().min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_of_an_answer_are_read_as_they_were_written_and_nothing_else_is() {
        let head = vec![
            ("content-type".to_owned(), b"text/plain".to_vec()),
            ("x".to_owned(), vec![0, 255]),
            (String::new(), vec![]),
        ];
        let written = answer_head(&head);
        assert_eq!(read_answer_head(&written), Some(head));
        assert_eq!(read_answer_head(&[]), Some(vec![]));
        for cut in 1..written.len() {
            assert!(read_answer_head(&written[..cut]).is_none_or(|head| head.len() < 3), "{cut}");
        }
        assert_eq!(read_answer_head(&[255; 9]), None);
    }

    #[test]
    fn of_many_tries_the_first_and_the_last_are_kept() {
        let one = |n: i64| Attempt { started: n, took: 1, status: Some(500), error: None, callback: false };
        let mut written = None;
        for n in 0..100 {
            let before = written.as_deref().map(|bytes: &[u8]| attempts(ValueRef::Blob(bytes))).unwrap_or_default();
            written = with_attempt(before, Some(&one(n)));
        }
        let kept: Vec<i64> =
            attempts(ValueRef::Blob(&written.unwrap())).iter().map(|attempt| attempt.started).collect();
        assert_eq!(kept, (0..5).chain(85..100).collect::<Vec<_>>());
        assert_eq!(with_attempt(vec![], None), None);
    }

    #[test]
    fn a_sentence_is_cut_between_letters() {
        assert_eq!(shortened(&"ä".repeat(1000)).len(), 1000);
        assert_eq!(shortened(&format!("x{}", "ä".repeat(1000))).len(), 999);
    }

    #[test]
    fn a_checksum_tells_where_one_value_ends_and_the_next_begins() {
        let id = CallId::new(1);
        let of = |path, head: &[u8], body: &[u8]| request_sum(id, "GET", path, None, head, body);
        assert_ne!(of("/a", b"b", b"c"), of("/ab", b"", b"c"));
        assert_ne!(of("/a", b"b", b"c"), of("/a", b"bc", b""));
        assert_eq!(of("/a", b"b", b"c"), of("/a", b"b", b"c"));
    }
}
