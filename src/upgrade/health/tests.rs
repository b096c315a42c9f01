//! Trials that pass, and trials that do not.

use super::*;
use crate::upgrade::marker::Ended;

const TRIAL: Duration = Duration::from_secs(60);

fn function(replicas: u64) -> Function {
    let spec = [("image".to_owned(), "a sum".to_owned())].into();
    Function { replicas, available: replicas, spec, ..Function::default() }
}

fn before() -> Before {
    Before {
        ready: [("env.openfaas-fn".to_owned(), function(2))].into(),
        faults: ["disk: full".to_owned()].into(),
        processes: [("env-1".to_owned(), 11), ("env-2".to_owned(), 12), ("other-1".to_owned(), 13)].into(),
        is_of_an_earlier_boot: false,
    }
}

fn answer(functions: Function) -> Answer {
    let functions = [("env.openfaas-fn".to_owned(), functions)].into();
    Answer { commit: "new".into(), faults: BTreeSet::new(), functions }
}

fn well(seconds: u64) -> Look {
    let (at, answer) = (Duration::from_secs(seconds), Ok(answer(function(2))));
    Look { at, lives: true, holder: Some(7), gone: BTreeSet::new(), answer }
}

fn judged(looks: &[Look]) -> Vec<Verdict> {
    let mut trial = Trial::new(before(), "new".into(), TRIAL, Some(7));
    looks.iter().map(|look| trial.judge(look)).collect()
}

fn fails(looks: &[Look], word: &str) {
    let verdicts = judged(looks);
    let (last, earlier) = verdicts.split_last().unwrap();
    assert!(earlier.iter().all(|verdict| *verdict == Verdict::Undecided), "{earlier:?}");
    assert!(matches!(last, Verdict::Failed(why) if why.contains(word)), "{last:?} says {word}");
}

#[test]
fn it_passes_when_it_was_healthy_until_the_end_and_not_before() {
    let looks: Vec<Look> = (0..=60).map(well).collect();
    let verdicts = judged(&looks);
    assert!(verdicts[..60].iter().all(|verdict| *verdict == Verdict::Undecided));
    assert_eq!(verdicts[60], Verdict::Passed);
}

#[test]
fn an_end_or_another_process_in_its_place_is_the_end_of_it() {
    fails(&[well(1), Look { lives: false, holder: None, ..well(2) }], "it ended (pid 7)");
    fails(&[well(1), Look { holder: Some(8), ..well(2) }], "pid 8 took the place of pid 7");
}

#[test]
fn whoever_comes_first_is_on_trial_where_nobody_was_there_to_become_it() {
    let mut trial = Trial::new(before(), "new".into(), TRIAL, None);
    assert_eq!(trial.judge(&Look { holder: None, lives: false, ..well(1) }), Verdict::Undecided);
    assert_eq!(trial.judge(&well(2)), Verdict::Undecided);
    assert_eq!(trial.pid, Some(7));
    assert!(matches!(trial.judge(&Look { lives: false, ..well(3) }), Verdict::Failed(_)));
}

#[test]
fn one_that_does_not_become_healthy_has_half_a_minute() {
    let silent = |at| Look { answer: Err("no answer".into()), ..well(at) };
    fails(&[silent(1), silent(30), silent(31)], "not healthy 31 s after its start: no answer");
    assert_eq!(judged(&[silent(1), silent(29), well(30)]).pop(), Some(Verdict::Undecided));
}

#[test]
fn after_a_boot_of_the_machine_functions_may_take_longer_and_must_all_be_ready() {
    let before = Before { is_of_an_earlier_boot: true, ..before() };
    let mut trial = Trial::new(before, "new".into(), TRIAL, None);
    let starts = |at| Look { answer: Ok(answer(Function { available: 0, ..function(2) })), ..well(at) };
    for at in [1, 31, 70] {
        assert_eq!(trial.judge(&starts(at)), Verdict::Undecided);
    }
    assert_eq!(trial.judge(&well(80)), Verdict::Passed);
}

#[test]
fn what_is_wrong_for_a_moment_is_not_and_what_lasts_is() {
    let silent = |at| Look { answer: Err("no answer".into()), ..well(at) };
    let breaks = [well(1), silent(2), silent(11), well(12), silent(13), silent(22), well(60)];
    assert_eq!(judged(&breaks).pop(), Some(Verdict::Passed));
    fails(&[well(1), silent(2), silent(11), silent(12)], "no answer, for 11 s");
    assert_eq!(judged(&[well(55), silent(60)]).pop(), Some(Verdict::Undecided), "it does not pass in a break");
    fails(&[well(55), silent(60), silent(66)], "no answer, for 11 s");
}

#[test]
fn an_answer_may_take_as_long_as_the_old_one_s_was_given() {
    let mut trial = Trial::new(before(), "new".into(), TRIAL, Some(7));
    trial.judge(&well(1));
    assert_eq!(trial.answers_within(), ANSWERS_WITHIN);
    assert_eq!(trial.judge(&well(11)), Verdict::Undecided);
}

#[test]
fn a_function_that_wakes_from_zero_has_the_time_of_its_start() {
    let with = |function: Function| move |at| Look { answer: Ok(answer(function.clone())), ..well(at) };
    let (rests, serves) = (with(function(0)), with(function(1)));
    let starts = with(Function { available: 0, is_starting: true, ..function(1) });
    assert_eq!(
        judged(&[well(1), rests(2), starts(3), starts(40), serves(41), serves(60)]).pop(),
        Some(Verdict::Passed)
    );
    fails(
        &[well(1), rests(2), starts(3), starts(61), starts(63)],
        "env.openfaas-fn was ready before and is not, for 61 s",
    );
}

