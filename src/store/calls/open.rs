//! Opening the file: found sound, or replaced by its last good copy, or begun anew. Functions serve whatever comes of it.
//!
//! ```text
//! file -> version known? -> pages sound? -> (older: kept beside) -> migrated -> counts possible? -> open
//!            | newer: left as it is | no
//!            v                      v
//!          refused        moved away; the copy takes its place, or there is an empty one
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::super::backup_thread::{BackupThread, Pace};
use super::super::check::{self, BUSY};
use super::super::{copy, files, open as store};
use super::batch::set_meta;
use super::stop::Stop;
use super::{Bounds, Calls, StoreError, lanes, schema};

/// SQLite's `synchronous` under which a call that was accepted is on the disk.
pub(super) const SYNCED: &str = "FULL";

/// How far the pages of a file are checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checking {
    /// Up to this size all of it is, in bytes; a larger one is read through,
    pub(super) whole: u64,
    /// for so long at most.
    pub(super) within: Duration,
}

impl Default for Checking {
    fn default() -> Self {
        Self { whole: 64 << 20, within: Duration::from_secs(30) }
    }
}

/// How soon a check is ended again that went on.
const AGAIN: Duration = Duration::from_millis(10);

/// How a file is opened.
pub(super) struct How {
    /// SQLite's `synchronous`.
    pub(super) synchronous: &'static str,
    pub(super) checking: Checking,
    /// Whether it is opened at all.
    pub(super) stop: Stop,
}

impl Default for How {
    fn default() -> Self {
        Self { synchronous: SYNCED, checking: Checking::default(), stop: Stop::default() }
    }
}

/// The largest file of which a stop waits for a copy, in bytes: of a larger one that takes seconds.
const COPIED_AT_A_STOP: u64 = 64 << 20;

/// The largest file that there is a copy of, in bytes.
const COPIED: u64 = 1 << 30;

const PACE: Pace = Pace {
    after: Duration::from_secs(60),
    share: 20,
    longest_pause: Duration::from_secs(24 * 3600),
    at_most: Some(COPIED),
    at_a_stop: Some(COPIED_AT_A_STOP),
    check: sound_copy,
    what: "asynchronous calls",
};

/// Opens the file at `path`; it is sound when this returns, as far as it could be checked. Blocks.
pub(super) fn open(path: &Path, bounds: Bounds, wall: i64, how: &How) -> Result<Calls, StoreError> {
    let opened = match attempt(path, how) {
        Err(StoreError::Damaged(reason)) => restore(path, &reason, how).and_then(|()| attempt(path, how)),
        result => result,
    };
    // Whatever was said of the file by what was ended in the middle.
    how.stop.check()?;
    let db = opened.map_err(|error| store::told_if_full(path, error))?;
    let readers = [reader(path)?, reader(path)?];
    how.stop.leave();
    Calls::over(db, Some(readers), bounds, wall, Some(BackupThread::start(path, PACE)?))
}

/// Whether there is a copy that would take the place of a damaged file.
pub(super) fn has_copy(path: &Path) -> bool {
    files::good(path).exists()
}

/// Whether the file is too large for a copy, or its disk too full.
pub(super) fn has_no_room_for_a_copy(path: &Path) -> bool {
    copy::is_too_large(path, COPIED)
}

