//! How much room the store's files take: bounded, and given back.
//!
//! ```text
//! commit -> log (-wal) -- every so many pages --> file      then the log begins anew, cut to its bound
//! delete -> free pages in the file, which later writes use -- where they are many --> the file is written without them
//! ```
//! While a copy of the store is made, or another process reads it, the log can't begin anew: it grows for that long, and is
//! cut afterwards.

use rusqlite::Connection;

use super::{Store, StoreError};

/// After so many pages (of 4 KiB) in the log they are written into the file.
pub(super) const LOG_PAGES: u32 = 1000;
/// What the log may keep of the disk, in bytes, once all of it is in the file.
pub(super) const LOG_BYTES: u32 = LOG_PAGES * 4096;

/// Less than so many free bytes are not worth a file that is written anew.
const WORTH: i64 = 1 << 20;
/// Nor is less than one part in so many.
const SHARE: i64 = 4;

/// Bounds the log of this connection.
pub(super) fn bound_log(db: &Connection) -> Result<(), StoreError> {
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // It answers with what it was set to.
    db.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))?;
    Ok(())
}

impl Store {
    /// Gives the disk back what deletions left free in the store's file, where that is much. Needs about as much room on the
    /// disk as the file takes, for a moment; commits wait meanwhile. Returns how many bytes it was.
    ///
    /// # Errors
    /// [`StoreError`]; what is in the store is as it was.
    pub async fn compact(&self) -> Result<Option<i64>, StoreError> {
        self.run(|db| {
            let free = free_bytes(db)?;
            let Some(free) = free else { return Ok(None) };
            db.execute_batch("VACUUM")?;
            // The file gets shorter when the log is written into it. A reader may hold that up: the next commits do it.
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            tracing::info!(bytes = free, "the store's file was written without what deletions left free in it");
            Ok(Some(free))
        })
        .await
    }
}

/// How many bytes of the file are free, if they are worth it.
fn free_bytes(db: &Connection) -> Result<Option<i64>, StoreError> {
    let read = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (pages, free, size) = (read("page_count")?, read("freelist_count")?, read("page_size")?);
    let bytes = free.saturating_mul(size);
    Ok(Some(bytes).filter(|bytes| *bytes >= WORTH && free.saturating_mul(SHARE) >= pages))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::function::{Desired, Event, FunctionId, Lifecycle, Spec, SpecDraft, Uptime};
    use crate::store::{Durability, files};

    /// The log is cut when it begins anew; before that it is longer by what the last commits wrote.
    const BOUND: u64 = 3 * LOG_BYTES as u64;

    fn id(n: usize) -> FunctionId {
        format!("f{n}").parse().unwrap()
    }

    /// One that takes some 20 KiB.
    fn large(n: usize) -> Desired {
        let env_vars = BTreeMap::from([("TEXT".to_owned(), format!("{n:020000}"))]);
        let spec = Spec::try_from(SpecDraft { image: "i".to_owned(), env_vars, ..SpecDraft::default() }).unwrap();
        let mut life = Lifecycle::new(&id(n).name, 1);
        let desired = life.accept(spec, "then");
        life.on(Event::Apply(desired), Uptime::default());
        life.desired().unwrap().clone()
    }

    fn size(path: &Path) -> u64 {
        fs::metadata(path).map_or(0, |about| about.len())
    }

    fn open(dir: &Path) -> Store {
        Store::open_with(&dir.join("actord.db"), Durability::Unsynced).unwrap()
    }

    #[tokio::test]
    async fn the_log_stays_bounded_through_many_writes_also_where_a_reader_held_it_up() {
        let dir = tempfile::tempdir().unwrap();
        let log = files::beside(&dir.path().join("actord.db"), "-wal");
        let store = open(dir.path());
        let mut largest = 0;
        // 60 MB in all.
        for round in 0..3000 {
            store.put(&id(round % 10), &large(round)).await.unwrap();
            largest = largest.max(size(&log));
        }
        assert!(largest > 0 && largest < BOUND, "{largest}");

        let reader = Connection::open(dir.path().join("actord.db")).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM functions").unwrap();
        for round in 0..1000 {
            store.put(&id(round % 10), &large(round)).await.unwrap();
        }
        assert!(size(&log) > BOUND, "it grows while it can't begin anew: {}", size(&log));
        drop(reader);
        for round in 0..500 {
            store.put(&id(round % 10), &large(round)).await.unwrap();
        }
        assert!(size(&log) < BOUND, "{}", size(&log));
    }

    #[tokio::test]
    async fn a_store_that_was_large_gets_small_after_deletions_and_only_where_it_is_worth_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("actord.db");
        let store = open(dir.path());
        let all: Vec<(FunctionId, Desired)> = (0..300).map(|n| (id(n), large(n))).collect();
        store.put_all(&all).await.unwrap();
        assert_eq!(store.compact().await, Ok(None), "nothing is free");
        for n in 0..30 {
            store.delete(&id(n)).await.unwrap();
        }
        assert_eq!(store.compact().await, Ok(None), "that is a tenth");
        for n in 30..290 {
            store.delete(&id(n)).await.unwrap();
        }
        let before = size(&file);
        let freed = store.compact().await.unwrap().unwrap();
        assert!(before > 6_000_000 && size(&file) < before / 10, "{before} {}", size(&file));
        assert!(freed > 3_000_000, "{freed} of {before}");
        assert_eq!(store.compact().await, Ok(None), "it is done");
        let kept: Vec<(FunctionId, Desired)> = all[290..].to_vec();
        assert_eq!(store.all().await.unwrap(), kept);
        drop(store);
        assert_eq!(open(dir.path()).all().await.unwrap(), kept);
    }

    #[tokio::test]
    async fn where_there_is_no_room_to_write_it_anew_it_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let all: Vec<(FunctionId, Desired)> = (0..200).map(|n| (id(n), large(n))).collect();
        store.put_all(&all).await.unwrap();
        for n in 0..150 {
            store.delete(&id(n)).await.unwrap();
        }
        store.refuse_writes(true).await.unwrap();
        store.compact().await.unwrap_err();
        store.refuse_writes(false).await.unwrap();
        assert_eq!(store.all().await.unwrap(), all[150..].to_vec());
        assert!(store.compact().await.unwrap().is_some());
    }
}
