//! Logs: what an instance wrote, and when, the same for everybody who asks.

use std::collections::BTreeMap;
use std::time::Duration;

use actord::function::{FunctionId, InstanceId};
use actord::host::{Host, HostError, Log};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::fixture::{LONG, image, name, started, torn_down};
use crate::subject::{Kind, Subject};

fn function(text: &str) -> FunctionId {
    FunctionId::new(name(text), "contract".parse().unwrap())
}

/// The log of an instance, once something was written to it.
async fn written(host: &Host, function: &FunctionId, id: &InstanceId) -> Log {
    let wait = async {
        loop {
            let kept = host.logs.kept(function).await.unwrap();
            if let Some(log) = kept.logs.into_iter().find(|log| log.id == *id && log.ends > 0) {
                return log;
            }
            host.logs.changed(function, kept.version).await.unwrap();
        }
    };
    timeout(LONG, wait).await.expect("it writes, and whoever waits for it is told")
}

pub async fn what_an_instance_writes_is_told_with_its_time_and_the_same_again<S: Subject>(s: &S) {
    let host = s.host();
    let (id, _) = started(s, "talker", &image(s, Kind::Hello).await).await;
    let talker = function("talker");
    let log = written(&host, &talker, &id).await;
    assert!(!log.ended && log.begins == 0, "{log:?}");
    let piece = host.logs.read(&id, 0, 4096).await.unwrap();
    assert!(piece.from == 0 && piece.bytes.starts_with(b"hello"), "{piece:?}");
    let last = piece.stamps.last().expect("when it was written");
    assert!(last.end >= piece.bytes.len() as u64, "{piece:?}");
    let age = Timestamp::now().duration_since(last.at);
    assert!(age.unsigned_abs() < Duration::from_secs(240), "{piece:?}");
    assert_eq!(host.logs.read(&id, 0, piece.bytes.len()).await.unwrap(), piece);
    let part = host.logs.read(&id, 2, 3).await.unwrap();
    assert_eq!((part.from, part.bytes.as_slice()), (2, b"llo".as_slice()));
    let end = host.logs.read(&id, piece.bytes.len() as u64 + 1_000, 10).await.unwrap();
    assert!(end.bytes.is_empty() && end.stamps.is_empty(), "{end:?}");
    torn_down(&host, &id).await;
}

pub async fn a_log_outlives_its_instance_until_it_is_forgotten<S: Subject>(s: &S) {
    let host = s.host();
    let (id, _) = started(s, "brief", &image(s, Kind::ExitsAtStart).await).await;
    let brief = function("brief");
    written(&host, &brief, &id).await;
    let before = host.logs.read(&id, 0, 4096).await.unwrap();
    torn_down(&host, &id).await;
    let kept = host.logs.kept(&brief).await.unwrap().logs;
    assert!(kept.len() == 1 && kept[0].id == id && kept[0].ended, "{kept:?}");
    let after = host.logs.read(&id, 0, 4096).await.unwrap();
    assert_eq!(after.stamps[..before.stamps.len()], before.stamps);
    assert!(after.bytes.starts_with(b"exiting at start"), "{after:?}");

    host.logs.sweep(&[(brief.clone(), Timestamp::UNIX_EPOCH)].into(), Timestamp::now()).await.unwrap();
    host.logs.forget(&function("another"), Timestamp::now()).await.unwrap();
    assert_eq!(host.logs.kept(&brief).await.unwrap().logs, kept, "of a function that is known, and from its own time");
    let seen = host.logs.kept(&brief).await.unwrap().version;
    host.logs.forget(&brief, Timestamp::now()).await.unwrap();
    timeout(LONG, host.logs.changed(&brief, seen)).await.expect("whoever waits is told").unwrap();
    assert_eq!(host.logs.kept(&brief).await.unwrap().logs, []);
    assert!(matches!(host.logs.read(&id, 0, 10).await, Err(HostError::NotFound(_))));
    host.logs.forget(&brief, Timestamp::now()).await.unwrap();
}

pub async fn what_is_forgotten_while_it_runs_goes_with_its_instance_and_what_comes_later_stays<S: Subject>(s: &S) {
    let host = s.host();
    let hello = image(s, Kind::Hello).await;
    let talker = function("talker");
    let (old, _) = started(s, "talker", &hello).await;
    written(&host, &talker, &old).await;
    host.logs.sweep(&BTreeMap::new(), Timestamp::now()).await.unwrap();
    assert!(host.logs.read(&old, 0, 10).await.is_ok(), "it runs");
    let forgotten = async || {
        let logs = host.logs.kept(&talker).await.unwrap().logs;
        logs.into_iter().map(|log| (log.id, log.forgotten)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(forgotten().await, [(old.clone(), true)].into(), "and is marked");
    let (new, _) = started(s, "talker", &hello).await;
    written(&host, &talker, &new).await;
    assert_eq!(forgotten().await, [(old.clone(), true), (new.clone(), false)].into());
    torn_down(&host, &old).await;
    torn_down(&host, &new).await;
    let kept: Vec<_> = host.logs.kept(&talker).await.unwrap().logs.into_iter().map(|log| log.id).collect();
    assert_eq!(kept, [new]);
}

pub async fn nobody_has_logs_of_what_was_never_there<S: Subject>(s: &S) {
    let host = s.host();
    assert_eq!(host.logs.kept(&function("nobody")).await.unwrap().logs, []);
    let read = host.logs.read(&s.fresh_id("nobody"), 0, 10).await;
    assert!(matches!(read, Err(HostError::NotFound(_))), "{read:?}");
}
