use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::host::Stamp;

const LONG: Duration = Duration::from_secs(30);

fn f() -> FunctionId {
    "f.dev".parse().unwrap()
}

fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
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

#[tokio::test]
async fn what_is_written_is_recorded_by_itself_and_read_with_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let logs = FileLogs::open(dir.path().join("logs")).unwrap();
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
    let logs = FileLogs::open(dir.path().to_owned()).unwrap();
    logs.begin(&id("f-1"), &f()).unwrap();
    write(dir.path(), "f-1", b"before\n");
    recorded(&logs, "f-1", 7).await;
    let before = logs.read(&id("f-1"), 0, 100).await.unwrap();
    drop(logs);
    write(dir.path(), "f-1", b"meanwhile\n");
    let last_write = written(&fs::metadata(dir.path().join("f-1.log")).unwrap());
    let logs = FileLogs::open(dir.path().to_owned()).unwrap();
    let after = logs.read(&id("f-1"), 0, 100).await.unwrap();
    assert_eq!(after.stamps, [before.stamps[0], Stamp { end: 17, at: last_write }]);
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
    let logs = FileLogs::open(dir.path().to_owned()).unwrap();
    assert_eq!(logs.list().unwrap().len(), 2);
    assert_eq!(log(&logs, "f-1").await, None);
    logs.adopt(&id("f-1"), &f());
    assert_eq!(log(&logs, "f-1").await.unwrap().ends, 22);
    write(dir.path(), "f-1", b"and on\n");
    recorded(&logs, "f-1", 29).await;
    assert_eq!(logs.remove(&id("f-2")), Vec::<String>::new());
    assert_eq!(logs.list().unwrap(), [id("f-1")]);
}
