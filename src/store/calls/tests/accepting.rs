use std::sync::Mutex;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_read_as_it_was_sent() {
    let calls = Calls::in_memory().unwrap();
    let sent = NewCall {
        caller_id: Some("mine".into()),
        deadline: Some(77),
        guarded: true,
        callback: Some(Callback { url: "http://h:1/".into(), checked: true }),
        path: "/a?b=c".into(),
        schedule: Some("@hourly".into()),
        ..call("echo", "hello")
    };
    let notice = calls.accept(sent.clone()).await.unwrap();
    let read = calls.load(notice.head.seq).await.unwrap().unwrap();
    assert_eq!(read.request, Some(Request { head: sent.head.clone(), body: sent.body.clone() }));
    assert!(read.sound && read.attempts.is_empty() && read.answer.is_none());
    let shown = read.call;
    assert_eq!((shown.id, shown.function, shown.lane), (sent.id, sent.function, notice.lane));
    assert_eq!((shown.caller_id, shown.deadline, shown.guarded), (sent.caller_id, sent.deadline, true));
    assert_eq!((shown.callback, shown.path, shown.schedule), (sent.callback, sent.path, sent.schedule));
    assert_eq!((shown.state, shown.phase, shown.due), (State::Waiting, Phase::Function, notice.head.due));
    assert_eq!(calls.by_caller_id("mine", |_| true).await.unwrap(), [sent.id]);
    assert_counted(&calls).await;
}

