//! When a function that nothing calls is frozen and stopped.

use std::time::Duration;

use super::super::words::time;
use super::super::{Act, Idleness, Idler, Rest};
use crate::function::{Generation, Resting, Tier, Uptime};

const S: Duration = Duration::from_secs(1);
const RULE: Resting =
    Resting { freeze_after: Some(Duration::from_secs(30)), zero_after: Some(Duration::from_secs(900)) };

/// A function that does at once what is decided.
struct Function {
    rule: Resting,
    idler: Idler,
    seen: Idleness,
    /// What its processes use by themselves.
    millis: u32,
    cpu: Duration,
    now: Uptime,
    /// How often its cpu time was read.
    reads: u32,
    last: Option<Rest>,
}

impl Function {
    fn new(rule: Resting) -> Self {
        let (tier, generation) = (Tier::Ready, Generation(1));
        let seen = Idleness { tier, settled: true, on_trial: false, generation, idle: 900 * S, cpu: None };
        let (cpu, now) = (Duration::ZERO, Uptime(1_000 * S));
        Self { rule, idler: Idler::default(), seen, millis: 0, cpu, now, reads: 0, last: None }
    }

    /// A call, which wakes it.
    fn call(&mut self) {
        self.seen.idle = Duration::ZERO;
        self.seen.tier = Tier::Ready;
        self.cpu += 3 * S;
    }

    fn look(&mut self, every: Duration) {
        self.now = self.now.after(every);
        self.seen.idle += every;
        if self.seen.tier == Tier::Ready {
            self.cpu += every * self.millis / 1000;
        }
        let mut rest = self.idler.decide(self.rule, &self.seen, self.now);
        if rest.act == Act::LookAtCpu {
            self.reads += 1;
            rest = self.idler.decide(self.rule, &Idleness { cpu: Some(self.cpu), ..self.seen }, self.now);
            assert_ne!(rest.act, Act::LookAtCpu, "it was just read");
        }
        if let Act::Rest(tier) = rest.act {
            self.seen.tier = tier;
        }
        self.last = Some(rest);
    }

    /// The seconds after which it went down to a tier.
    fn rests(&mut self, seconds: u64) -> Vec<(u64, Tier)> {
        let mut rests = Vec::new();
        for second in 1..=seconds {
            let before = self.seen.tier;
            self.look(S);
            if self.seen.tier != before {
                rests.push((second, self.seen.tier));
            }
        }
        rests
    }

    /// What comes next, in words.
    fn next(&self) -> String {
        let last = self.last.unwrap();
        let stopped = last.stopped_in.map(|left| format!("stopped in {}", time(left)));
        match (last.busy_millis, last.frozen_in) {
            (Some(millis), _) => {
                let awake = format!("not frozen while it uses {millis} milli-cores");
                stopped.map_or_else(|| awake.clone(), |stopped| format!("{awake}, {stopped}"))
            }
            (None, Some(left)) => format!("frozen in {}", time(left)),
            (None, None) => stopped.unwrap_or_default(),
        }
    }
}

#[test]
fn it_is_frozen_and_then_stopped_counted_from_the_last_call() {
    let mut function = Function::new(RULE);
    function.look(S);
    function.call();
    assert_eq!(function.rests(1000), [(30, Tier::Frozen), (900, Tier::Stopped)]);
    assert_eq!(function.reads, 2, "a frozen function is not looked at");
    function.call();
    function.rests(500);
    function.call();
    assert_eq!(function.rests(1000), [(30, Tier::Frozen), (900, Tier::Stopped)]);
}

#[test]
fn the_next_step_is_told() {
    let mut function = Function::new(RULE);
    for (seconds, next) in
        [(10, "frozen in 21 s"), (30, "frozen in 1 s"), (32, "stopped in 14 min"), (871, "stopped in 30 s")]
    {
        function.rests(seconds - (function.now.0.as_secs() - 1_000));
        assert_eq!(function.next(), next);
    }
    function.rests(200);
    assert_eq!((function.seen.tier, function.next()), (Tier::Stopped, String::new()));
}

