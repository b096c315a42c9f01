use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::events::testing::{desired, status};
use crate::function::{Adjusted, Failure, RefusedUpdate, SpecDraft, Uptime};

/// A function of which one instance serves.
fn ready() -> Status {
    Status { ready: 1, serving: Some(Generation(1)), ..status(Phase::Ready) }
}

/// The same with something otherwise.
fn but(change: impl FnOnce(&mut Status, &mut Desired)) -> Status {
    let (mut status, mut desired) = (ready(), desired());
    change(&mut status, &mut desired);
    Status { desired: Some(desired), ..status }
}

fn told(before: Option<&Status>, now: Status) -> Vec<What> {
    judge(before, &Changed::Status(Box::new(now)))
}

fn words(told: &[What]) -> Vec<&'static str> {
    told.iter().map(What::word).collect()
}

fn failure(reason: &str) -> Option<Failure> {
    Some(Failure { generation: Generation(1), reason: reason.into() })
}

fn refused(generation: u64) -> RefusedUpdate {
    RefusedUpdate {
        generation: Generation(generation),
        image: "bad:1".into(),
        reason: "no such tag".into(),
        at: "then".into(),
    }
}

#[test]
fn each_change_of_a_status_is_told_by_the_events_that_it_is_and_no_others() {
    type Change = fn(&mut Status, &mut Desired);
    let changes: &[(&str, Change, &[&str])] = &[
        ("nothing", |_, _| {}, &[]),
        ("what is not told", |status, desired| (status.spares, desired.has_served) = (3, true), &[]),
        ("it freezes", |status, _| (status.phase, status.frozen) = (Phase::Frozen, 1), &["phase"]),
        ("an update", |_, desired| desired.generation = Generation(2), &["deployed", "phase"]),
        ("an update is refused", |_, desired| desired.refused = Some(Arc::new(refused(2))), &["refused"]),
        ("more are asked for", |_, desired| desired.replicas = 3, &["scale", "phase"]),
        ("another number, nothing more", |_, desired| desired.replicas = 1, &[]),
        ("it is idle", |_, desired| desired.idle = true, &["scale", "phase"]),
        ("it is kept down", |_, desired| desired.kept_down = true, &["scale", "phase"]),
        ("one died", |status, _| status.restarts = 1, &["restart"]),
        ("one died and is gone", |status, _| (status.restarts, status.ready) = (1, 0), &["restart", "phase"]),
        ("something failed", |status, _| status.failure = failure("no"), &["phase"]),
        ("it was made anew", |_, desired| desired.created_at = "later".into(), &["deleted", "deployed", "phase"]),
        (
            "an update to more",
            |_, desired| (desired.generation, desired.replicas) = (Generation(2), 2),
            &["deployed", "scale", "phase"],
        ),
    ];
    for (what, change, expected) in changes {
        assert_eq!(words(&told(Some(&ready()), but(change))), *expected, "{what}");
    }
    assert_eq!(words(&told(None, ready())), ["deployed", "phase"]);
    assert_eq!(words(&judge(Some(&ready()), &Changed::Deleted)), ["deleted"]);
    assert_eq!(judge(None, &Changed::Deleted), [], "it was never told of");
    assert_eq!(told(Some(&ready()), Status { desired: None, ..ready() }), [], "it is on its way out");
}

#[test]
fn another_number_is_told_with_the_reason_for_it() {
    let adjusted = |replicas| Some(Adjusted { replicas, reason: "9 calls a second".into() });
    let idle = but(|_, desired| desired.idle = true);
    let down = but(|_, desired| desired.kept_down = true);
    let scaled = but(|_, desired| desired.adjusted = adjusted(4));
    for (before, now, (from, to), because) in [
        (ready(), but(|_, desired| desired.replicas = 3), (1, 3), Because::Asked),
        (ready(), scaled.clone(), (1, 4), Because::Load("9 calls a second".into())),
        (ready(), idle.clone(), (1, 0), Because::Idle),
        (idle, ready(), (0, 1), Because::Woken),
        (ready(), down.clone(), (1, 0), Because::KeptDown),
        (down, ready(), (0, 1), Because::Started),
        (scaled, ready(), (4, 1), Because::Asked),
    ] {
        let told = told(Some(&before), now);
        assert!(told.contains(&What::Scale { from, to, because: because.clone() }), "{because:?}: {told:?}");
    }
}