#[test]
fn what_was_well_before_must_be_well_and_what_was_not_need_not() {
    let with = |change: &dyn Fn(&mut Answer)| {
        let mut answer = answer(function(2));
        change(&mut answer);
        move |at| Look { answer: Ok(answer.clone()), ..well(at) }
    };
    let old = with(&|answer| _ = answer.faults.insert("disk: fuller".into()));
    assert_eq!(judged(&[old(1), old(60)]).pop(), Some(Verdict::Passed));
    let new = with(&|answer| _ = answer.faults.insert("store: slow".into()));
    assert_eq!(judged(&[well(1), new(2), new(3), well(4), well(60)]).pop(), Some(Verdict::Passed), "it passed by");
    fails(&[well(1), new(2), new(12)], "store: slow");
    let other = with(&|answer| answer.commit = "old".into());
    fails(&[other(1), other(31)], "commit old answers, not new");
    let lost = with(&|answer| answer.functions.clear());
    fails(&[well(1), lost(2), lost(12)], "env.openfaas-fn");
    let starts = with(&|answer| answer.functions.values_mut().for_each(|function| function.available = 0));
    fails(&[well(1), starts(2), starts(12)], "env.openfaas-fn");
    let idle = with(&|answer| _ = answer.functions.insert("env.openfaas-fn".into(), function(0)));
    assert_eq!(judged(&[well(1), idle(60)]).pop(), Some(Verdict::Passed), "it rests");
}

#[test]
fn a_function_s_process_that_is_gone_is_the_end_of_it_unless_somebody_asked_for_that() {
    let gone = |at| Look { gone: ["env-2".to_owned()].into(), ..well(at) };
    fails(&[well(1), gone(2), gone(4), gone(5)], "env-2");
    let silent = |at| Look { answer: Err("no answer".into()), ..gone(at) };
    fails(&[well(1), silent(2), silent(5), silent(13)], "env-2 is gone");
    let with = |part: &str, sum: &str| {
        let mut function = function(2);
        function.spec.insert(part.into(), sum.into());
        function
    };
    for changed in [function(1), with("image", "another"), Function { spec: BTreeMap::new(), ..function(2) }] {
        let asked = Look { answer: Ok(answer(changed.clone())), ..gone(2) };
        assert_eq!(judged(&[well(1), asked, gone(9), gone(60)]).pop(), Some(Verdict::Passed), "{changed:?}");
    }
    let shows_more = |at| Look { answer: Ok(answer(with("new", "sum"))), ..gone(at) };
    fails(&[well(1), shows_more(2), shows_more(5)], "env-2");
}

#[test]
fn one_that_ended_by_itself_and_is_started_again_is_its_own_affair_and_one_that_was_killed_is_not() {
    let ends = |is_by_itself, at| {
        let ended = Some(Ended { is_by_itself, sum: "a sum".into() });
        let answer = Ok(answer(Function { available: 1, ended, ..function(2) }));
        Look { gone: ["env-2".to_owned()].into(), answer, ..well(at) }
    };
    let gone = |at| Look { gone: ["env-2".to_owned()].into(), ..well(at) };
    // It is started again within moments, and then nothing is told of it any more.
    assert_eq!(judged(&[well(1), gone(2), ends(true, 3), gone(4), gone(60)]).pop(), Some(Verdict::Passed));
    fails(
        &[well(1), gone(2), ends(false, 3)],
        "env-2 is gone: its function has not changed, and it did not end by itself",
    );
    let never_again = |at| {
        let mut look = ends(true, at);
        look.answer.as_mut().unwrap().functions.values_mut().for_each(|function| function.available = 0);
        look
    };
    fails(&[well(1), never_again(2), never_again(12)], "function env.openfaas-fn was ready before and is not");
}

#[test]
fn an_end_that_was_told_before_explains_none_of_now() {
    let ended = Some(Ended { is_by_itself: true, sum: "of an update".into() });
    let told = Function { ended, ..function(2) };
    let before = Before { ready: [("env.openfaas-fn".to_owned(), told.clone())].into(), ..before() };
    let mut trial = Trial::new(before, "new".into(), TRIAL, Some(7));
    let gone = |at| Look { gone: ["env-2".to_owned()].into(), answer: Ok(answer(told.clone())), ..well(at) };
    assert_eq!(trial.judge(&gone(2)), Verdict::Undecided);
    assert!(matches!(trial.judge(&gone(5)), Verdict::Failed(why) if why.contains("env-2")));
}

#[test]
fn processes_of_several_functions_that_go_at_once_were_killed_whatever_is_told_of_them() {
    let ended = Some(Ended { is_by_itself: true, sum: "a sum".into() });
    let told = answer(Function { ended, ..function(2) });
    let gone: BTreeSet<String> = ["env-2".to_owned(), "other-1".to_owned()].into();
    let both = Look { gone: gone.clone(), answer: Ok(told.clone()), ..well(2) };
    fails(&[well(1), both.clone()], "env-2 and other-1 were gone at once");
    // Without an answer nobody knows yet whether both were asked for.
    let silent = |at| Look { answer: Err("no answer".into()), gone: gone.clone(), ..well(at) };
    fails(&[well(1), silent(2), silent(5), silent(13)], "at once");
    let one = Look { gone: ["env-1".to_owned(), "env-2".to_owned()].into(), answer: Ok(told), ..well(2) };
    assert_eq!(judged(&[well(1), one, well(60)]).pop(), Some(Verdict::Passed), "two of one function");
}
