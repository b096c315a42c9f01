//! Events as the stream tells them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::history::known;
use crate::events::{Because, Event, EventId, Health, Pull, What, Why};
use crate::function::{FunctionId, Namespace};
use crate::history::{Point, STEP};
use crate::http::seconds::whole_seconds;
use crate::wire::{EventData, FunctionLoad, Step};

/// An event; `now` is this moment on the wall.
pub(super) fn event(event: &Event, now: Timestamp) -> EventData {
    let time = now.checked_sub(event.at.elapsed()).unwrap_or(now);
    let common = EventData { time: Some(time.to_string()), ..of(event.function.as_ref()) };
    what(&event.what, common)
}

fn of(function: Option<&FunctionId>) -> EventData {
    EventData {
        function: function.map(|id| id.name.to_string()),
        namespace: function.map(|id| id.namespace.to_string()),
        ..EventData::default()
    }
}

fn what(what: &What, common: EventData) -> EventData {
    match what {
        What::Phase { phase, generation, serving, ready, replicas, reason, retry_in } => EventData {
            phase: Some(phase.to_string()),
            generation: Some(generation.0),
            serving_generation: serving.map(|generation| generation.0),
            available_replicas: Some(*ready),
            replicas: Some(*replicas),
            reason: reason.clone(),
            retry_in_seconds: retry_in.map(whole_seconds),
            ..common
        },
        What::Deployed { generation, image, created } => {
            EventData { generation: Some(generation.0), image: Some(image.clone()), created: Some(*created), ..common }
        }
        What::Deleted => common,
        What::Restart { restarts, reason } => EventData { restarts: Some(*restarts), reason: reason.clone(), ..common },
        What::Scale { from, to, because } => {
            let reason = if let Because::Load(reason) = because { Some(reason.clone()) } else { None };
            let because = Some(because.word().to_owned());
            EventData { from: Some(*from), to: Some(*to), because, reason, ..common }
        }
        What::Refused { generation, image, reason } => EventData {
            generation: Some(generation.0),
            image: Some(image.clone()),
            reason: Some(reason.clone()),
            ..common
        },
        What::Step { step, waits_for } => {
            EventData { step: Some(Step::Of(step.to_string())), waiting_for: waits_for.clone(), ..common }
        }
        What::Call { id, ended, reason, count } => EventData {
            call: id.map(|id| id.to_string()),
            ended: Some(ended.word().to_owned()),
            reason: reason.clone(),
            count: Some(*count),
            ..common
        },
        What::Faults(faults) => EventData { faults: Some(faults.clone()), ..common },
        What::Paused(paused) => EventData { paused: Some(*paused), ..common },
    }
}

/// What is wrong with the machine just now, in the words of the events that tell when it begins and ends.
pub(super) fn health(health: &Health, now: Timestamp) -> Vec<(&'static str, EventData)> {
    let faults = (!health.faults.is_empty()).then(|| What::Faults(health.faults.clone()));
    let paused = health.paused.then_some(What::Paused(true));
    let common = || EventData { time: Some(now.to_string()), ..EventData::default() };
    faults.into_iter().chain(paused).map(|is| (is.word(), what(&is, common()))).collect()
}

/// How far a pull is.
pub(super) fn pull(function: &FunctionId, pull: &Pull) -> EventData {
    EventData {
        image: Some(pull.image.clone()),
        pulled: Some(pull.progress.pulled),
        total: pull.progress.total,
        waiting_for: pull.waits_for.clone(),
        ..of(Some(function))
    }
}

/// How busy functions were, of each namespace by itself.
pub(super) fn loads(loads: &[(FunctionId, Point)]) -> Vec<EventData> {
    let mut namespaces = BTreeMap::<&Namespace, BTreeMap<String, FunctionLoad>>::new();
    for (id, point) in loads {
        let Point { calls, errors, p99, in_flight, .. } = *point;
        let load = FunctionLoad { calls, errors, p99: known(p99), in_flight: in_flight.into() };
        namespaces.entry(&id.namespace).or_default().insert(id.name.to_string(), load);
    }
    let told = namespaces.into_iter().map(|(namespace, functions)| EventData {
        namespace: Some(namespace.to_string()),
        step: Some(Step::Seconds(STEP.as_secs())),
        functions: Some(functions),
        ..EventData::default()
    });
    told.collect()
}

/// That something was missed.
pub(super) fn reset(why: Why) -> EventData {
    EventData { reason: Some(why.word().to_owned()), ..EventData::default() }
}

