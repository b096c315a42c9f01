//! A look at a file that another process may be using, for people.

use std::path::Path;

use rusqlite::OptionalExtension as _;

use super::super::check;
use super::{StoreError, schema};
use crate::function::FunctionId;

/// How many calls there are, and what people should know of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// Calls, and callbacks, that wait or are under way.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
    /// When the oldest was accepted that waits, in milliseconds of the wall's clock.
    pub oldest: Option<i64>,
    /// The function whose dead letters take the most, and how many bytes that is.
    pub most_dead: Option<(FunctionId, u64)>,
}

pub(super) fn glance(path: &Path) -> Result<Glance, StoreError> {
    let db = check::reader(path)?;
    match schema::version(&db)? {
        // Made, and never written to.
        0 => return Ok(Glance::default()),
        schema::KNOWN => {}
        found => return Err(StoreError::Older { found, known: schema::KNOWN }),
    }
    let read = db.unchecked_transaction()?;
    let counts = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let (waiting, dead) =
        read.query_row("SELECT ifnull(sum(waiting), 0), ifnull(sum(dead), 0) FROM lanes", [], counts)?;
    let oldest = "SELECT accepted FROM calls WHERE state = 0 ORDER BY seq LIMIT 1";
    let oldest = read.query_row(oldest, [], |row| row.get(0)).optional()?;
    let most = "SELECT name || '.' || namespace, dead_bytes FROM lanes WHERE kind = 0 AND dead > 0 ORDER BY dead_bytes DESC LIMIT 1";
    let most: Option<(String, i64)> = read.query_row(most, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let positive = |number: i64| u64::try_from(number).unwrap_or_default();
    let most_dead = most.and_then(|(name, bytes)| Some((name.parse().ok()?, positive(bytes))));
    Ok(Glance { waiting: positive(waiting), dead: positive(dead), oldest, most_dead })
}
