//! The autoscaler of one function: what it remembers between two looks, and how it comes to a number.

use std::time::Duration;

use super::decision::{Decision, Measured, Reason};
use super::limits::Limits;
use super::loads::Loads;
use super::observation::Observation;
use super::steps::{self, Steps};
use super::window::Window;
use crate::function::{Generation, LoadType, Rule, Scaling, Signal, Uptime};

/// What is remembered of one function. Make one with `default` when the function is first seen, keep it while the function
/// is deployed, and show it every look.
#[derive(Debug, Clone, Default)]
pub struct Autoscaler {
    chosen: Option<Chosen>,
    loads: Loads,
    window: Window,
    steps: Steps,
    limits: Limits,
    /// Until then a number that was set by hand holds.
    by_hand_until: Option<Uptime>,
}

/// The number that was last decided on, and what it was decided for.
#[derive(Debug, Clone)]
struct Chosen {
    replicas: u32,
    /// What may still be seen to run until it is carried out: what ran before, and what was decided since.
    passing: Vec<u32>,
    asked: u32,
    generation: Generation,
}

impl Chosen {
    /// Whether so many may run because of what was decided.
    fn explains(&mut self, running: u32) -> bool {
        if running == self.replicas {
            self.passing.clear();
        }
        running == self.replicas || self.passing.contains(&running)
    }
}

/// What the rule wants.
struct Need {
    /// What the load needs, within the bounds; it counts in the window.
    replicas: u32,
    /// What is to run at least, from now on.
    up: u32,
    reason: Reason,
    load: Option<Measured>,
}

impl Autoscaler {
    /// Whether the next look should have read the cpu time of the function's instances.
    #[must_use]
    pub fn needs_cpu(scaling: &Scaling) -> bool {
        match &scaling.rule {
            Some(Rule::Targets { signals, .. }) => signals.iter().any(|signal| signal.load == LoadType::Cpu),
            Some(Rule::Steps) | None => false,
        }
    }

    /// How many replicas should run, after what was seen at `now`. None where the autoscaler has no say: the function does
    /// not ask for it, or nothing of it is to run.
    ///
    /// `usual_window` is the setting for how long fewer must have been enough before replicas are taken away.
    pub fn decide(
        &mut self,
        scaling: &Scaling,
        usual_window: Duration,
        seen: &Observation,
        now: Uptime,
    ) -> Option<Decision> {
        let Some(rule) = scaling.rule.as_ref().filter(|_| seen.running > 0) else {
            *self = Self::default();
            return None;
        };
        let usual_window = if *rule == Rule::Steps { steps::DOWN_WINDOW } else { usual_window };
        let window = scaling.down_window.unwrap_or(usual_window);
        self.loads.note(seen, now);
        let before = self.recognise(scaling, window, seen, now);
        let held_until = self.by_hand_until.filter(|until| *until > now);
        if held_until.is_none() {
            self.limits.note(seen, scaling.min, now);
        }
        let need = self.need(rule, scaling, before, now);
        self.window.note(need.replicas, now);
        let enough = self.window.largest(window, now);
        let (wanted, reason) = match held_until {
            Some(until) => (before, Reason::ByHand { left: until.since(now) }),
            None => {
                let Scaling { min, max, .. } = *scaling;
                let allowed = before.clamp(min, max);
                let wanted = need.up.max(enough.min(allowed));
                let reason = match wanted {
                    _ if wanted < allowed => Reason::EnoughFor(window),
                    _ if wanted == allowed && allowed != before => Reason::Bounds { min, max },
                    _ => need.reason,
                };
                self.within_limits(wanted, reason, min, now)
            }
        };
        Some(Decision { wanted, reason, changed: self.choose(wanted, seen), load: need.load })
    }

    /// The number to go on from: what was decided last, unless an operator set another one, or nothing is known.
    fn recognise(&mut self, scaling: &Scaling, window: Duration, seen: &Observation, now: Uptime) -> u32 {
        let Some(chosen) = &mut self.chosen else {
            // A start of actord, or of the function: what runs goes on, as if it had been needed until now.
            self.window.note(seen.running.clamp(scaling.min, scaling.max), now);
            return seen.running;
        };
        if chosen.generation != seen.generation {
            // Another version may need more or less of the machine, and run with other bounds.
            self.limits = Limits::default();
            return chosen.replicas;
        }
        if chosen.asked == seen.asked && chosen.explains(seen.running) {
            return chosen.replicas;
        }
        // A number that was asked for holds, also where a decision from before came in its way and runs just now.
        let number = if chosen.asked == seen.asked { seen.running } else { seen.asked };
        self.limits = Limits::default();
        self.steps = Steps::default();
        self.window.clear();
        self.window.note(number, now);
        self.by_hand_until = Some(now.after(window));
        number
    }

    fn need(&mut self, rule: &Rule, scaling: &Scaling, before: u32, now: Uptime) -> Need {
        let within = |replicas: u32| replicas.clamp(scaling.min, scaling.max);
        match rule {
            Rule::Steps => {
                let total = Steps::load(&self.loads, now);
                let load = Measured { load: LoadType::Rps, total, each: steps::CALLS_EACH };
                let step = self.steps.up(scaling, total, before, now);
                let reason = step.map_or(Reason::Running, |_| Reason::Step { each: total / f64::from(before) });
                Need { replicas: within(load.replicas()), up: within(step.unwrap_or(0)), reason, load: Some(load) }
            }
            Rule::Targets { signals, proportion } => {
                let measure = |signal: &Signal| {
                    let total = self.loads.lasting(signal.load, now)?;
                    Some(Measured { load: signal.load, total, each: signal.target * proportion })
                };
                let measured: Vec<_> = signals.iter().map(measure).collect();
                let most = measured.iter().flatten().max_by(|a, b| (a.total / a.each).total_cmp(&(b.total / b.each)));
                let needed = most.map_or(0, Measured::replicas);
                // Of what is not known nothing is taken away.
                let least = if measured.contains(&None) { needed.max(before) } else { needed };
                let reason = most.map_or(Reason::Running, |most| Reason::Load(*most));
                Need { replicas: within(least), up: within(least), reason, load: most.copied() }
            }
        }
    }

    /// As many of `wanted` as the machine can carry.
    fn within_limits(&mut self, wanted: u32, reason: Reason, min: u32, now: Uptime) -> (u32, Reason) {
        let capped = self.limits.cap(wanted, min, now);
        let Some(ceiling) = &self.limits.ceiling else { return (capped, reason) };
        let again_in = ceiling.again_at.since(now);
        let reason = match capped {
            _ if capped > ceiling.replicas.max(min) => Reason::TriedAgain,
            _ if capped < wanted => Reason::Limit { why: ceiling.why.clone(), again_in },
            _ => reason,
        };
        (capped, reason)
    }

    /// Remembers what was decided; whether it is another number than before.
    fn choose(&mut self, replicas: u32, seen: &Observation) -> bool {
        let before = self.chosen.take();
        let last = before.as_ref().map_or(seen.running, |chosen| chosen.replicas);
        let mut passing = before.map_or_else(Vec::new, |chosen| chosen.passing);
        passing.extend([last, seen.running]);
        passing.sort_unstable();
        passing.dedup();
        passing.retain(|number| *number != replicas);
        self.chosen = Some(Chosen { replicas, passing, asked: seen.asked, generation: seen.generation });
        replicas != last
    }
}
