//! Opening the file.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::super::check::{self, BUSY};
use super::super::files;
use super::batch::set_meta;
use super::{Bounds, Calls, StoreError, schema};

/// SQLite's `synchronous` under which a call that was accepted is on the disk.
pub(super) const SYNCED: &str = "FULL";

/// Opens the file at `path`, and makes it if there is none. Blocks.
pub(super) fn open(path: &Path, bounds: Bounds, wall: i64, synchronous: &str) -> Result<Calls, StoreError> {
    files::make_private(path)?;
    let mut db = Connection::open(path)?;
    db.busy_timeout(BUSY)?;
    prepare(&mut db, synchronous)?;
    let readers = [reader(path)?, reader(path)?];
    Calls::over(db, Some(readers), bounds, wall)
}

fn reader(path: &Path) -> Result<Connection, StoreError> {
    let db = check::reader(path)?;
    db.pragma_update(None, "cache_size", -4096)?;
    Ok(db)
}

/// Sets how it is written, and brings it to this program's schema.
pub(super) fn prepare(db: &mut Connection, synchronous: &str) -> Result<(), StoreError> {
    // Counts before the first table is made, and only then.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "cache_size", -8192)?;
    db.pragma_update(None, "wal_autocheckpoint", 4000)?;
    db.pragma_update(None, "journal_size_limit", 16 << 20)?;
    db.set_prepared_statement_cache_capacity(64);
    schema::migrate(db)
}

/// The last ticks that were written, and whether the file was closed in order; none of a new file.
pub(super) fn last(db: &Connection) -> Result<Option<(i64, bool)>, StoreError> {
    let meta = |key: &str| {
        let value = db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, i64>(0));
        value.optional()
    };
    let ticks = meta("ticks")?;
    Ok(ticks.map(|ticks| (ticks, matches!(meta("clean"), Ok(Some(1))))))
}

/// Notes that it is open.
pub(super) fn begin(db: &Connection, ticks: i64) -> Result<(), StoreError> {
    let transaction = db.unchecked_transaction()?;
    set_meta(&transaction, "ticks", ticks)?;
    set_meta(&transaction, "clean", 0)?;
    Ok(transaction.commit()?)
}
