use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::*;

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calls.db");
        Self { _dir: dir, path }
    }

    fn open(&self) -> Result<Calls, StoreError> {
        Calls::open(&self.path, Bounds::default(), 0)
    }

    /// What was moved away.
    fn damaged(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path.parent().unwrap()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")).collect()
    }

    fn good(&self) -> PathBuf {
        PathBuf::from(format!("{}.good", self.path.display()))
    }
}

/// A file with two calls, which is closed. Its copy has both.
async fn with_two_calls(place: &Place) -> [CallId; 2] {
    let calls = place.open().unwrap();
    let sent = [call("echo", "1"), call("echo", "2")];
    for one in &sent {
        calls.accept(one.clone()).await.unwrap();
    }
    calls.close().await.unwrap();
    sent.map(|call| call.id)
}

fn spoil(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let length = bytes.len();
    bytes[length / 4..length / 2].fill(0x5a);
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_its_copy_takes_its_place() {
    let place = Place::new();
    let ids = with_two_calls(&place).await;
    spoil(&place.path);
    let calls = place.open().unwrap();
    for id in ids {
        assert!(show(&calls, id).await.sound);
    }
    assert_eq!(place.damaged().len(), 1);
    assert_counted(&calls).await;
    let later = calls.accept(call("echo", "3")).await.unwrap();
    assert_eq!(calls.lane(later.lane).unwrap().waiting(), 3);
}

#[tokio::test]
async fn a_file_that_is_gone_or_empty_is_replaced_by_its_copy() {
    for empty in [false, true] {
        let place = Place::new();
        let ids = with_two_calls(&place).await;
        if empty {
            fs::write(&place.path, b"").unwrap();
        } else {
            fs::remove_file(&place.path).unwrap();
        }
        assert!(show(&place.open().unwrap(), ids[1]).await.sound, "{empty}");
    }
}

#[tokio::test]
async fn without_a_good_copy_a_damaged_file_is_put_aside_for_an_empty_one() {
    for copy in [true, false] {
        let place = Place::new();
        let ids = with_two_calls(&place).await;
        spoil(&place.path);
        if copy {
            spoil(&place.good());
        } else {
            fs::remove_file(place.good()).unwrap();
        }
        let calls = place.open().unwrap();
        assert_eq!(calls.by_id(ids[0]).await.unwrap(), None);
        calls.accept(call("echo", "")).await.unwrap();
        calls.refresh_copy().await.unwrap();
        assert_eq!(place.damaged().len(), 1);
        drop(calls);
        place.open().unwrap();
        assert_eq!(place.damaged().len(), 1, "it is sound now");
    }
}

#[tokio::test]
async fn a_newer_file_is_left_as_it_is() {
    let place = Place::new();
    with_two_calls(&place).await;
    let newer = |path: &Path| Connection::open(path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    newer(&place.path);
    let before = fs::read(&place.path).unwrap();
    assert!(matches!(place.open(), Err(StoreError::Newer { found: 99, .. })));
    assert_eq!(fs::read(&place.path).unwrap(), before);
    fs::remove_file(&place.path).unwrap();
    newer(&place.good());
    assert!(matches!(place.open(), Err(StoreError::Newer { found: 99, .. })), "a newer copy is not begun anew");
    assert!(place.good().exists() && place.damaged().is_empty());
}

#[tokio::test]
async fn counts_that_none_can_be_are_counted_anew() {
    let place = Place::new();
    with_two_calls(&place).await;
    let spoil = "UPDATE lanes SET waiting = -1, bytes = 7";
    Connection::open(&place.path).unwrap().execute_batch(spoil).unwrap();
    assert_counted(&place.open().unwrap()).await;
}

#[tokio::test]
async fn an_end_that_was_none_in_order_is_known_at_the_next_start_and_loses_nothing() {
    let place = Place::new();
    let calls = place.open().unwrap();
    let kept = calls.accept(call("echo", "")).await.unwrap();
    drop(calls);
    let db = Connection::open(&place.path).unwrap();
    assert!(matches!(open::last(&db).unwrap(), Some((_, false))));
    drop(db);
    let calls = place.open().unwrap();
    assert_eq!(next(&calls, kept.lane).await, [kept.head.seq]);
    calls.close().await.unwrap();
    let db = Connection::open(&place.path).unwrap();
    assert!(matches!(open::last(&db).unwrap(), Some((_, true))));
}

#[tokio::test]
async fn damage_that_is_found_while_it_is_open_ends_all_changes_and_is_told() {
    let place = Place::new();
    with_two_calls(&place).await;
    let calls = place.open().unwrap();
    let told = calls.clone();
    let told = tokio::spawn(async move { told.damaged().await });
    let spoil = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'x' WHERE name = 'calls'; PRAGMA schema_version = 999;";
    Connection::open(&place.path).unwrap().execute_batch(spoil).unwrap();
    let failed = calls.accept(call("echo", "")).await.unwrap_err();
    assert!(matches!(failed, StoreError::Damaged(_)), "{failed}");
    told.await.unwrap();
    assert!(matches!(calls.accept(call("echo", "")).await, Err(StoreError::Damaged(_))));
}

#[tokio::test]
async fn nobody_else_may_read_the_file_or_its_copy() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    with_two_calls(&place).await;
    for path in [&place.path, &place.good()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
