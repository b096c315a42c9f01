use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::meta::written;
use super::*;
use crate::host::LogTime;

const LONG: Duration = Duration::from_secs(30);
const LIMIT: u64 = 1 << 20;

fn f() -> FunctionId {
    "f.dev".parse().unwrap()
}

fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

fn open(directory: &Path) -> FileLogs {
    FileLogs::open(directory.to_owned(), LIMIT).unwrap()
}

/// Writes as a shim does.
fn write(directory: &Path, id: &str, bytes: &[u8]) {
    let path = directory.join(format!("{id}.log"));
    File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

async fn log(logs: &FileLogs, instance: &str) -> Option<Log> {
    logs.kept(&f()).await.unwrap().logs.into_iter().find(|log| log.id == id(instance))
}

/// Waits until so much of a log is recorded.
async fn recorded(logs: &FileLogs, instance: &str, ends: u64) {
    let wait = async {
        loop {
            let kept = logs.kept(&f()).await.unwrap();
            if kept.logs.iter().any(|log| log.id == id(instance) && log.ends >= ends) {
                return;
            }
            logs.changed(&f(), kept.version).await.unwrap();
        }
    };
    timeout(LONG, wait).await.expect("what is written is recorded");
}

/// The bytes that a directory's files take on the disk.
fn taken(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    files.filter(fs::Metadata::is_file).map(|about| about.blocks() * 512).sum()
}

/// Everything that is kept of a log.
async fn read(logs: &FileLogs, instance: &str) -> Vec<u8> {
    let log = log(logs, instance).await.unwrap();
    logs.read(&log.id, log.begins, usize::try_from(log.ends).unwrap()).await.unwrap().bytes
}

#[tokio::test]
async fn what_is_written_is_recorded_by_itself_and_read_with_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(&dir.path().join("logs"));
    let directory = dir.path().join("logs");
    logs.begin(&id("f-1"), &f()).unwrap();
    for n in 1..=5_u64 {
        write(&directory, "f-1", b"12345678\n");
        recorded(&logs, "f-1", 9 * n).await;
    }
    let piece = logs.read(&id("f-1"), 0, 1_000).await.unwrap();
    assert_eq!(piece.bytes, b"12345678\n".repeat(5));
    let ends: Vec<u64> = piece.stamps.iter().map(|stamp| stamp.end).collect();
    assert_eq!(ends, [9, 18, 27, 36, 45]);
    assert!(piece.stamps.is_sorted_by_key(|stamp| stamp.at));
    assert_eq!(logs.read(&id("f-1"), 10, 2).await.unwrap().stamps, piece.stamps[1..2]);
}

#[tokio::test]
async fn the_times_are_the_same_after_a_restart_and_what_came_meanwhile_has_the_time_of_its_last_write() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    logs.begin(&id("f-1"), &f()).unwrap();
    write(dir.path(), "f-1", b"before\n");
    recorded(&logs, "f-1", 7).await;
    let before = logs.read(&id("f-1"), 0, 100).await.unwrap();
    drop(logs);
    write(dir.path(), "f-1", b"meanwhile\n");
    let last_write = written(&fs::metadata(dir.path().join("f-1.log")).unwrap());
    let logs = open(dir.path());
    let after = logs.read(&id("f-1"), 0, 100).await.unwrap();
    assert_eq!(after.stamps, [before.stamps[0], LogTime { end: 17, at: last_write }]);
    assert_eq!(after.bytes, b"before\nmeanwhile\n");
    write(dir.path(), "f-1", b"later\n");
    recorded(&logs, "f-1", 23).await;
}

#[tokio::test]
async fn a_log_without_an_index_is_taken_up_once_it_is_known_whose_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f-1.log"), "from an older version\n").unwrap();
    fs::write(dir.path().join("f-2.log"), "of nobody\n").unwrap();
    fs::write(dir.path().join("f-2.idx"), "no index\n").unwrap();
    fs::write(dir.path().join("f-3.idx"), "no log\n").unwrap();
    let logs = open(dir.path());
    assert_eq!(logs.list().unwrap().len(), 2);
    assert_eq!(log(&logs, "f-1").await, None);
    logs.adopt(&id("f-1"), &f());
    assert_eq!(log(&logs, "f-1").await.unwrap().ends, 22);
    write(dir.path(), "f-1", b"and on\n");
    recorded(&logs, "f-1", 29).await;
    assert_eq!(logs.retire(&id("f-2")), Vec::<String>::new());
    assert_eq!(logs.list().unwrap(), [id("f-1")]);
    assert!(!dir.path().join("f-2.idx").exists() && !dir.path().join("f-3.idx").exists());
}

