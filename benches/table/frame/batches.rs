//! What a disk takes of small records that have to be on it: a bare loop of commits, without anything around it.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

/// A table of its own in a directory of its own, written as actord's calls are: a log that is synced with each commit.
pub(crate) struct Batches {
    db: Connection,
    _directory: tempfile::TempDir,
}

impl Batches {
    /// On the disk that has this directory.
    pub(crate) fn open(beside: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("batches-").tempdir_in(beside).unwrap();
        let db = Connection::open(directory.path().join("bare.db")).unwrap();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        db.pragma_update(None, "synchronous", "FULL").unwrap();
        db.pragma_update(None, "wal_autocheckpoint", 4000).unwrap();
        db.execute_batch("CREATE TABLE records (id INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL)")
            .unwrap();
        Self { db, _directory: directory }
    }

    /// Commits so many records together, again and again, for so long: records a second.
    pub(crate) fn hurry(&self, together: usize, (head, body): (&[u8], &[u8]), time: Duration) -> f64 {
        let (begin, mut count) = (Instant::now(), 0);
        while begin.elapsed() < time || count == 0 {
            self.db.execute_batch("BEGIN IMMEDIATE").unwrap();
            let mut insert = self.db.prepare_cached("INSERT INTO records (head, body) VALUES (?1, ?2)").unwrap();
            for _ in 0..together {
                insert.execute((head, body)).unwrap();
            }
            drop(insert);
            self.db.execute_batch("COMMIT").unwrap();
            count += together;
        }
        count as f64 / begin.elapsed().as_secs_f64()
    }
}
