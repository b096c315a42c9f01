use super::*;

async fn all(calls: &Calls, filter: Filter) -> Vec<Seq> {
    let (mut filter, mut found) = (filter, Vec::new());
    loop {
        let page = calls.page(filter.clone()).await.unwrap();
        assert!(page.calls.len() <= filter.limit);
        found.extend(page.calls.iter().map(|call| call.seq));
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return found,
        }
    }
}

#[tokio::test]
async fn pages_hold_each_call_that_is_wanted_once_the_newest_first() {
    let calls = Calls::in_memory().unwrap();
    let functions = ["echo", "other", "third.dev"];
    for n in 0..60_u16 {
        let sent = NewCall { accepted: i64::from(n), ..with_callback(functions[usize::from(n % 3)], "h:1") };
        let seq = calls.accept(sent).await.unwrap().head.seq;
        match n % 7 {
            0 => drop(calls.settle(seq, done()).await.unwrap()),
            1 => drop(calls.settle(seq, dead("no")).await.unwrap()),
            2 => drop(calls.cancel(seq).await.unwrap()),
            3 => drop(calls.settle(seq, again(0)).await.unwrap()),
            4 => drop(calls.settle(seq, to_callback("h:1", Verdict::Done)).await.unwrap()),
            _ => {}
        }
    }
    let kinds: [(Wanted, &[u16]); 7] = [
        (Wanted::Any, &[0, 1, 2, 3, 4, 5, 6]),
        (Wanted::Waiting, &[3, 5, 6]),
        (Wanted::Retrying, &[3]),
        (Wanted::Callback, &[4]),
        (Wanted::Done, &[0]),
        (Wanted::Dead, &[1]),
        (Wanted::Cancelled, &[2]),
    ];
    for (wanted, kinds) in kinds {
        for function in [None, Some(0_u16)] {
            for (since, limit) in [(None, 1), (None, 7), (Some(20), 1000)] {
                let filter = Filter {
                    function: function.map(|_| "echo".parse().unwrap()),
                    wanted,
                    since,
                    limit,
                    ..Filter::default()
                };
                let wants = |n: &u16| kinds.contains(&(n % 7)) && function.is_none_or(|at| n % 3 == at);
                let numbers = (0..60_u16).filter(wants).filter(|n| since.is_none_or(|since| i64::from(*n) >= since));
                let mut expected: Vec<Seq> = numbers.map(|n| Seq(i64::from(n) + 1)).collect();
                let mut found = all(&calls, filter.clone()).await;
                if wanted != Wanted::Waiting && wanted != Wanted::Retrying {
                    expected.reverse();
                    assert_eq!(found, expected, "{filter:?}");
                }
                found.sort();
                expected.sort();
                assert_eq!(found, expected, "{filter:?}");
            }
        }
    }
    let dev = Filter { namespace: Some("dev".parse().unwrap()), limit: 1000, ..Filter::default() };
    assert_eq!(all(&calls, dev).await.len(), 20);
    let unknown = Filter { function: Some("unknown".parse().unwrap()), limit: 10, ..Filter::default() };
    assert_eq!(calls.page(unknown).await.unwrap(), Page::default());
    let wrong = Filter { after: Some("x".into()), limit: 10, ..Filter::default() };
    assert!(matches!(calls.page(wrong).await, Err(ListError::NoSuchPage(_))));
}

#[tokio::test]
async fn a_callers_id_finds_the_newest_of_its_calls() {
    let calls = Calls::in_memory().unwrap();
    let mut ids = Vec::new();
    for _ in 0..15 {
        let sent = NewCall { caller_id: Some("same".into()), ..call("echo", "") };
        ids.push(sent.id);
        calls.accept(sent).await.unwrap();
    }
    ids.reverse();
    assert_eq!(calls.by_caller_id("same", |_| true).await.unwrap(), ids[..11]);
    assert_eq!(calls.by_caller_id("other", |_| true).await.unwrap(), []);
    // Others repeat it, in another namespace: the first ones are still found by who reaches only theirs.
    for _ in 0..15 {
        calls.accept(NewCall { caller_id: Some("same".into()), ..call("echo.dev", "") }).await.unwrap();
    }
    let reached = calls.by_caller_id("same", |namespace| namespace.as_str() == "openfaas-fn");
    assert_eq!(reached.await.unwrap(), ids[..11]);
}

