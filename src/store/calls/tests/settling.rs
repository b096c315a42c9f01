use super::*;

#[tokio::test]
async fn a_call_that_ended_is_not_read_again() {
    let calls = Calls::in_memory().unwrap();
    for settled in [done(), dead("no")] {
        let notice = calls.accept(call("echo", "")).await.unwrap();
        assert_eq!(calls.settle(notice.head.seq, settled.clone()).await.unwrap(), (true, None));
        assert_eq!(next(&calls, notice.lane).await, []);
        assert_eq!(calls.load(notice.head.seq).await.unwrap(), None);
        assert_eq!(calls.settle(notice.head.seq, settled).await.unwrap(), (false, None), "it was told already");
        assert!(!calls.cancel(notice.head.seq).await.unwrap());
    }
    assert_counted(&calls).await;
}

#[tokio::test]
async fn a_waiting_retry_is_behind_what_is_due_before_it() {
    let calls = Calls::in_memory().unwrap();
    let first = calls.accept(call("echo", "")).await.unwrap();
    let second = calls.accept(call("echo", "")).await.unwrap();
    let due = calls.ticks().now() + 10_000;
    let (waited, notice) = calls.settle(first.head.seq, again(due)).await.unwrap();
    assert!(waited);
    assert_eq!(notice.unwrap().head, Head { due, seq: first.head.seq });
    assert_eq!(next(&calls, first.lane).await, [second.head.seq, first.head.seq]);
    let ready = calls.heads(first.lane, None, due - 1).await.unwrap();
    assert_eq!((ready.heads.len(), ready.next), (1, Some(due)));
    let lane = calls.lane(first.lane).unwrap();
    assert_eq!((lane.waiting(), lane.retrying()), (2, 1));
    let read = calls.load(first.head.seq).await.unwrap().unwrap();
    assert_eq!((read.call.tries, read.call.called, read.call.status), (1, 1, Some(503)));
    assert_eq!(read.attempts, [attempt(503)]);
    assert_counted(&calls).await;
}

#[tokio::test]
async fn a_retry_that_is_due_at_once_is_due_in_the_next_tick() {
    let calls = Calls::in_memory().unwrap();
    let notice = calls.accept(call("echo", "")).await.unwrap();
    let (_, waits) = calls.settle(notice.head.seq, again(0)).await.unwrap();
    assert!(waits.unwrap().head.due > notice.head.due);
}

#[tokio::test]
async fn of_a_call_that_is_done_the_answer_is_kept_and_the_request_is_not() {
    let calls = Calls::in_memory().unwrap();
    let sent = call("echo", &"x".repeat(100_000));
    let notice = calls.accept(sent.clone()).await.unwrap();
    let long = Kept { total: 300_000, ..answer(&"y".repeat(200_000)) };
    calls.settle(notice.head.seq, Settled::Done { attempt: attempt(200), answer: long }).await.unwrap();
    let shown = show(&calls, sent.id).await;
    assert_eq!((shown.call.state, shown.call.status, shown.request), (State::Done, Some(200), None));
    let answer = shown.answer.unwrap();
    assert_eq!((answer.body.len(), answer.total, answer.head.len()), (64 << 10, 300_000, 1));
    assert!(shown.call.bytes < 70_000, "{}", shown.call.bytes);
    assert_counted(&calls).await;
}

