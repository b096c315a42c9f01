//! Opening: found sound, or repaired from the last good copy, then brought to this program's schema.
//!
//! ```text
//! file -> pages sound? -> version known? -> (older: kept beside) -> migrated -> records readable? -> open
//!            | no                                                                  | not all
//!            v                                                                     v
//!   moved away, the copy takes its place                            those come from the copy, or are dropped
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};

use super::backup_thread::Pace;
use super::check::{self, Unreadable};
use super::record::{self, Record};
use super::{StoreError, compaction, copy, files, schema};

/// How often the last good copy is made: what was deployed is in it a second later.
pub(super) const PACE: Pace = Pace {
    after: Duration::from_secs(1),
    share: 20,
    longest_pause: Duration::from_secs(60),
    at_most: None,
    at_a_stop: None,
    check: sound_copy,
    what: "the store",
};

fn sound_copy(path: &Path) -> Result<(), StoreError> {
    check::copy(path).map(drop)
}

/// SQLite's `synchronous` under which a write that was answered is on the disk.
pub(super) const SYNCED: &str = "FULL";

/// Opens the store at `path`; it is sound when this returns.
pub(super) fn open(path: &Path, synchronous: &str) -> Result<Connection, StoreError> {
    let opened = match attempt(path, synchronous) {
        Err(StoreError::Damaged(reason)) => restore(path, &reason).and_then(|()| attempt(path, synchronous)),
        result => result,
    };
    opened.map_err(|error| told_if_full(path, error))
}

/// SQLite says no more than "disk I/O error" of some writes.
pub(super) fn told_if_full(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Failed(reason) if is_full(path) => StoreError::Full(format!("{}: {reason}", path.display())),
        error => error,
    }
}

/// Whether there is less room beside this file than SQLite needs to open one.
fn is_full(path: &Path) -> bool {
    const NEEDED: u64 = 64 << 10;
    let directory = path.parent().unwrap_or(path);
    rustix::fs::statvfs(directory).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < NEEDED)
}

fn attempt(path: &Path, synchronous: &str) -> Result<Connection, StoreError> {
    let has_copy = files::good(path).exists();
    if has_copy && !path.exists() {
        return Err(StoreError::Damaged("the file is gone".into()));
    }
    files::make_private(path)?;
    let mut db = Connection::open(path)?;
    db.busy_timeout(check::BUSY)?;
    // What turns out to be damaged is left as it was found, its log too.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    check::pages(&db)?;
    let version = schema::version(&db)?;
    if version == 0 && has_copy {
        return Err(StoreError::Damaged("the file is empty".into()));
    }
    if version > 0 && version < schema::known() {
        let before = files::beside(path, &format!(".v{version}"));
        copy::take(path, &before, sound_copy)?;
        tracing::info!(from = version, to = schema::known(), before = %before.display(), "migrating the store");
    }
    prepare(&mut db, synchronous)?;
    repair(&mut db, path)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(db)
}

/// Sets how it is written, and brings it to this program's schema.
pub(super) fn prepare(db: &mut Connection, synchronous: &str) -> Result<(), StoreError> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", synchronous)?;
    compaction::bound_log(db)?;
    schema::migrate(db)
}

/// Puts the last good copy in the place of a damaged store.
fn restore(path: &Path, reason: &str) -> Result<(), StoreError> {
    let good = files::good(path);
    let unusable = |why: String| StoreError::Unrecoverable {
        path: path.to_owned(),
        reason: reason.to_owned(),
        copy: good.clone(),
        copy_reason: why,
    };
    let taken = match fs::metadata(&good).and_then(|found| found.modified()) {
        Ok(time) => jiff::Timestamp::try_from(time).map(|time| time.strftime("%FT%TZ").to_string()).unwrap_or_default(),
        Err(error) => return Err(unusable(error.to_string())),
    };
    match check::copy(&good) {
        Ok(sound) => drop(sound),
        Err(newer @ StoreError::Newer { .. }) => return Err(newer),
        Err(why) => return Err(unusable(why.to_string())),
    }
    let aside = files::damaged(path);
    files::move_aside(path, &aside)?;
    files::replace(path, path, |unfinished| {
        let copied = fs::copy(&good, unfinished);
        copied.map(drop).map_err(|error| StoreError::io("copy", &good, &error))
    })?;
    tracing::error!(
        reason,
        damaged = %aside.display(),
        copy = %good.display(),
        %taken,
        "the store was damaged and its last good copy took its place: deploys, updates and deletes that came after the \
         copy was taken may be missing; the damaged file is kept"
    );
    Ok(())
}

/// Replaces single records that can't be read, so that they do not take the others down.
fn repair(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let unreadable = check::unreadable(db)?;
    if unreadable.is_empty() {
        return Ok(());
    }
    let aside = files::damaged(path);
    copy::keep_damaged_file(path, &aside)?;
    let good = check::copy(&files::good(path)).ok();
    let transaction = db.transaction()?;
    for record in &unreadable {
        let kept = good.as_ref().and_then(|good| from_copy(good, record));
        transaction.execute("DELETE FROM functions WHERE rowid = ?1", [record.rowid])?;
        let (function, why) = (format!("{}.{}", record.name, record.namespace), &record.why);
        let damaged = aside.display();
        if let Some(kept) = kept {
            kept.write(&transaction)?;
            tracing::error!(%function, why, %damaged, "a damaged record was replaced by the one in the last good copy");
        } else {
            tracing::error!(%function, why, %damaged, "a damaged record was dropped, no copy has it: deploy it again");
        }
    }
    Ok(transaction.commit()?)
}

fn from_copy(good: &Connection, lost: &Unreadable) -> Option<Record> {
    let found = good.query_row(record::SELECT_ONE, [&lost.namespace, &lost.name], Record::read);
    found.optional().ok().flatten()
}