#[test]
fn what_works_by_itself_is_not_frozen_and_is_stopped_all_the_same() {
    let mut function = Function::new(RULE);
    function.millis = 120;
    assert_eq!(function.rests(100), []);
    assert_eq!(function.next(), "not frozen while it uses 120 milli-cores, stopped in 13 min");
    assert!(function.reads <= 10, "{} looks", function.reads);
    function.millis = 10;
    assert_eq!(function.rests(20).len(), 1, "it is frozen soon after it became quiet");
    function.call();
    function.millis = 120;
    assert_eq!(function.rests(1000), [(900, Tier::Stopped)]);
}

#[test]
fn the_cpu_time_of_a_call_keeps_nothing_awake() {
    let mut function = Function::new(RULE);
    function.rests(29);
    function.call();
    assert_eq!(function.rests(60), [(30, Tier::Frozen)]);
}

#[test]
fn times_may_be_much_shorter_than_the_looks_are_apart() {
    let freeze_after = Some(Duration::from_millis(1));
    let mut function = Function::new(Resting { freeze_after, zero_after: None });
    for _ in 0..3 {
        function.look(S / 10);
    }
    assert_eq!(function.seen.tier, Tier::Frozen);
}

#[test]
fn it_never_freezes_or_never_stops_where_its_rule_says_so() {
    let mut function = Function::new(Resting { freeze_after: None, ..RULE });
    assert_eq!(function.rests(1000), [(901, Tier::Stopped)]);
    let mut function = Function::new(Resting { zero_after: None, ..RULE });
    assert_eq!(function.rests(3000), [(31, Tier::Frozen)]);
    assert_eq!(function.next(), "");
    let mut function = Function::new(Resting::default());
    assert_eq!(function.rests(3000), []);
    let mut function = Function::new(Resting { zero_after: Some(20 * S), ..RULE });
    assert_eq!(function.rests(100), [(21, Tier::Stopped)], "it would be frozen later than stopped");
    assert_eq!(function.reads, 0);
}

#[test]
fn what_is_on_trial_does_not_rest_and_its_idleness_counts_from_its_end() {
    let mut function = Function::new(RULE);
    function.rests(100);
    function.seen = Idleness { tier: Tier::Ready, on_trial: true, generation: Generation(2), ..function.seen };
    assert_eq!(function.rests(2_000), []);
    function.seen.on_trial = false;
    assert_eq!(function.rests(1_000), [(30, Tier::Frozen), (900, Tier::Stopped)]);
}

#[test]
fn an_update_between_two_looks_counts_as_a_use() {
    let mut function = Function::new(RULE);
    function.rests(500);
    function.seen = Idleness { tier: Tier::Ready, generation: Generation(2), ..function.seen };
    assert_eq!(function.rests(1_000), [(31, Tier::Frozen), (901, Tier::Stopped)]);
}

#[test]
fn a_scale_from_zero_without_a_call_is_a_use() {
    let mut function = Function::new(RULE);
    function.rests(1_000);
    assert_eq!(function.seen.tier, Tier::Stopped);
    function.seen.tier = Tier::Ready;
    assert_eq!(function.rests(1_000), [(31, Tier::Frozen), (901, Tier::Stopped)]);
}

#[test]
fn what_is_being_started_is_not_frozen_and_what_crashes_all_the_time_is_stopped() {
    let mut function = Function::new(RULE);
    function.seen.settled = false;
    assert_eq!(function.rests(1_000), [(901, Tier::Stopped)]);
}

#[test]
fn a_rest_that_could_not_be_is_asked_for_again() {
    let mut function = Function::new(RULE);
    let mut asked = 0;
    for _ in 0..60 {
        function.look(S);
        if function.seen.tier == Tier::Frozen {
            asked += 1;
            function.seen.tier = Tier::Ready;
        }
    }
    assert!((10..=20).contains(&asked), "{asked}");
}
