//! What is kept of the generations before, and what a rollback makes of it.

use super::*;

/// Numbers and images of what is kept, newest first.
fn kept(heart: &Heart) -> Vec<(u64, String)> {
    heart.desired().kept().iter().map(|kept| (kept.generation.0, kept.spec.image.clone())).collect()
}

fn pairs<const N: usize>(all: [(u64, &str); N]) -> Vec<(u64, String)> {
    all.map(|(number, image)| (number, image.to_owned())).into()
}

/// Updates to `image`, and lets it serve.
fn serve(heart: &mut Heart, image: &str) {
    heart.apply(image);
    let id = heart.starting();
    heart.start(&id);
}

/// What an engine does for a rollback without a number.
fn roll_back(heart: &mut Heart) -> u64 {
    let target = heart.desired().rollback_target(None).unwrap();
    serve(heart, &target.spec.image);
    target.generation.0
}

#[test]
fn what_served_is_kept_with_the_time_when_it_was_accepted() {
    let mut heart = Heart::new();
    for (image, at) in [("a", "at 1"), ("b", "at 2"), ("c", "at 3")] {
        let next = heart.life.accept(spec(image), at);
        heart.on(Event::Apply(next));
        let id = heart.starting();
        heart.start(&id);
    }
    let kept = heart.desired().kept();
    let kept: Vec<_> = kept.iter().map(|kept| (kept.generation.0, kept.accepted_at.as_str())).collect();
    assert_eq!(kept, [(3, "at 3"), (2, "at 2"), (1, "at 1")]);
    assert_eq!((heart.desired().created_at.as_str(), heart.desired().accepted_at.as_str()), ("at 1", "at 3"));
}

#[test]
fn what_never_served_is_not_kept() {
    let (mut heart, _) = Heart::serving("a", 1);
    heart.apply("b");
    assert_eq!(kept(&heart), pairs([(1, "a")]), "it may fail yet");
    let id = heart.starting();
    heart.fail(&id, hopeless());
    serve(&mut heart, "c");
    assert_eq!(kept(&heart), pairs([(3, "c"), (1, "a")]));
}

#[test]
fn what_came_to_serve_while_its_update_was_being_committed_is_kept() {
    let mut heart = Heart::new();
    heart.apply("a");
    let next = heart.life.accept(spec("b"), "then");
    let id = heart.starting();
    heart.start(&id);
    let effects = heart.on(Event::Apply(next));
    assert_eq!(recorded(&effects).unwrap().kept().newest().unwrap().generation, Generation(1));
}

#[test]
fn at_most_five_are_kept_and_the_oldest_goes() {
    let (mut heart, _) = Heart::serving("v1", 1);
    for number in 2..=9 {
        serve(&mut heart, &format!("v{number}"));
    }
    assert_eq!(kept(&heart), pairs([(9, "v9"), (8, "v8"), (7, "v7"), (6, "v6"), (5, "v5")]));
    heart.apply("v10");
    assert_eq!(kept(&heart).len(), 5, "and one on trial beside them");
}

#[test]
fn two_rollbacks_go_back_and_forth_and_push_nothing_else_out() {
    let (mut heart, _) = Heart::serving("a", 1);
    serve(&mut heart, "b");
    serve(&mut heart, "c");
    for (target, expected) in [
        (2, pairs([(4, "b"), (3, "c"), (1, "a")])),
        (3, pairs([(5, "c"), (4, "b"), (1, "a")])),
        (4, pairs([(6, "b"), (5, "c"), (1, "a")])),
    ] {
        assert_eq!(roll_back(&mut heart), target);
        assert_eq!(kept(&heart), expected);
    }
}

#[test]
fn a_version_that_was_deployed_again_by_hand_is_kept_once_too() {
    let (mut heart, _) = Heart::serving("a", 1);
    serve(&mut heart, "b");
    serve(&mut heart, "a");
    assert_eq!(kept(&heart), pairs([(3, "a"), (2, "b")]));
    assert_eq!(roll_back(&mut heart), 2);
}

#[test]
fn an_update_on_trial_and_one_that_failed_are_both_rolled_back_to_what_serves_instead() {
    for fails in [false, true] {
        let (mut heart, _) = Heart::serving("a", 1);
        serve(&mut heart, "b");
        heart.apply("c");
        if fails {
            let id = heart.starting();
            heart.fail(&id, hopeless());
        }
        assert_eq!(heart.status().serving, Some(Generation(2)));
        assert_eq!(roll_back(&mut heart), 2);
        assert_eq!((heart.outcome(), heart.status().failure), (Outcome::Ready, None));
        assert_eq!(kept(&heart), pairs([(4, "b"), (1, "a")]));
    }
}

#[test]
fn any_generation_that_is_kept_can_be_named_and_no_other() {
    let (mut heart, _) = Heart::serving("a", 1);
    assert_eq!(heart.desired().rollback_target(None), None, "nothing served before it");
    serve(&mut heart, "b");
    heart.apply("c");
    let named = |number| heart.desired().rollback_target(Some(Generation(number)));
    let images = [1, 2].map(|number| named(number).unwrap().spec.image.clone());
    assert_eq!(images, ["a", "b"]);
    assert_eq!([0, 3, 4].map(named), [None, None, None]);
}

#[test]
fn the_history_is_as_it_was_after_an_update_was_refused() {
    let (mut heart, _) = Heart::serving("a", 1);
    serve(&mut heart, "b");
    let before = heart.desired().clone();
    heart.apply("c");
    let id = heart.starting();
    heart.fail(&id, hopeless());
    heart.on(Event::PutBack(before.clone()));
    assert_eq!((heart.desired(), kept(&heart)), (&before, pairs([(2, "b"), (1, "a")])));
}

#[test]
fn only_the_newest_and_what_it_falls_back_on_may_be_started_without_an_update() {
    let (mut heart, _) = Heart::serving("a", 1);
    serve(&mut heart, "b");
    let startable = |heart: &Heart| heart.desired().startable_specs().map(|s| s.image.clone()).collect::<Vec<_>>();
    assert_eq!(startable(&heart), ["b"]);
    heart.apply("c");
    assert_eq!(startable(&heart), ["c", "b"]);
}
