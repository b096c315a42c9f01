//! Counts are never taken by looking at all calls, so whatever is done has to count right.

use proptest::prelude::*;

use super::*;

/// Something that is done to one of the calls so far, or to a new one.
#[derive(Debug, Clone)]
enum Step {
    Accept {
        function: u8,
        callback: bool,
        size: u16,
    },
    Fire {
        due: u8,
        skip: bool,
    },
    Again(usize),
    Done(usize, u16),
    Dead(usize, bool),
    ToCallback(usize, bool, u16),
    Delivered(usize),
    Cancel(usize),
    Revive(usize, bool),
    End(usize),
    Remove(usize),
    Purge(u8),
    Tidy,
    /// The disk takes nothing while the next one is tried.
    Refuse(usize),
    Later(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..64_usize;
    prop_oneof![
        4 => (0..3_u8, any::<bool>(), 0..3_000_u16)
            .prop_map(|(function, callback, size)| Step::Accept { function, callback, size }),
        1 => (0..20_u8, any::<bool>()).prop_map(|(due, skip)| Step::Fire { due, skip }),
        3 => at().prop_map(Step::Again),
        2 => (at(), 0..3_000_u16).prop_map(|(n, size)| Step::Done(n, size)),
        3 => (at(), any::<bool>()).prop_map(|(n, answered)| Step::Dead(n, answered)),
        3 => (at(), any::<bool>(), 0..3_000_u16).prop_map(|(n, done, size)| Step::ToCallback(n, done, size)),
        2 => at().prop_map(Step::Delivered),
        1 => at().prop_map(Step::Cancel),
        2 => (at(), any::<bool>()).prop_map(|(n, call)| Step::Revive(n, call)),
        1 => at().prop_map(Step::End),
        1 => at().prop_map(Step::Remove),
        1 => (0..3_u8).prop_map(Step::Purge),
        1 => Just(Step::Tidy),
        1 => at().prop_map(Step::Refuse),
        1 => (0..4_000_000_u32).prop_map(Step::Later),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The change that a step is, if it is one.
fn change(step: &Step, seqs: &[Seq]) -> Option<Op> {
    let seq = |n: &usize| seqs.get(n % seqs.len().max(1)).copied().unwrap_or(Seq(1));
    let long = |size: &u16| answer(&"y".repeat(usize::from(*size)));
    Some(match step {
        Step::Accept { function, callback, size } => {
            let body = "x".repeat(usize::from(*size));
            let function = NAMES[usize::from(*function)];
            let sent = if *callback { with_callback(function, "h:1") } else { call(function, "") };
            Op::Accept(NewCall { body: body.into(), ..sent })
        }
        Step::Fire { due, skip } => {
            let key = FiredKey { function: "a".parse().unwrap(), schedule: "@hourly".into() };
            Op::Fire(call("a", ""), Firing { key, due: i64::from(*due), now: 1, skip: *skip })
        }
        Step::Again(n) => Op::Settle(seq(n), again(0)),
        Step::Done(n, size) => Op::Settle(seq(n), Settled::Done { attempt: attempt(200), answer: long(size) }),
        Step::Dead(n, answered) => {
            let answer = answered.then(|| long(&500));
            Op::Settle(seq(n), Settled::Dead { attempt: None, reason: "no".into(), answer })
        }
        Step::ToCallback(n, done, size) => {
            let verdict = if *done { Verdict::Done } else { Verdict::Dead { reason: "no".into() } };
            let lane = LaneKey::Host(if *done { "h:1" } else { "h:2" }.into());
            let answer = (*size > 100).then(|| long(size));
            Op::Settle(seq(n), Settled::ToCallback { lane, verdict, attempt: Some(attempt(200)), answer })
        }
        Step::Delivered(n) => Op::Settle(seq(n), Settled::Delivered { attempt: attempt(200) }),
        Step::Cancel(n) => Op::Cancel(seq(n)),
        Step::Revive(n, call) => Op::Revive(seq(n), Revive { call: *call }),
        Step::End(n) => {
            Op::End([seq(n), seq(&(n + 1))].into(), Why { reason: "gone".into(), callbacks: std::sync::Arc::new(host) })
        }
        Step::Remove(n) | Step::Refuse(n) => Op::Remove([seq(n)].into()),
        Step::Purge(_) | Step::Tidy | Step::Later(_) => return None,
    })
}

async fn run(calls: &Calls, steps: &[Step]) {
    let mut seqs: Vec<Seq> = Vec::new();
    for step in steps {
        match step {
            Step::Tidy => drop(calls.tidy().await.unwrap()),
            Step::Purge(function) => {
                let function = NAMES[usize::from(*function)].parse().unwrap();
                drop(calls.purge(Filter { function: Some(function), wanted: Wanted::Dead, ..Filter::default() }).await);
            }
            Step::Later(time) => tokio::time::advance(Duration::from_millis(u64::from(*time))).await,
            Step::Refuse(_) => {
                calls.refuse_writes(true).await.unwrap();
                assert!(calls.commit(change(step, &seqs).unwrap()).await.is_err());
                calls.refuse_writes(false).await.unwrap();
            }
            step => {
                let done = calls.commit(change(step, &seqs).unwrap()).await.unwrap();
                if let Done::Accepted(notice) | Done::Fired(Fired::Now(notice)) = done {
                    seqs.push(notice.head.seq);
                }
            }
        }
        assert_counted(calls).await;
    }
}

/// Many changes at once go into commits together, and count no other.
async fn run_together(calls: &Calls, steps: &[Step]) {
    let seqs: Vec<Seq> = (1..=64).map(Seq).collect();
    let disk = calls.hold();
    let changes = steps.iter().filter_map(|step| change(step, &seqs)).map(|op| {
        let calls = calls.clone();
        tokio::spawn(async move { calls.commit(op).await })
    });
    let changes: Vec<_> = changes.collect();
    tokio::task::yield_now().await;
    drop(disk);
    for change in changes {
        change.await.unwrap().unwrap();
    }
    assert_counted(calls).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_those_of_a_scan_whatever_was_done(steps in proptest::collection::vec(step(), 1..80)) {
        let simulated = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        simulated.block_on(async {
            let bounds = Bounds { dead_bytes: 6_000, kept_most: 8, ..Bounds::default() };
            let calls = Calls::in_memory_with(bounds).unwrap();
            run(&calls, &steps).await;
            run_together(&calls, &steps).await;
        });
    }
}