/// The id of no event: of one that can't be read.
pub(super) const NO_ID: EventId = EventId { boot: 0, number: 0 };

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;
    use crate::function::{Generation, Phase, Uptime};
    use crate::queue::End;

    fn shown(what: What) -> Value {
        let machine = matches!(what, What::Faults(_) | What::Paused(_));
        let function = (!machine).then(|| "env.dev".parse().unwrap());
        let told = Event { id: NO_ID, at: Instant::now(), function, what };
        let now: Timestamp = "2026-11-27T06:00:05Z".parse().unwrap();
        let mut shown = serde_json::to_value(event(&told, now)).unwrap();
        let of = |key: &str, value: &mut Value| value.as_object_mut().unwrap().remove(key);
        assert!(of("time", &mut shown).is_some());
        let (function, namespace) = (of("function", &mut shown), of("namespace", &mut shown));
        let expected = if machine { (None, None) } else { (Some(json!("env")), Some(json!("dev"))) };
        assert_eq!((function, namespace), expected);
        shown
    }

    #[tokio::test(start_paused = true)]
    async fn each_event_is_told_with_the_fields_that_it_has_and_no_others() {
        let generation = Generation(3);
        let reason = || Some("why".to_owned());
        let phase = What::Phase {
            phase: Phase::BackingOff { until: Uptime::default() },
            generation,
            serving: Some(Generation(2)),
            ready: 1,
            replicas: 2,
            reason: reason(),
            retry_in: Some(Duration::from_millis(3_200)),
        };
        let image = || "me/env:3".to_owned();
        for (what, expected) in [
            (
                phase,
                json!({"phase": "backing off", "generation": 3, "servingGeneration": 2, "availableReplicas": 1,
                "replicas": 2, "reason": "why", "retryInSeconds": 4}),
            ),
            (
                What::Deployed { generation, image: image(), created: true },
                json!({"generation": 3, "image": "me/env:3", "created": true}),
            ),
            (What::Deleted, json!({})),
            (What::Restart { restarts: 7, reason: None }, json!({"restarts": 7})),
            (
                What::Scale { from: 1, to: 4, because: Because::Load("busy".into()) },
                json!({"from": 1, "to": 4, "because": "load", "reason": "busy"}),
            ),
            (
                What::Scale { from: 1, to: 0, because: Because::KeptDown },
                json!({"from": 1, "to": 0, "because": "stopped"}),
            ),
            (
                What::Refused { generation, image: image(), reason: "no".into() },
                json!({"generation": 3, "image": "me/env:3", "reason": "no"}),
            ),
            (
                What::Step { step: crate::function::Step::Pulling, waits_for: reason() },
                json!({"step": "pulling", "waitingFor": "why"}),
            ),
            (
                What::Call { id: None, ended: End::Dead, reason: reason(), count: 3 },
                json!({"ended": "dead", "reason": "why", "count": 3}),
            ),
            (What::Faults(vec!["a disk".into()]), json!({"faults": ["a disk"]})),
            (What::Paused(false), json!({"paused": false})),
        ] {
            assert_eq!(shown(what.clone()), expected, "{what:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_carries_the_time_at_which_it_was_told() {
        let told = Event { id: NO_ID, at: Instant::now(), function: None, what: What::Paused(true) };
        tokio::time::advance(Duration::from_secs(5)).await;
        let shown = event(&told, "2026-11-27T06:00:05Z".parse().unwrap());
        assert_eq!(shown.time.as_deref(), Some("2026-11-27T06:00:00Z"));
    }

    #[test]
    fn loads_are_told_of_each_namespace_by_itself() {
        let point = |calls| Point { calls, p99: 2.345_67, in_flight: 1, ..Point::NOTHING };
        let all = [("a", point(1)), ("b.dev", point(2)), ("c", Point::NOTHING)];
        let all = all.map(|(name, point)| (name.parse().unwrap(), point));
        let shown: Value = serde_json::from_str(&serde_json::to_string(&loads(&all)).unwrap()).unwrap();
        let load = |calls| json!({"calls": calls, "errors": 0, "p99": 2.35, "inFlight": 1});
        let silent = json!({"calls": 0, "errors": 0, "p99": null, "inFlight": 0});
        assert_eq!(
            shown,
            json!([
                {"namespace": "dev", "step": 10, "functions": {"b": load(2)}},
                {"namespace": "openfaas-fn", "step": 10, "functions": {"a": load(1), "c": silent}},
            ])
        );
    }
}
