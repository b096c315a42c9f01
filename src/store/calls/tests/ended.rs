use std::time::Duration;

use super::*;

async fn bury(calls: &Calls, function: &str, size: usize) -> CallId {
    let sent = call(function, &"x".repeat(size));
    let seq = calls.accept(sent.clone()).await.unwrap().head.seq;
    calls.settle(seq, dead("no")).await.unwrap();
    sent.id
}

#[tokio::test]
async fn dead_letters_beyond_the_bound_go_oldest_first_and_are_counted() {
    let calls = Calls::in_memory_with(Bounds { dead_bytes: 40_000, ..Bounds::default() }).unwrap();
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(bury(&calls, "echo", 10_000).await);
    }
    let others = bury(&calls, "other", 10_000).await;
    let mut kept = Vec::new();
    for id in &ids {
        kept.push(calls.by_id(*id).await.unwrap().is_some());
    }
    assert_eq!(kept, [false, false, false, true, true, true]);
    assert!(calls.by_id(others).await.unwrap().is_some());
    let lane = calls.function(&"echo".parse().unwrap()).unwrap();
    assert_eq!((lane.dead(), lane.dropped()), (3, 3));
    assert_counted(&calls).await;
}

#[tokio::test]
async fn the_newest_dead_letter_stays_however_large_it_is() {
    let calls = Calls::in_memory_with(Bounds { dead_bytes: 5_000, ..Bounds::default() }).unwrap();
    let first = bury(&calls, "echo", 10_000).await;
    assert!(calls.by_id(first).await.unwrap().is_some());
    let second = bury(&calls, "echo", 100).await;
    assert!(calls.by_id(first).await.unwrap().is_none() && calls.by_id(second).await.unwrap().is_some());
    assert_counted(&calls).await;
}

#[tokio::test(start_paused = true)]
async fn what_ended_is_kept_for_an_hour_and_dead_letters_for_a_week() {
    let calls = Calls::in_memory().unwrap();
    let finished = call("echo", "");
    let seq = calls.accept(finished.clone()).await.unwrap().head.seq;
    calls.settle(seq, done()).await.unwrap();
    let cancelled = call("echo", "");
    let seq = calls.accept(cancelled.clone()).await.unwrap().head.seq;
    calls.cancel(seq).await.unwrap();
    let letter = bury(&calls, "echo", 1).await;
    let waiting = call("echo", "");
    calls.accept(waiting.clone()).await.unwrap();
    let ids = [finished.id, cancelled.id, letter, waiting.id];
    for (after, left) in [(3_599, 4), (2, 2), (167 * 3_600, 1)] {
        tokio::time::advance(Duration::from_secs(after)).await;
        calls.tidy().await.unwrap();
        let mut there = 0;
        for id in ids {
            there += usize::from(calls.by_id(id).await.unwrap().is_some());
        }
        assert_eq!(there, left, "{after} s later");
        assert_counted(&calls).await;
    }
}

#[tokio::test]
async fn what_is_done_goes_for_others_that_need_the_room_but_for_the_last_of_them() {
    let calls = Calls::in_memory_with(Bounds { bytes: Some(20_000), ..Bounds::default() }).unwrap();
    let mut ids = Vec::new();
    for _ in 0..1000 {
        let sent = call("echo", "");
        let seq = calls.accept(sent.clone()).await.unwrap().head.seq;
        calls.settle(seq, done()).await.unwrap();
        ids.push(sent.id);
    }
    let kept = |from: usize| ids[from..].iter();
    assert!((12_000..=20_000).contains(&calls.bytes()), "{}", calls.bytes());
    for id in kept(1000 - 20) {
        assert_eq!(show(&calls, *id).await.call.state, State::Done);
    }
    assert!(calls.by_id(ids[0]).await.unwrap().is_none());
    let letter = bury(&calls, "echo", 1).await;
    for _ in 0..200 {
        calls.accept(call("echo", "")).await.unwrap();
    }
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(calls.by_id(*id).await.unwrap().is_some(), at >= 996, "{at}");
    }
    assert!(calls.by_id(letter).await.unwrap().is_some(), "a dead letter goes for nothing");
    assert_counted(&calls).await;
}

