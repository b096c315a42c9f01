//! What functions wrote. Every instance writes when it starts, so another instance is another line.

use actord::engine::{LogLine, LogQuery, LogsRefused};
use actord::function::FunctionId;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::fixture::{LONG, create, delete, id, scale, served, serves, until};
use crate::subject::{Kind, Subject};

fn of(function: FunctionId) -> LogQuery {
    LogQuery { function, instance: None, tail: None, since: None, follow: false }
}

async fn read<S: Subject>(s: &S, query: LogQuery) -> Vec<LogLine> {
    let lines = s.logs().read(query).await.unwrap();
    let all: Vec<_> = timeout(LONG, lines.collect()).await.expect("the reading ends");
    assert!(all.iter().all(|some| some.as_ref().is_ok_and(|some| !some.is_empty())), "some lines, never none: {all:?}");
    all.into_iter().flat_map(Result::unwrap).collect()
}

/// The log, once so many instances have written to it and no more comes.
async fn written<S: Subject>(s: &S, name: &str, instances: usize) -> Vec<LogLine> {
    let hellos = async || read(s, of(id(name))).await.iter().filter(|line| line.text.starts_with("hello")).count();
    until(&format!("{instances} instances have written"), async || hellos().await == instances).await;
    read(s, of(id(name))).await
}

pub async fn lines_come_in_the_order_of_their_times_with_who_wrote_them<S: Subject>(s: &mut S) {
    let before = Timestamp::now();
    served(s, "f").await;
    scale(s, "f", 3).await;
    serves(s, "f", 3).await;
    let lines = written(s, "f", 3).await;
    assert!(lines.is_sorted_by_key(|line| line.time), "{lines:?}");
    assert!(lines.iter().all(|line| before <= line.time && line.time <= Timestamp::now()), "{lines:?}");
    let mut writers: Vec<_> = lines.iter().map(|line| line.instance.clone()).collect();
    let mut serving = s.routes().published(&id("f"));
    writers.sort();
    writers.dedup();
    serving.sort();
    assert_eq!(writers, serving);
}

pub async fn only_what_is_asked_for_is_read<S: Subject>(s: &mut S) {
    served(s, "f").await;
    written(s, "f", 1).await;
    scale(s, "f", 2).await;
    serves(s, "f", 2).await;
    let all = written(s, "f", 2).await;
    let last = all.last().unwrap();
    for tail in 0..=all.len() {
        let asked = LogQuery { tail: Some(tail as u64), ..of(id("f")) };
        assert_eq!(read(s, asked).await, all[all.len() - tail..], "the last {tail}");
    }
    assert_eq!(read(s, LogQuery { tail: Some(1_000), ..of(id("f")) }).await, all);
    let theirs: Vec<_> = all.iter().filter(|line| line.instance == last.instance).cloned().collect();
    assert!(theirs.len() < all.len(), "{all:?}");
    assert_eq!(read(s, LogQuery { instance: Some(last.instance.to_string()), ..of(id("f")) }).await, theirs);
    assert_eq!(read(s, LogQuery { instance: Some("f-unknown".to_owned()), ..of(id("f")) }).await, []);
    let since: Vec<_> = all.iter().filter(|line| line.time >= last.time).cloned().collect();
    assert_eq!(read(s, LogQuery { since: Some(last.time), ..of(id("f")) }).await, since);
}

pub async fn a_follower_gets_what_comes_and_ends_with_the_function<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let first = written(s, "f", 1).await;
    let mut lines = s.logs().read(LogQuery { follow: true, ..of(id("f")) }).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < first.len() {
        heard.extend(timeout(LONG, lines.next()).await.expect("what is there").expect("it goes on").unwrap());
    }
    assert_eq!(heard, first);
    scale(s, "f", 2).await;
    while !heard[first.len()..].iter().any(|line| line.text.starts_with("hello")) {
        heard.extend(timeout(LONG, lines.next()).await.expect("what comes").expect("it goes on").unwrap());
    }
    assert_ne!(heard.last().unwrap().instance, first[0].instance);
    serves(s, "f", 2).await;
    delete(s, "f").await;
    let rest = timeout(LONG, lines.collect::<Vec<_>>()).await.expect("it ends");
    assert!(rest.iter().all(Result::is_ok), "{rest:?}");
}

pub async fn an_unknown_function_has_no_logs_and_a_deleted_one_neither<S: Subject>(s: &mut S) {
    let missing = async |s: &S, function: FunctionId| {
        for follow in [false, true] {
            let refused = s.logs().read(LogQuery { follow, ..of(function.clone()) }).await.err();
            assert_eq!(refused, Some(LogsRefused::NotFound(function.clone())), "{follow}");
        }
    };
    missing(s, id("nobody")).await;
    missing(s, id("nobody.nowhere")).await;
    served(s, "f").await;
    written(s, "f", 1).await;
    missing(s, id("f.nowhere")).await;
    delete(s, "f").await;
    missing(s, id("f")).await;
}

pub async fn a_namesake_has_only_its_own_lines_at_once_and_the_follower_of_the_one_before_ends<S: Subject>(s: &mut S) {
    let mut before = Vec::new();
    for round in 0..3 {
        served(s, "f").await;
        let lines = written(s, "f", 1).await;
        let mine = lines[0].instance.clone();
        assert!(lines.iter().all(|line| line.instance == mine) && !before.contains(&mine), "{round}: {lines:?}");
        let follower = s.logs().read(LogQuery { follow: true, ..of(id("f")) }).await.unwrap();
        delete(s, "f").await;
        create(s, "f", Kind::Hello).await.unwrap();
        before.push(mine.clone());
        let at_once = read(s, of(id("f"))).await;
        assert!(at_once.iter().all(|line| !before.contains(&line.instance)), "{round}: {at_once:?}");
        let rest: Vec<_> = timeout(LONG, follower.collect()).await.expect("it ends");
        let told: Vec<LogLine> = rest.into_iter().flat_map(Result::unwrap).collect();
        assert!(told.starts_with(&lines), "{round}: {told:?}");
        assert!(told.iter().all(|line| line.instance == mine), "{round}: {told:?}");
        delete(s, "f").await;
        before.extend(at_once.into_iter().map(|line| line.instance));
    }
}

pub async fn what_was_written_is_there_after_a_restart<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let before = written(s, "f", 1).await;
    s.restart().await;
    serves(s, "f", 1).await;
    assert_eq!(read(s, of(id("f"))).await[..before.len()], before);
}