#[test]
fn what_was_put_back_stands_under_its_number_again() {
    let on_trial = but(|_, desired| desired.generation = Generation(2));
    let put_back = but(|_, desired| desired.refused = Some(Arc::new(refused(2))));
    let told = told(Some(&on_trial), put_back);
    assert_eq!(words(&told), ["refused", "phase"]);
    let [What::Refused { generation, image, reason }, What::Phase { generation: now, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((*generation, image.as_str(), reason.as_str()), (Generation(2), "bad:1", "no such tag"));
    assert_eq!(*now, Generation(1));
}

#[test]
fn long_texts_are_cut_and_what_went_wrong_before_a_stop_is_not_told_of_it() {
    let long = "ä".repeat(1_000);
    let failed = but(|status, _| status.failure = failure(&long));
    let told_of = told(Some(&ready()), failed);
    let [What::Phase { reason: Some(reason), .. }] = &told_of[..] else { panic!("{told_of:?}") };
    assert_eq!((reason.chars().count(), reason.chars().last()), (TEXT_MAX + 1, Some('…')));
    let down = but(|status, desired| (status.failure, desired.kept_down) = (failure("no"), true));
    let stopped = told(Some(&ready()), down);
    assert!(matches!(&stopped[..], [What::Scale { .. }, What::Phase { reason: None, .. }]), "{stopped:?}");
}

/// What a reader knows of a function who hears of nothing but events.
#[derive(Debug, PartialEq)]
struct Known {
    phase: Phase,
    generation: Generation,
    ready: u32,
    replicas: u32,
    restarts: u64,
    reason: Option<String>,
}

/// What they say, one after the other.
fn folded(known: Option<Known>, what: What) -> Option<Known> {
    match (what, known) {
        (What::Deleted, _) => None,
        (What::Phase { phase, generation, ready, replicas, reason, .. }, known) => {
            let restarts = known.map_or(0, |known| known.restarts);
            Some(Known { phase, generation, ready, replicas, restarts, reason })
        }
        (What::Restart { restarts, .. }, Some(known)) => Some(Known { restarts, ..known }),
        (What::Deployed { created: true, .. }, _) => None,
        (_, known) => known,
    }
}

fn phases() -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Starting),
        Just(Phase::Ready),
        Just(Phase::Frozen),
        Just(Phase::Idle),
        Just(Phase::Failed),
        (0_u64..5).prop_map(|seconds| Phase::BackingOff { until: Uptime(Duration::from_secs(seconds)) }),
    ]
}

prop_compose! {
    /// A status of a function, any; none: it is gone.
    fn statuses()(
        phase in phases(),
        (generation, replicas, ready) in (1_u64..4, 0_u32..4, 0_u32..4),
        (kept_down, idle) in (any::<bool>(), any::<bool>()),
        (is_there, anew) in (prop::bool::weighted(0.9), prop::bool::weighted(0.1)),
        reason in prop_oneof![Just(None), Just(Some("no")), Just(Some("never"))],
    ) -> Option<Status> {
        let mut is = desired();
        (is.generation, is.replicas, is.kept_down, is.idle) = (Generation(generation), replicas, kept_down, idle);
        if anew {
            is.created_at = "later".into();
        }
        let failure = reason.and_then(failure);
        is_there.then(|| Status { desired: Some(is), ready, failure, ..status(phase) })
    }
}

proptest! {
    #[test]
    fn whoever_hears_of_all_events_knows_how_the_function_stands(
        history in vec((statuses(), 0_u64..2), 1..40),
    ) {
        let (mut before, mut known, mut restarts): (Option<Status>, Option<Known>, u64) = (None, None, 0);
        for (now, died) in history {
            let is_new = before.as_ref().is_none_or(|before| {
                let at = |status: &Status| status.desired.as_ref().map(|desired| desired.created_at.clone());
                now.as_ref().is_some_and(|now| at(now) != at(before))
            });
            restarts = if is_new { 0 } else { restarts + died };
            let now = now.map(|now| Status { restarts, ..now });
            let change = now.clone().map_or(Changed::Deleted, |now| Changed::Status(Box::new(now)));
            for what in judge(before.as_ref(), &change) {
                known = folded(known, what);
            }
            let expected = now.as_ref().map(|now| {
                let is = now.desired.as_ref().unwrap();
                Known {
                    phase: now.phase,
                    generation: is.generation,
                    ready: now.ready,
                    replicas: is.running_replicas(),
                    restarts,
                    reason: reason(now, is).map(short),
                }
            });
            prop_assert_eq!(&known, &expected);
            before = now;
        }
    }
}

#[test]
fn a_spec_with_another_image_is_told_by_its_image() {
    let draft = SpecDraft { image: "i:2".into(), ..SpecDraft::default() };
    let updated = but(|_, desired| {
        (desired.generation, desired.spec) = (Generation(2), Arc::new(draft.try_into().unwrap()));
    });
    let told = told(Some(&ready()), updated);
    assert_eq!(told[0], What::Deployed { generation: Generation(2), image: "i:2".into(), created: false });
}