#[tokio::test]
async fn of_too_many_that_ended_the_oldest_go() {
    let calls = Calls::in_memory_with(Bounds { kept_most: 10, ..Bounds::default() }).unwrap();
    let mut ids = Vec::new();
    for n in 0..25 {
        let sent = call("echo", "");
        let seq = calls.accept(sent.clone()).await.unwrap().head.seq;
        if n % 2 == 0 {
            calls.cancel(seq).await.unwrap();
        } else {
            calls.settle(seq, done()).await.unwrap();
        }
        ids.push(sent.id);
    }
    let letter = bury(&calls, "echo", 1).await;
    assert_eq!(calls.tidy().await.unwrap(), 15);
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(calls.by_id(*id).await.unwrap().is_some(), n >= 15, "{n}");
    }
    assert!(calls.by_id(letter).await.unwrap().is_some());
    assert_counted(&calls).await;
}

#[tokio::test]
async fn dead_letters_are_kept_for_ever_where_that_is_asked_for() {
    let calls = Calls::in_memory_with(Bounds { dead: None, ..Bounds::default() }).unwrap();
    let letter = bury(&calls, "echo", 1).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3600 * 24 * 400)).await;
    calls.tidy().await.unwrap();
    assert!(calls.by_id(letter).await.unwrap().is_some());
}

#[tokio::test]
async fn a_lane_without_calls_goes_and_one_that_has_any_stays() {
    let calls = Calls::in_memory().unwrap();
    let gone = calls.accept(with_callback("gone", "h:1")).await.unwrap();
    calls.settle(gone.head.seq, to_callback("h:1", Verdict::Done)).await.unwrap();
    calls.settle(gone.head.seq, Settled::Delivered { attempt: attempt(200) }).await.unwrap();
    let failed = calls.accept(with_callback("failed", "h:2")).await.unwrap();
    calls.settle(failed.head.seq, to_callback("h:2", Verdict::Done)).await.unwrap();
    calls.settle(failed.head.seq, dead("no")).await.unwrap();
    calls.commit(Op::Remove([gone.head.seq].into())).await.unwrap();
    calls.tidy().await.unwrap();
    let mut left: Vec<LaneKey> = calls.lanes().iter().map(|lane| lane.key.clone()).collect();
    left.sort();
    assert_eq!(left, [LaneKey::Function("failed".parse().unwrap()), LaneKey::Host("h:2".into())]);
    let anew = calls.accept(call("gone", "")).await.unwrap();
    assert!(anew.lane > failed.lane && anew.lane != gone.lane, "a number is used once");
    assert_counted(&calls).await;
}

#[tokio::test]
async fn what_has_not_ended_is_not_removed() {
    let calls = Calls::in_memory().unwrap();
    let waits = calls.accept(call("echo", "")).await.unwrap();
    bury(&calls, "echo", 1).await;
    bury(&calls, "other", 1).await;
    let of_echo = Filter { function: Some("echo".parse().unwrap()), ..Filter::default() };
    assert_eq!(calls.purge(of_echo).await.unwrap(), 1);
    assert_eq!(calls.purge(Filter { wanted: Wanted::Dead, ..Filter::default() }).await.unwrap(), 1);
    assert_eq!(calls.commit(Op::Remove([waits.head.seq].into())).await.unwrap(), Done::Some(0, false));
    assert_eq!(next(&calls, waits.lane).await, [waits.head.seq]);
    assert_counted(&calls).await;
}

#[tokio::test]
async fn room_that_is_free_is_given_back_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls.db");
    let calls = Calls::open(&path, Bounds::default(), 0).unwrap();
    let large = "x".repeat(10 << 20);
    let mut seqs = Vec::new();
    for _ in 0..8 {
        seqs.push(calls.accept(call("echo", &large)).await.unwrap().head.seq);
    }
    for seq in &seqs {
        calls.cancel(*seq).await.unwrap();
    }
    calls.tidy().await.unwrap();
    calls.close().await.unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 70 << 20, "{size} bytes");
}
