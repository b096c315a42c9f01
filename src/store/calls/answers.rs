//! What was answered, in a table of its own.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::call::Kept;
use super::id::Seq;
use super::row;

/// Keeps an answer, in the place of an earlier one, and says how many bytes it takes. Of its body so many are kept at most.
pub(super) fn write(db: &Connection, seq: Seq, answer: &Kept, most: usize) -> Result<i64, StoreError> {
    let (head, body) = (row::answer_head(&answer.head), row::cut(&answer.body, most));
    let (status, total) = (i64::from(answer.status), i64::try_from(answer.total).unwrap_or(i64::MAX));
    let sql = "INSERT OR REPLACE INTO answers (seq, status, head, body, total, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let sum = row::answer_sum(status, &head, &body);
    db.prepare_cached(sql)?.execute(params![seq.0, status, head, &body[..], total, sum])?;
    Ok(i64::try_from(head.len() + body.len()).unwrap_or(i64::MAX / 2))
}

/// The answer that is kept, if one is, and whether it is as it was written.
pub(super) fn read(db: &Connection, seq: Seq) -> Result<Option<(Kept, bool)>, StoreError> {
    let sql = "SELECT status, head, body, total, sum FROM answers WHERE seq = ?1";
    Ok(db.prepare_cached(sql)?.query_row([seq.0], row::answer).optional()?)
}

/// How many bytes the answer takes.
pub(super) fn size(db: &Connection, seq: Seq) -> Result<i64, StoreError> {
    size_of(db, "SELECT length(head) + length(body) FROM answers WHERE seq = ?1", seq)
}

/// How many bytes the request takes.
pub(super) fn request_size(db: &Connection, seq: Seq) -> Result<i64, StoreError> {
    size_of(db, "SELECT length(head) + length(body) FROM requests WHERE seq = ?1", seq)
}

fn size_of(db: &Connection, sql: &str, seq: Seq) -> Result<i64, StoreError> {
    Ok(db.prepare_cached(sql)?.query_row([seq.0], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Forgets what was sent, and says how many bytes that took.
pub(super) fn drop_request(db: &Connection, seq: Seq) -> Result<i64, StoreError> {
    let size = request_size(db, seq)?;
    db.prepare_cached("DELETE FROM requests WHERE seq = ?1")?.execute([seq.0])?;
    Ok(size)
}

/// Keeps an answer as [`write`] does, and says by how many bytes more the call takes.
pub(super) fn write_anew(db: &Connection, seq: Seq, answer: &Kept, most: usize) -> Result<i64, StoreError> {
    let before = size(db, seq)?;
    Ok(write(db, seq, answer, most)? - before)
}

/// Cuts the body of the answer that is kept, if it is longer, and says by how many bytes more the call takes.
pub(super) fn shorten(db: &Connection, seq: Seq, most: usize) -> Result<i64, StoreError> {
    let sql = "SELECT length(body) FROM answers WHERE seq = ?1";
    let length: Option<i64> = db.prepare_cached(sql)?.query_row([seq.0], |row| row.get(0)).optional()?;
    if length.and_then(|length| usize::try_from(length).ok()).is_none_or(|length| length <= most) {
        return Ok(0);
    }
    match read(db, seq)? {
        // What is not as it was written must not get a checksum that says it were.
        Some((answer, true)) => write_anew(db, seq, &answer, most),
        _ => Ok(0),
    }
}
