//! A model of all that surrounds an autoscaler: callers, replicas that take time to start, a machine that carries so many,
//! operators, deploys and restarts. It closes the loop: what is decided becomes what serves, and that becomes the next look.

use std::collections::VecDeque;
use std::time::Duration;

use super::config::{Config, WINDOW};
use super::flaw::{Flaw, Flawed};
use super::rule::{Rule, Violation, check};
use super::step::Step;
use crate::function::scaling::{Counters, Observation};
use crate::function::{Generation, LoadType, Uptime};

/// Callers beyond so many give up.
const BACKLOG_MAX: f64 = 500.0;

/// What the load needed at a look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) at: u64,
    pub(super) replicas: u32,
    /// What it had needed for long enough to be known.
    pub(super) known: u32,
}

pub(super) struct World {
    pub(super) config: Config,
    flaw: Flaw,
    scaler: Flawed,
    /// Milliseconds since the beginning.
    pub(super) now: u64,
    /// Calls a second.
    pub(super) rate: f64,
    asked: u32,
    adjusted: Option<u32>,
    at_zero: bool,
    generation: Generation,
    pub(super) ready: u32,
    starting: Vec<u64>,
    /// More replicas can't be started.
    pub(super) carries: u32,
    pub(super) backlog: f64,
    in_service: f64,
    calls: f64,
    cpu: f64,
    /// What a status may still tell: asked, running and the version, and since when it was so.
    told: VecDeque<(u64, u32, u32, Generation)>,
    /// Added to what the next look sees in flight.
    phantom: usize,
    /// When a look was last told of one, which blinds a count of calls for a while; and when callers had last to wait.
    pub(super) phantom_at: Option<u64>,
    pub(super) waited_at: Option<u64>,
    /// What the load needed, look by look, for as long as a rule asks.
    pub(super) needs: VecDeque<Need>,
    pub(super) by_hand: Option<(u32, u64)>,
    /// Before then the autoscaler can't know, or an operator said otherwise.
    pub(super) excused_until: u64,
    /// A number that counts as needed then: what ran when the autoscaler began, or was set by hand.
    pub(super) given: (u64, u32),
    /// Since when more is asked for than can be started, and when that ended last.
    pub(super) beyond: (Option<u64>, Option<u64>),
    pub(super) last: Option<u32>,
    /// Every change: when, and to what.
    pub(super) changes: Vec<(u64, u32)>,
    /// How often an operator, an update, a limit or a zero was met.
    pub(super) met: [u32; 4],
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        Self::flawed(Flaw::None, config)
    }

    pub(super) fn flawed(flaw: Flaw, config: Config) -> Self {
        let asked = config.scaling.min;
        Self {
            flaw,
            scaler: Flawed::new(flaw),
            now: 0,
            rate: 0.0,
            asked,
            adjusted: None,
            at_zero: false,
            generation: Generation(1),
            ready: asked,
            starting: Vec::new(),
            carries: u32::MAX,
            backlog: 0.0,
            in_service: 0.0,
            calls: 0.0,
            cpu: 0.0,
            told: [(0, asked, asked, Generation(1))].into(),
            phantom: 0,
            phantom_at: None,
            waited_at: None,
            needs: VecDeque::new(),
            by_hand: None,
            excused_until: config.react(),
            given: (0, asked),
            beyond: (None, None),
            last: None,
            changes: Vec::new(),
            met: [0; 4],
            config,
        }
    }

    pub(super) fn step(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Load(level) => self.rate = self.level(level),
            Step::Phantom(requests) => {
                self.phantom = requests;
                // They count as calls that came, and then as calls that did not.
                if self.config.goes_by(LoadType::Rps) {
                    self.excuse_for(2_000);
                }
            }
            Step::Scale(replicas) if !self.at_zero && replicas != self.asked => {
                self.met[0] += 1;
                (self.asked, self.adjusted) = (replicas, None);
                self.by_hand = Some((replicas, self.now + self.config.window()));
                self.excuse_for(self.config.window());
                self.given = (self.now, replicas);
                self.beyond = (None, None);
            }
            Step::Update { keeps } => {
                self.met[1] += u32::from(!self.at_zero);
                self.generation = self.generation.next();
                self.beyond = (None, None);
                if !keeps {
                    self.adjusted = None;
                }
            }
            Step::Carries(replicas) => {
                self.met[2] += u32::from(replicas < 5);
                self.carries = replicas;
                self.beyond = (None, None);
            }
            Step::Zero => {
                self.met[3] += 1;
                self.at_zero = true;
            }
            Step::Wake if self.at_zero => {
                self.at_zero = false;
                self.begin_anew();
            }
            Step::Restart => {
                self.scaler = Flawed::new(self.flaw);
                self.begin_anew();
            }
            Step::Scale(_) | Step::Wake | Step::Wait(_) => {}
        }
        self.tell_status();
        if let Step::Wait(seconds) = step { self.live(seconds * 1_000) } else { self.live(self.config.every) }
    }

    /// The middle between two numbers of replicas, so that it is clear which one is right.
    fn level(&self, level: u32) -> f64 {
        (f64::from(level) - 0.5).max(0.0) * self.config.unit()
    }

    fn begin_anew(&mut self) {
        self.by_hand = None;
        self.beyond = (None, None);
        self.needs.clear();
        self.last = None;
        self.excuse_for(0);
        self.given = (self.now, self.running());
    }

    pub(super) fn excuse_for(&mut self, millis: u64) {
        self.excused_until = self.excused_until.max(self.now + millis + self.config.react());
    }

    fn running(&self) -> u32 {
        if self.at_zero { 0 } else { self.adjusted.unwrap_or(self.asked) }
    }

    /// Room for everything, and a load that stays: in the end everything is as it should be.
    pub(super) fn settle(&mut self, level: u32) -> Result<(), Violation> {
        for step in [Step::Wake, Step::Carries(u32::MAX), Step::Load(level), Step::Wait(900)] {
            self.step(step)?;
        }
        let (changes, wanted, need) = (self.changes.len(), self.last, self.config.need(self.rate));
        check(wanted == Some(need), Rule::InTheEndItIsWhatTheLoadNeeds, || format!("{wanted:?}, needed are {need}"))?;
        self.step(Step::Wait(300))?;
        check(changes == self.changes.len(), Rule::ASteadyLoadChangesNothing, || {
            format!("{:?}", &self.changes[changes..])
        })
    }

    pub(super) fn live(&mut self, millis: u64) -> Result<(), Violation> {
        let until = self.now + millis;
        while self.now < until {
            for _ in 0..5 {
                self.machine(self.config.every / 5);
            }
            self.look()?;
        }
        Ok(())
    }

    /// Callers and replicas, for so many milliseconds.
    fn machine(&mut self, millis: u64) {
        self.now += millis;
        let now = self.now;
        let begun = self.starting.len();
        self.starting.retain(|ready_at| *ready_at > now);
        self.ready += u32::try_from(begun - self.starting.len()).unwrap();
        let (running, can) = (self.running(), self.running().min(self.carries));
        self.ready = self.ready.min(running);
        self.starting.truncate(can.saturating_sub(self.ready) as usize);
        while self.ready + u32::try_from(self.starting.len()).unwrap() < can {
            self.starting.push(now + self.config.start);
            // A process that starts is busy with that.
            self.cpu += 0.5;
        }
        let seconds = millis as f64 / 1000.0;
        let most = f64::from(self.ready) * self.config.slots / self.config.service * seconds;
        let come = self.rate * seconds;
        let served = (self.backlog + come).min(most);
        self.backlog += come - served;
        let gone = (self.backlog - BACKLOG_MAX).max(0.0);
        self.backlog -= gone;
        if self.backlog >= 1.0 {
            self.waited_at = Some(now);
        }
        self.calls += served + gone;
        self.cpu += served * self.config.cost;
        self.in_service = served / seconds * self.config.service;
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
    fn counters(&mut self) -> Counters {
        let waiting = self.backlog.round() as usize;
        let phantom = std::mem::take(&mut self.phantom);
        let served = self.in_service.round() as usize + phantom;
        let (in_flight, parked) = if self.ready == 0 { (0, waiting) } else { (served + waiting, 0) };
        // Those in flight have not come to their end.
        let calls = (self.calls - self.in_service).max(0.0) as u64;
        Counters { calls, in_flight, parked, cpu: Some(Duration::from_secs_f64(self.cpu)) }
    }

    fn tell_status(&mut self) {
        self.told.push_back((self.now, self.asked, self.running(), self.generation));
    }

    /// What the function's status tells, which is as it was a moment ago.
    fn status(&mut self) -> (u32, u32, Generation) {
        while self.told.get(1).is_some_and(|(then, ..)| then + self.config.lag <= self.now) {
            self.told.pop_front();
        }
        let (_, asked, running, generation) = self.told[0];
        (asked, running, generation)
    }

    fn look(&mut self) -> Result<(), Violation> {
        let phantom = self.phantom as f64;
        let before = self.phantom_at;
        if self.phantom > 0 {
            self.phantom_at = Some(self.now);
        }
        let counters = self.counters();
        let ((asked, running, generation), ready) = (self.status(), self.ready);
        let failing = (running > self.carries.max(ready) && ready > 0).then(|| "no memory".to_owned());
        let seen = Observation { asked, running, ready, generation, failing, counters };
        let now = Uptime(Duration::from_millis(self.now));
        let decision = self.scaler.decide(&self.config.scaling, Duration::from_millis(WINDOW), &seen, now);
        if running == 0 {
            self.needs.clear();
            return check(decision.is_none(), Rule::WhatIsAtZeroIsLeftThere, || format!("{decision:?}"));
        }
        let replicas = self.config.need(self.rate);
        let knows = self.config.knows();
        let begun = self.needs.front().is_some_and(|first| first.at + knows <= self.now);
        let blind =
            self.config.goes_by(LoadType::Rps) && self.phantom_at.is_some_and(|then| then + knows + 2_000 > self.now);
        let known = self.lasting(knows).filter(|_| begun && !blind).map_or(0, |lasting| lasting.min(replicas));
        self.needs.push_back(Need { at: self.now, replicas, known });
        let long_ago = |needs: &VecDeque<Need>| needs.front().is_some_and(|need| need.at + 90_000 < self.now);
        while long_ago(&self.needs) {
            self.needs.pop_front();
        }
        let Some(decision) = decision else { return Ok(()) };
        self.check(&decision, &seen, phantom, before)?;
        if self.last.is_some_and(|last| last != decision.wanted) {
            self.changes.push((self.now, decision.wanted));
        }
        self.last = Some(decision.wanted);
        if decision.wanted != running && !self.at_zero {
            self.adjusted = Some(decision.wanted);
            self.tell_status();
        }
        Ok(())
    }
}