#[tokio::test]
async fn what_one_file_hands_over_another_takes_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls.db");
    let from = Calls::open(&path, Bounds::default(), 0).unwrap();
    let (waits, letter, failed, ended) = (call("a", "1"), call("b", "2"), with_callback("c", "h:1"), call("a", "4"));
    from.accept(waits.clone()).await.unwrap();
    let seq = from.accept(letter.clone()).await.unwrap().head.seq;
    from.settle(seq, dead("no")).await.unwrap();
    let seq = from.accept(failed.clone()).await.unwrap().head.seq;
    from.settle(seq, to_callback("h:1", Verdict::Done)).await.unwrap();
    from.settle(seq, dead("no answer")).await.unwrap();
    let seq = from.accept(ended).await.unwrap().head.seq;
    from.settle(seq, done()).await.unwrap();
    let mut handed = Vec::new();
    Calls::read_unended(&path, 0, |lane, call| {
        handed.push((lane, call));
        Ok(())
    })
    .unwrap();
    let to = Calls::in_memory().unwrap();
    let mut told = to.notices();
    assert_eq!(to.import(handed.clone().into(), 0).await.unwrap(), 3);
    assert_eq!(to.import(handed.into(), 0).await.unwrap(), 0, "they are there");
    assert_eq!(told.try_recv().unwrap().len(), 1);
    for sent in [waits, letter, failed.clone()] {
        let (there, here) = (show(&from, sent.id).await, show(&to, sent.id).await);
        assert_eq!(
            (there.call.state, there.call.phase, there.request),
            (here.call.state, here.call.phase, here.request)
        );
        assert_eq!((there.attempts, there.answer, there.call.reason), (here.attempts, here.answer, here.call.reason));
        assert!(here.sound);
    }
    let seq = show(&to, failed.id).await.call.seq;
    assert!(matches!(to.revive(seq, Revive::default()).await.unwrap(), Revived::Waits(_)));
    assert_eq!(to.load(seq).await.unwrap().unwrap().call.phase, Phase::Callback);
    assert_counted(&to).await;
}

#[tokio::test(start_paused = true)]
async fn deadlines_and_waits_go_along_as_times_on_the_wall() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls.db");
    // Its ticks are far ahead of the wall, which was set back since.
    let from = Calls::open(&path, Bounds::default(), 9_000_000).unwrap();
    let now = from.ticks().now();
    let (fresh, retried) = (call("a", "1"), NewCall { deadline: Some(now + 60_000), ..call("a", "2") });
    from.accept(fresh.clone()).await.unwrap();
    let seq = from.accept(retried.clone()).await.unwrap().head.seq;
    from.settle(seq, again(now + 30_000)).await.unwrap();
    let (sent, taken) = (1_000_000, 1_010_000);
    let mut handed = Vec::new();
    Calls::read_unended(&path, sent, |lane, call| {
        handed.push((lane, call));
        Ok(())
    })
    .unwrap();
    let to = Calls::in_memory().unwrap();
    let (before, mut told) = (to.ticks().now(), to.notices());
    to.import(handed.into(), taken).await.unwrap();
    // Ten seconds went by on the way, and a tick or two where the file was read.
    let about = |ticks: i64, left: i64| (left - 100..=left + 100).contains(&(ticks - before));
    let call = show(&to, retried.id).await.call;
    assert!(about(call.due, 20_000) && about(call.deadline.unwrap(), 50_000), "{call:?}");
    let call = show(&to, fresh.id).await.call;
    assert!(about(call.due, 0) && call.deadline.is_none(), "{call:?}");
    let notices = told.try_recv().unwrap();
    assert!(notices.iter().any(|notice| about(notice.head.due, 20_000)), "{notices:?}");
    assert_counted(&to).await;
}

#[tokio::test]
async fn what_another_file_says_is_counted_as_what_came_of_calls_here() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls.db");
    let from = Calls::open(&path, Bounds::default(), 0).unwrap();
    let sent = call("a", "1");
    let seq = from.accept(sent.clone()).await.unwrap().head.seq;
    let ended = Settled::Dead { attempt: Some(attempt(500)), reason: "no".into(), answer: Some(answer("no")) };
    from.settle(seq, ended).await.unwrap();
    let mut handed = Vec::new();
    Calls::read_unended(&path, 0, |lane, mut call| {
        call.call.reason = Some("x".repeat(100_000));
        call.call.tries = u32::MAX;
        handed.push((lane, call));
        Ok(())
    })
    .unwrap();
    let to = Calls::in_memory().unwrap();
    assert_eq!(to.import(handed.into(), 0).await.unwrap(), 1);
    let (there, here) = (show(&from, sent.id).await.call, show(&to, sent.id).await.call);
    assert_eq!(there.bytes, here.bytes, "the head of its answer as well");
    assert_eq!(here.reason.unwrap().len(), 1_000);
    assert_eq!(to.bytes(), here.bytes);
}
