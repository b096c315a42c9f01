use super::*;

fn key(schedule: &str) -> FiredKey {
    FiredKey { function: "nightly".parse().unwrap(), schedule: schedule.to_owned() }
}

fn firing(due: i64, skip: bool) -> Firing {
    Firing { key: key("@hourly"), due, now: due + 5, skip }
}

#[tokio::test]
async fn a_due_time_fires_once() {
    let calls = Calls::in_memory().unwrap();
    let sent = call("nightly", "");
    assert!(matches!(calls.fire(sent.clone(), firing(100, false)).await.unwrap(), Fired::Now(_)));
    for due in [100, 99] {
        assert_eq!(calls.fire(call("nightly", ""), firing(due, false)).await.unwrap(), Fired::Already);
    }
    let row = calls.fired().await.unwrap().remove(0);
    assert_eq!((row.last_due, row.call, row.fired_at), (Some(100), Some(sent.id), Some(105)));
    assert_eq!(calls.function(&sent.function).unwrap().waiting(), 1);
    assert!(matches!(calls.fire(call("nightly", ""), firing(101, false)).await.unwrap(), Fired::Now(_)));
}

#[tokio::test]
async fn one_that_may_not_overlap_is_skipped_and_counted_until_the_one_before_it_has_ended() {
    let calls = Calls::in_memory().unwrap();
    let Fired::Now(first) = calls.fire(call("nightly", ""), firing(100, true)).await.unwrap() else { panic!() };
    assert_eq!(calls.fire(call("nightly", ""), firing(200, true)).await.unwrap(), Fired::Skipped);
    assert_eq!(calls.fire(call("nightly", ""), firing(200, true)).await.unwrap(), Fired::Already);
    calls.settle(first.head.seq, done()).await.unwrap();
    assert!(matches!(calls.fire(call("nightly", ""), firing(300, true)).await.unwrap(), Fired::Now(_)));
    let row = calls.fired().await.unwrap().remove(0);
    assert_eq!((row.last_due, row.skipped), (Some(300), 1));
}

#[tokio::test]
async fn what_is_known_of_a_schedule_begins_when_it_is_seen_and_ends_when_it_is_gone() {
    let calls = Calls::in_memory().unwrap();
    let mark = async |mark| assert_eq!(calls.commit(Op::Mark(key("@daily"), mark)).await.unwrap(), Done::Nothing);
    let row = async || {
        let row = calls.fired().await.unwrap().pop()?;
        Some((row.anchor, row.last_due, row.missed))
    };
    mark(Mark::Seen { now: 10 }).await;
    mark(Mark::Seen { now: 20 }).await;
    assert_eq!(row().await, Some((10, Some(10), 0)));
    mark(Mark::Missed { last_due: 50, count: 3 }).await;
    mark(Mark::Missed { last_due: 40, count: 1 }).await;
    assert_eq!(row().await, Some((10, Some(50), 4)));
    mark(Mark::Anew { now: 30 }).await;
    assert_eq!(row().await, Some((30, Some(30), 4)));
    mark(Mark::Gone).await;
    assert_eq!(row().await, None);
}