#[tokio::test]
async fn a_callback_waits_in_the_lane_of_its_host_and_the_call_becomes_what_it_was() {
    let calls = Calls::in_memory().unwrap();
    let verdicts = [(Verdict::Done, State::Done), (Verdict::Dead { reason: "no".into() }, State::Dead)];
    for (verdict, state) in verdicts {
        let sent = with_callback("echo", "h:1");
        let notice = calls.accept(sent.clone()).await.unwrap();
        let seq = notice.head.seq;
        let (_, waits) = calls.settle(seq, to_callback("h:1", verdict.clone())).await.unwrap();
        let lane = calls.lane(waits.unwrap().lane).unwrap();
        assert_eq!((lane.key.clone(), lane.waiting()), (LaneKey::Host("h:1".into()), 1));
        let function = calls.function(&sent.function).unwrap();
        assert_eq!((function.waiting(), function.callbacks()), (0, 1));
        let read = calls.load(seq).await.unwrap().unwrap();
        assert_eq!((read.call.phase, read.call.tries, read.call.called), (Phase::Callback, 0, 1));
        assert_eq!((read.call.verdict, read.answer), (Some(verdict), Some(answer("for the callback"))));
        assert!(read.sound && read.request.is_some());
        calls.settle(seq, again(0)).await.unwrap();
        assert_eq!((lane.retrying(), show(&calls, sent.id).await.call.called), (1, 1), "the function was not called");
        let out = Settled::Delivered { attempt: Attempt { callback: true, ..attempt(204) } };
        assert_eq!(calls.settle(seq, out).await.unwrap(), (true, None));
        let shown = show(&calls, sent.id).await;
        assert_eq!((shown.call.state, shown.call.status, shown.call.lane), (state, Some(200), notice.lane));
        assert_eq!((shown.attempts.len(), lane.waiting(), function.callbacks()), (3, 0, 0));
        assert_eq!(shown.request.is_some(), state == State::Dead, "what can be sent again is kept");
        assert_counted(&calls).await;
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_wherever_it_waits_and_nothing_settles_it_any_more() {
    let calls = Calls::in_memory().unwrap();
    for phase in [Phase::Function, Phase::Callback] {
        let sent = with_callback("echo", "h:1");
        let seq = calls.accept(sent.clone()).await.unwrap().head.seq;
        if phase == Phase::Callback {
            calls.settle(seq, to_callback("h:1", Verdict::Done)).await.unwrap();
        }
        assert!(calls.cancel(seq).await.unwrap());
        assert_eq!(calls.settle(seq, done()).await.unwrap(), (false, None));
        let shown = show(&calls, sent.id).await;
        assert_eq!((shown.call.state, shown.request), (State::Cancelled, None));
        assert_counted(&calls).await;
    }
}

#[tokio::test]
async fn calls_that_end_untried_are_dead_letters_and_who_asked_for_a_callback_gets_one() {
    let calls = Calls::in_memory().unwrap();
    let plain = calls.accept(call("echo", "")).await.unwrap();
    let asked = with_callback("echo", "h:1");
    let called_back = calls.accept(asked.clone()).await.unwrap();
    let ended = calls.accept(call("echo", "")).await.unwrap();
    calls.cancel(ended.head.seq).await.unwrap();
    let mut told = calls.notices();
    let why = Why { reason: "its function was deleted".into(), callbacks: std::sync::Arc::new(host) };
    let seqs = [plain, called_back, ended].map(|notice| notice.head.seq);
    let ended = calls.commit(Op::End(seqs.into(), why)).await.unwrap();
    assert_eq!(ended, Done::Some(2, false));
    assert_eq!(calls.function(&asked.function).unwrap().dead(), 1);
    let read = calls.load(called_back.head.seq).await.unwrap().unwrap();
    assert_eq!(read.call.verdict, Some(Verdict::Dead { reason: "its function was deleted".into() }));
    assert_eq!((read.answer, read.sound), (None, true));
    assert_eq!(told.try_recv().unwrap()[0].lane, read.call.lane);
    assert_counted(&calls).await;
}

#[tokio::test]
async fn a_dead_letter_can_be_sent_again_with_its_tries_still_to_be_seen() {
    let calls = Calls::in_memory().unwrap();
    let sent = NewCall { deadline: Some(5), ..call("echo", "hello") };
    let seq = calls.accept(sent.clone()).await.unwrap().head.seq;
    assert_eq!(calls.revive(seq, Revive::default()).await.unwrap(), Revived::NotDead);
    calls.settle(seq, dead("no")).await.unwrap();
    let Revived::Waits(notice) = calls.revive(seq, Revive::default()).await.unwrap() else {
        panic!("it does not wait")
    };
    let read = calls.load(notice.head.seq).await.unwrap().unwrap();
    assert_eq!((read.call.id, read.call.tries, read.call.called, read.call.deadline), (sent.id, 0, 1, None));
    assert_eq!((read.attempts.len(), read.request.unwrap().body), (1, sent.body));
    assert_eq!((read.call.reason, read.sound), (None, true));
    assert_eq!(calls.revive(Seq(999), Revive::default()).await.unwrap(), Revived::Gone);
    assert_counted(&calls).await;
}

#[tokio::test]
async fn where_only_the_callback_failed_only_that_is_sent_again_unless_the_call_is_asked_for() {
    let calls = Calls::in_memory().unwrap();
    let sent = with_callback("echo", "h:1");
    let notice = calls.accept(sent.clone()).await.unwrap();
    let seq = notice.head.seq;
    let verdict = Verdict::Dead { reason: "answered 400".into() };
    calls.settle(seq, to_callback("h:1", verdict.clone())).await.unwrap();
    for n in 1..=2 {
        calls.settle(seq, dead("no answer")).await.unwrap();
        let shown = show(&calls, sent.id).await;
        assert_eq!(shown.call.reason.as_deref(), Some("answered 400; its callback: no answer"), "{n}");
        assert_counted(&calls).await;
        assert!(matches!(calls.revive(seq, Revive::default()).await.unwrap(), Revived::Waits(_)));
        let read = calls.load(seq).await.unwrap().unwrap();
        assert_eq!((read.call.phase, read.answer), (Phase::Callback, Some(answer("for the callback"))));
        assert!(matches!(read.call.verdict, Some(Verdict::Dead { .. })));
        assert_counted(&calls).await;
    }
    calls.settle(seq, dead("no answer")).await.unwrap();
    assert!(matches!(calls.revive(seq, Revive { call: true }).await.unwrap(), Revived::Waits(_)));
    let read = calls.load(seq).await.unwrap().unwrap();
    assert_eq!((read.call.phase, read.call.lane, read.call.verdict), (Phase::Function, notice.lane, None));
    assert_counted(&calls).await;
}

#[tokio::test]
async fn what_is_not_as_it_was_written_is_told() {
    let calls = Calls::in_memory().unwrap();
    for sql in [
        "UPDATE requests SET body = x'00'",
        "UPDATE requests SET head = x'00'",
        "UPDATE calls SET path = '/other'",
        "UPDATE calls SET method = 'GET'",
        "UPDATE calls SET callback = 'http://elsewhere/'",
        "DELETE FROM requests",
    ] {
        let seq = calls.accept(with_callback("echo", "h:1")).await.unwrap().head.seq;
        assert!(calls.load(seq).await.unwrap().unwrap().sound);
        calls.0.readers.writer.lock().unwrap().db().execute(&format!("{sql} WHERE seq = {}", seq.0), []).unwrap();
        assert!(!calls.load(seq).await.unwrap().unwrap().sound, "{sql}");
    }
    let seq = calls.accept(with_callback("echo", "h:1")).await.unwrap().head.seq;
    calls.settle(seq, to_callback("h:1", Verdict::Done)).await.unwrap();
    calls.0.readers.writer.lock().unwrap().db().execute("UPDATE answers SET body = x'00'", []).unwrap();
    assert!(!calls.load(seq).await.unwrap().unwrap().sound);
}