#[tokio::test]
async fn what_was_accepted_together_is_committed_together() {
    let calls = Calls::in_memory().unwrap();
    let commits = Arc::new(Mutex::new(Vec::new()));
    let seen = commits.clone();
    calls.observe_commits(move |_, changes| seen.lock().unwrap().push(changes));
    let disk = calls.hold();
    let accepted: Vec<_> = (0..100)
        .map(|n| {
            let calls = calls.clone();
            tokio::spawn(async move { calls.accept(call("echo", &n.to_string())).await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(disk);
    for one in accepted {
        one.await.unwrap().unwrap();
    }
    let commits = commits.lock().unwrap().clone();
    assert_eq!(commits.iter().sum::<usize>(), 100);
    assert!(commits.len() <= 3, "one that was held, and the others together: {commits:?}");
}

#[tokio::test]
async fn one_call_that_can_not_be_written_fails_alone() {
    let calls = Calls::in_memory().unwrap();
    let twice = call("echo", "twice");
    calls.accept(twice.clone()).await.unwrap();
    let disk = calls.hold();
    let sent = [call("echo", "a"), twice, call("other", "b")];
    let accepted = sent.map(|call| {
        let calls = calls.clone();
        tokio::spawn(async move { calls.accept(call).await })
    });
    tokio::task::yield_now().await;
    drop(disk);
    let mut went = Vec::new();
    for one in accepted {
        went.push(one.await.unwrap().is_ok());
    }
    assert_eq!(went, [true, false, true]);
    assert_counted(&calls).await;
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_told_to_callers_and_what_comes_after_it_is_kept() {
    let calls = Calls::in_memory().unwrap();
    calls.refuse_writes(true).await.unwrap();
    assert!(matches!(calls.accept(call("echo", "")).await, Err(StoreError::Failed(_))));
    calls.refuse_writes(false).await.unwrap();
    let kept = calls.accept(call("echo", "")).await.unwrap();
    assert_eq!(next(&calls, kept.lane).await, [kept.head.seq]);
    assert_counted(&calls).await;
}

#[tokio::test]
async fn a_full_disk_is_told_as_one_and_loses_nothing_that_was_kept() {
    let calls = Calls::in_memory().unwrap();
    let kept = calls.accept(call("echo", "")).await.unwrap();
    calls.limit_pages(1).await.unwrap();
    let large = call("echo", &"x".repeat(1 << 20));
    assert!(matches!(calls.accept(large).await, Err(StoreError::Full(_))));
    assert_eq!(next(&calls, kept.lane).await, [kept.head.seq]);
    calls.limit_pages(1 << 20).await.unwrap();
    calls.accept(call("echo", "")).await.unwrap();
    assert_counted(&calls).await;
}

#[tokio::test]
async fn who_dispatches_is_told_of_each_call_before_its_caller_is() {
    let calls = Calls::in_memory().unwrap();
    let mut told = calls.notices();
    let first = calls.accept(call("echo", "")).await.unwrap();
    assert_eq!(told.try_recv().unwrap().as_ref(), [first]);
    assert_eq!(calls.lane(first.lane).unwrap().key, LaneKey::Function("echo".parse().unwrap()));
    let mut anew = calls.notices();
    let second = calls.accept(call("echo", "")).await.unwrap();
    assert!(told.try_recv().is_err(), "another one is told now");
    assert_eq!(anew.try_recv().unwrap().as_ref(), [second]);
}

#[tokio::test]
async fn calls_of_a_function_come_in_the_order_in_which_they_were_accepted() {
    let calls = Calls::in_memory().unwrap();
    let mut accepted = Vec::new();
    for n in 0..100 {
        accepted.push(calls.accept(call(if n % 3 == 0 { "other" } else { "echo" }, "")).await.unwrap());
    }
    let lane = calls.function(&"echo".parse().unwrap()).unwrap().id;
    let of_lane: Vec<Seq> =
        accepted.iter().filter(|notice| notice.lane == lane).map(|notice| notice.head.seq).collect();
    let first = calls.heads(lane, None, i64::MAX).await.unwrap();
    assert_eq!(first.heads.iter().map(|head| head.seq).collect::<Vec<_>>(), of_lane[..64]);
    assert!(first.next.is_some());
    let rest = calls.heads(lane, first.heads.last().copied(), i64::MAX).await.unwrap();
    assert_eq!(rest.heads.iter().map(|head| head.seq).collect::<Vec<_>>(), of_lane[64..]);
    assert_eq!(rest.next, None);
}

#[tokio::test]
async fn a_file_goes_on_where_it_was_closed_and_its_clock_never_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls.db");
    let calls = Calls::open(&path, Bounds::default(), 50_000).unwrap();
    let kept = calls.accept(call("echo", "hello")).await.unwrap();
    let before = calls.ticks().now();
    calls.close().await.unwrap();
    assert!(calls.accept(call("echo", "")).await.is_err(), "it is closed");
    drop(calls);
    let calls = Calls::open(&path, Bounds::default(), 7).unwrap();
    assert!(calls.ticks().now() > before, "the wall went back");
    assert_eq!(next(&calls, kept.lane).await, [kept.head.seq]);
    assert_eq!(calls.lane(kept.lane).unwrap().waiting(), 1);
    let later = calls.accept(call("echo", "")).await.unwrap();
    assert!(later.head > kept.head && later.lane == kept.lane);
    assert_counted(&calls).await;
}

#[tokio::test]
async fn deadlines_are_found_at_their_time() {
    let calls = Calls::in_memory().unwrap();
    assert_eq!(calls.soonest_deadline().await.unwrap(), None);
    let mut kept = Vec::new();
    for deadline in [Some(300), None, Some(100), Some(200)] {
        kept.push(calls.accept(NewCall { deadline, ..call("echo", "") }).await.unwrap().head.seq);
    }
    assert_eq!(calls.soonest_deadline().await.unwrap(), Some(100));
    let lane = calls.function(&"echo".parse().unwrap()).unwrap().id;
    assert_eq!(calls.overdue(99).await.unwrap(), []);
    assert_eq!(calls.overdue(200).await.unwrap(), [(kept[2], lane), (kept[3], lane)]);
    calls.cancel(kept[2]).await.unwrap();
    assert_eq!(calls.overdue(200).await.unwrap(), [(kept[3], lane)]);
}
