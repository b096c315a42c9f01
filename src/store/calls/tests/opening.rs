//! A large file is opened in bounded time, and not opened at all where actord is to end.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::super::open::{Checking, How, last, open, pages, restore};
use super::super::stop::Stop;
use super::*;

/// From which size on a file is large.
const LARGE: u64 = 8 << 20;

/// A large file, which was closed in order, and one of its calls.
async fn large(dir: &Path) -> (PathBuf, CallId) {
    let path = dir.join("calls.db");
    let calls = Calls::open(&path, Bounds::default(), 0).unwrap();
    let one = call("echo", "small");
    calls.accept(one.clone()).await.unwrap();
    let body = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..24 {
        calls.accept(NewCall { body: body.clone(), ..call("echo", "") }).await.unwrap();
    }
    calls.close().await.unwrap();
    assert!(fs::metadata(&path).unwrap().len() > LARGE);
    (path, one.id)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // SQLite's own come and go.
    let mut names: Vec<_> = names.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_large_file_is_checked_for_so_long_and_opened_unchecked_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, id) = large(dir.path()).await;
    let db = Connection::open(&path).unwrap();
    let in_time = Checking { whole: LARGE, ..Checking::default() };
    assert_eq!(pages(&db, &path, in_time), Ok(true), "there was time for all of it");
    let at_once = Checking { within: Duration::ZERO, ..in_time };
    assert_eq!(pages(&db, &path, at_once), Ok(false));
    drop(db);
    let how = How { checking: at_once, ..How::default() };
    let calls = open(&path, Bounds::default(), 0, &how).unwrap();
    assert!(show(&calls, id).await.sound);
    calls.accept(call("echo", "")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_that_is_to_end_ends_at_once_and_leaves_all_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (path, id) = large(dir.path()).await;
    let before = (fs::read(&path).unwrap(), names(dir.path()));
    let how = How { checking: Checking { whole: u64::MAX, ..Checking::default() }, ..How::default() };
    let stop: Stop = how.stop.clone();
    let ends = std::thread::spawn(move || {
        while !stop.has_begun() {
            std::thread::yield_now();
        }
        stop.raise();
    });
    let ended = open(&path, Bounds::default(), 0, &how).unwrap_err();
    ends.join().unwrap();
    assert!(ended.to_string().contains("actord ends"), "{ended}");
    assert!(fs::read(&path).unwrap() == before.0);
    assert_eq!(names(dir.path()), before.1, "nothing was put aside");
    assert!(matches!(last(&Connection::open(&path).unwrap()).unwrap(), Some((_, true))), "it is still closed in order");

    let end = CancellationToken::new();
    end.cancel();
    let ended = Calls::open_until(end, path.clone(), Bounds::default(), 0).await.unwrap_err();
    assert!(ended.to_string().contains("actord ends"), "{ended}");
    let calls = Calls::open_until(CancellationToken::new(), path, Bounds::default(), 0).await.unwrap();
    assert!(show(&calls, id).await.sound);
}

#[tokio::test]
async fn a_damaged_file_is_not_replaced_by_who_is_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = large(dir.path()).await;
    let before = (fs::read(&path).unwrap(), names(dir.path()));
    let early = How::default();
    early.stop.raise();
    restore(&path, "page 2", &early).unwrap_err();
    // While the copy is looked at: that it was not seen to its end makes it no bad one, which would be removed.
    let late = How::default();
    let stop = late.stop.clone();
    let ends = std::thread::spawn(move || {
        while !stop.has_begun() {
            std::thread::yield_now();
        }
        stop.raise();
    });
    let ended = restore(&path, "page 2", &late).unwrap_err();
    ends.join().unwrap();
    assert!(ended.to_string().contains("actord ends"), "{ended}");
    assert!(names(dir.path()) == before.1 && before.1.iter().any(|name| name.ends_with(".good")), "{:?}", before.1);
    assert!(fs::read(&path).unwrap() == before.0);
    restore(&path, "page 2", &How::default()).unwrap();
    assert!(names(dir.path()).iter().any(|name| name.contains(".damaged-")), "who goes on replaces it");
}