#[tokio::test]
async fn the_log_of_an_instance_that_is_gone_is_kept_over_a_restart_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    for name in ["f-1", "f-2", "f-3"] {
        logs.begin(&id(name), &f()).unwrap();
    }
    write(dir.path(), "f-1", b"last words");
    for name in ["f-1", "f-2"] {
        for _ in 0..2 {
            assert_eq!(logs.retire(&id(name)), Vec::<String>::new());
        }
    }
    assert_eq!(log(&logs, "f-2").await, None, "it wrote nothing");
    assert_eq!(logs.list().unwrap(), [id("f-3")]);
    let logs = open(dir.path());
    let ended = log(&logs, "f-1").await.unwrap();
    assert!(ended.ended && !log(&logs, "f-3").await.unwrap().ended);
    assert_eq!(read(&logs, "f-1").await, b"last words");

    // Known since before it was made, it stays.
    logs.sweep(&[(f(), Timestamp::UNIX_EPOCH)].into(), Timestamp::now()).await.unwrap();
    logs.forget(&"g.dev".parse().unwrap(), Timestamp::now()).await.unwrap();
    assert_eq!(log(&logs, "f-1").await, Some(ended));
    logs.forget(&f(), Timestamp::now()).await.unwrap();
    assert_eq!(log(&logs, "f-1").await, None);
    assert!(matches!(logs.read(&id("f-1"), 0, 10).await, Err(HostError::NotFound(_))));
    // What still runs writes on, and is forgotten at its end; one that comes later is not.
    logs.begin(&id("f-4"), &f()).unwrap();
    for name in ["f-3", "f-4"] {
        write(dir.path(), name, b"on\n");
        recorded(&logs, name, 3).await;
        assert_eq!(logs.retire(&id(name)), Vec::<String>::new());
    }
    assert_eq!(log(&logs, "f-3").await, None);
    logs.sweep(&BTreeMap::new(), Timestamp::now()).await.unwrap();
    assert_eq!(fs::read_dir(dir.path().join(ENDED)).unwrap().count(), 0);
}

#[tokio::test]
async fn a_move_that_was_interrupted_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    logs.begin(&id("f-1"), &f()).unwrap();
    write(dir.path(), "f-1", b"last words\n");
    recorded(&logs, "f-1", 11).await;
    drop(logs);
    fs::rename(dir.path().join("f-1.log"), dir.path().join("ended/f-1.log")).unwrap();
    let logs = open(dir.path());
    assert!(log(&logs, "f-1").await.unwrap().ended);
    assert_eq!(read(&logs, "f-1").await, b"last words\n");
    assert!(!dir.path().join("f-1.idx").exists());
}

#[tokio::test]
async fn of_the_instances_that_are_gone_the_last_ten_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    for n in 10..25 {
        let name = format!("f-{n}");
        logs.begin(&id(&name), &f()).unwrap();
        write(dir.path(), &name, b"crashed\n");
        logs.retire(&id(&name));
    }
    let kept: Vec<InstanceId> = logs.kept(&f()).await.unwrap().logs.into_iter().map(|log| log.id).collect();
    assert_eq!(kept, (15..25).map(|n| id(&format!("f-{n}"))).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_written_fast_is_capped_and_its_end_is_kept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    logs.begin(&id("f-1"), &f()).unwrap();
    logs.begin(&id("f-2"), &f()).unwrap();
    write(dir.path(), "f-2", b"of another instance\n");
    recorded(&logs, "f-2", 20).await;
    let (mut total, mut last) = (0_u64, Vec::new());
    for round in 0..200 {
        last = (0..2_000).flat_map(|n| format!("round {round}, line {n}, of many more\n").into_bytes()).collect();
        write(dir.path(), "f-1", &last);
        total += last.len() as u64;
    }
    recorded(&logs, "f-1", total).await;
    let kept = log(&logs, "f-1").await.unwrap();
    assert!(total > 12 * LIMIT && kept.ends == total && kept.begins > total - LIMIT, "{kept:?} of {total}");
    // Whole pages at either end, and what a file system keeps for itself.
    assert!(taken(dir.path()) < LIMIT + (128 << 10), "{} bytes on the disk", taken(dir.path()));
    let bytes = read(&logs, "f-1").await;
    assert!(
        bytes.starts_with(b"round ") && bytes.ends_with(&last),
        "it begins with a line, and ends with the last one"
    );
    assert!(!bytes.contains(&0));
    assert!(log(&logs, "f-2").await.is_some_and(|log| log.begins == log.ends), "what is oldest goes first");

    let opened = open(dir.path());
    assert_eq!(log(&opened, "f-1").await, Some(kept));
    write(dir.path(), "f-1", b"and on\n");
    recorded(&opened, "f-1", total + 7).await;
    assert_eq!(read(&opened, "f-1").await, [bytes, b"and on\n".to_vec()].concat());
}

#[tokio::test]
async fn an_index_that_was_not_written_in_time_does_not_make_a_hole_a_text() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    logs.begin(&id("f-1"), &f()).unwrap();
    let before = fs::read(dir.path().join("f-1.idx")).unwrap();
    let text = b"a line of text\n".repeat(200_000);
    write(dir.path(), "f-1", &text);
    recorded(&logs, "f-1", text.len() as u64).await;
    drop(logs);
    fs::write(dir.path().join("f-1.idx"), before).unwrap();
    let logs = open(dir.path());
    assert!(!read(&logs, "f-1").await.contains(&0));
    assert!(log(&logs, "f-1").await.unwrap().begins > 0);
}

#[tokio::test]
async fn one_long_line_is_capped_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    logs.begin(&id("f-1"), &f()).unwrap();
    for _ in 0..10 {
        write(dir.path(), "f-1", &vec![b'x'; 1 << 20]);
    }
    recorded(&logs, "f-1", 10 << 20).await;
    assert!(taken(dir.path()) < LIMIT + (128 << 10), "{} bytes on the disk", taken(dir.path()));
    assert!(read(&logs, "f-1").await.iter().all(|byte| *byte == b'x'));
}