fn reader(path: &Path) -> Result<Connection, StoreError> {
    let db = check::reader(path)?;
    keep_plans(&db)?;
    db.pragma_update(None, "cache_size", -4096)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn attempt(path: &Path, how: &How) -> Result<Connection, StoreError> {
    if has_copy(path) && !path.exists() {
        return Err(StoreError::Damaged("the file is gone".into()));
    }
    files::make_private(path)?;
    let mut db = Connection::open(path)?;
    how.stop.watch(&db);
    db.busy_timeout(BUSY)?;
    // What turns out to be damaged is left as it was found, its log too.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version = schema::version(&db)?;
    if version == 0 && has_copy(path) {
        return Err(StoreError::Damaged("the file is empty".into()));
    }
    how.stop.check()?;
    if !pages(&db, path, how.checking)? {
        tracing::info!(path = %path.display(), "the file of asynchronous calls is large: it goes unchecked from where its time was over");
    }
    how.stop.check()?;
    if version > 0 && version < schema::KNOWN {
        let before = files::beside(path, &format!(".v{version}"));
        copy::take(path, &before, sound_copy)?;
        tracing::info!(from = version, to = schema::KNOWN, before = %before.display(), "migrating the asynchronous calls");
    }
    prepare(&mut db, how.synchronous)?;
    repair(&db)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(db)
}

/// Checks the pages: all and their indexes where that takes no long time, else as far as it goes in a bounded one. Whether it came
/// to the end.
pub(super) fn pages(db: &Connection, path: &Path, Checking { whole, within }: Checking) -> Result<bool, StoreError> {
    let size = fs::metadata(path).map_or(0, |file| file.len());
    if size <= whole {
        return check::pages(db).map(|()| true);
    }
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let interrupt = db.get_interrupt_handle();
    let watch = std::thread::spawn(move || {
        let mut left = within;
        // Again and again: what has not begun yet does not notice.
        while wait.recv_timeout(left) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
            left = AGAIN;
        }
    });
    let found = db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    drop(done);
    let _ = watch.join();
    match found {
        Ok(found) if found == "ok" => Ok(true),
        Ok(found) => Err(StoreError::Damaged(found)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Checks a copy.
fn sound_copy(path: &Path) -> Result<(), StoreError> {
    sound(path, &Stop::default())
}

fn sound(path: &Path, stop: &Stop) -> Result<(), StoreError> {
    let db = check::reader(path)?;
    stop.watch(&db);
    check::pages(&db)?;
    match schema::version(&db)? {
        0 => Err(StoreError::Damaged("it is empty".into())),
        _ => Ok(()),
    }
}

/// Puts the last good copy in the place of a damaged file, or nothing.
pub(super) fn restore(path: &Path, reason: &str, how: &How) -> Result<(), StoreError> {
    how.stop.check()?;
    let good = files::good(path);
    let sound = match sound(&good, &how.stop) {
        Ok(()) => Ok(()),
        Err(newer @ StoreError::Newer { .. }) => return Err(newer),
        Err(why) => Err(why),
    };
    // Not found bad, but not looked at to its end: both files stay for the next start.
    how.stop.check()?;
    let aside = files::damaged(path);
    files::move_aside(path, &aside)?;
    let (damaged, copy) = (aside.display(), good.display());
    if let Err(why) = sound {
        tracing::error!(
            reason, %damaged, copy_reason = %why,
            "the asynchronous calls were damaged and there is no good copy of them: they begin anew without any; calls that waited \
             and dead letters are lost, unless the damaged file, which is kept, can be read"
        );
        // One that is no good stands in the way of a new file.
        return files::remove(&good).map_err(|error| StoreError::io("remove", &good, &error));
    }
    files::replace(path, path, |unfinished| {
        let copied = fs::copy(&good, unfinished);
        copied.map(drop).map_err(|error| StoreError::io("copy", &good, &error))
    })?;
    tracing::error!(
        reason, %damaged, %copy,
        "the asynchronous calls were damaged and their last good copy took their place: calls that came after it was taken may be \
         missing, and some that have ended since start again; the damaged file is kept"
    );
    Ok(())
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
    keep_plans(db)?;
    schema::migrate(db)
}

/// Without this, whether an index with a condition is taken is asked anew for each value that is bound: statements that name a
/// call by its number were made again each time that they ran.
fn keep_plans(db: &Connection) -> Result<(), StoreError> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Counts anew where the counts can't be right.
fn repair(db: &Connection) -> Result<(), StoreError> {
    if lanes::are_possible(db)? {
        return Ok(());
    }
    tracing::warn!("asynchronous calls were counted wrong: they are counted anew");
    lanes::count_anew(db)
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
