//! `actord events`: what becomes of functions, as it happens.
//!
//! A stream that breaks off is taken up again after the last event. Where something was missed meanwhile, that is said on
//! standard error.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value};
use tokio::time::{sleep, timeout};

use super::client::{
    Client, ClientError, ExitWith, Frame, Frames, GatewayArgs, NamespaceArg, Output, eprint_line, print,
};
use crate::function::FunctionName;
use crate::wire::{EventData, Step};

/// Waits before a stream that broke off is taken up again.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_LONGEST: Duration = Duration::from_secs(5);
/// actord sends something each 15 seconds: after so long without anything the connection is dead.
const SILENT: Duration = Duration::from_secs(45);

/// `actord events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Events of all namespaces that the credentials reach, and of the machine
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// Only those of functions of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<FunctionName>,

    /// Begin after the event with this id, which `--output json` shows [default: with what comes]
    #[arg(long, value_name = "ID")]
    pub since_id: Option<String>,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// How far the stream was read.
#[derive(Debug, Default)]
struct Place {
    last: Option<String>,
    has_begun: bool,
    count: u64,
}

impl EventsArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let mut place = Place { last: self.since_id.clone(), ..Place::default() };
        let mut wait = AGAIN_FIRST;
        loop {
            let before = place.count;
            match self.stream(&client, &mut place).await {
                Ok(()) => {}
                Err(error) if place.has_begun && may_heal(&error) => {
                    eprint_line(&format!("actord: {error}; trying again"));
                }
                Err(error) => return Err(error),
            }
            wait = if place.count > before { AGAIN_FIRST } else { (wait * 2).min(AGAIN_LONGEST) };
            sleep(wait).await;
        }
    }

    /// One request, and all events of its answer.
    async fn stream(&self, client: &Client, place: &mut Place) -> Result<(), ClientError> {
        let namespace = (!self.all_namespaces).then(|| self.namespace.or_default());
        let mut query = Vec::new();
        query.extend(namespace.as_ref().map(|namespace| ("namespace", namespace.as_str())));
        query.extend(self.name.as_ref().map(|name| ("name", name.as_str())));
        query.extend(place.last.as_deref().map(|last| ("after", last)));
        let mut answer = client.success(client.request(Method::GET, &["system", "events"], &query)).await?;
        place.has_begun = true;
        let mut frames = Frames::default();
        loop {
            let Ok(piece) = timeout(SILENT, answer.chunk()).await else {
                let silent = format!("nothing came for {} s", SILENT.as_secs());
                return Err(ClientError::Unreachable(silent));
            };
            let Some(piece) = piece.map_err(|error| client.broken(&error))? else { return Ok(()) };
            let mut out = String::new();
            for frame in frames.push(&piece) {
                place.last = frame.id.clone().or(place.last.take());
                place.count += 1;
                self.write(&frame, &mut out)?;
            }
            print(out.as_bytes())?;
        }
    }

    fn write(&self, frame: &Frame, out: &mut String) -> Result<(), ClientError> {
        let unreadable = |error: serde_json::Error| {
            ClientError::Unreachable(format!("the gateway sent something else than an event: {error}"))
        };
        if frame.event == "reset" {
            eprint_line("actord: events were missed here: `actord ls` shows how the functions stand");
        }
        if self.gateway.output == Output::Json {
            let mut data: Map<String, Value> = serde_json::from_str(&frame.data).map_err(unreadable)?;
            data.insert("event".to_owned(), frame.event.clone().into());
            data.extend(frame.id.clone().map(|id| ("id".to_owned(), id.into())));
            out.push_str(&Value::from(data).to_string());
            out.push('\n');
        } else {
            let data: EventData = serde_json::from_str(&frame.data).map_err(unreadable)?;
            out.extend(line(&frame.event, &data));
        }
        Ok(())
    }
}

fn may_heal(error: &ClientError) -> bool {
    matches!(error.exit(), ExitWith::Unreachable | ExitWith::Unable)
}

/// An event for a person. States that come all the time are for programs.
fn line(event: &str, data: &EventData) -> Option<String> {
    let (what, more) = words(event, data)?;
    let time = data.time.as_deref().and_then(|time| time.get(11..19)).unwrap_or("        ");
    let whose = match (&data.function, &data.namespace) {
        (Some(function), Some(namespace)) => format!("{function}.{namespace}"),
        _ => "actord".to_owned(),
    };
    let line = format!("{time} {whose}  {what}  {more}");
    // What a server sends must not steer the terminal.
    let plain: String = line.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(plain + "\n")
}

/// What happened in a word, and what there is to know of it.
fn words(event: &str, data: &EventData) -> Option<(String, String)> {
    let because = || data.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let generation = || data.generation.map(|number| format!("generation {number}")).unwrap_or_default();
    let image = || data.image.as_deref().unwrap_or_default();
    Some(match event {
        "phase" => {
            let (ready, wanted) = (data.available_replicas.unwrap_or_default(), data.replicas.unwrap_or_default());
            let other = data.serving_generation.filter(|serving| Some(*serving) != data.generation);
            let other = other.map(|serving| format!(", {serving} serves")).unwrap_or_default();
            let next = data.retry_in_seconds.map(|seconds| format!(", next start in {seconds} s")).unwrap_or_default();
            let more = format!("{}, {ready}/{wanted}{other}{next}{}", generation(), because());
            (data.phase.clone().unwrap_or_default(), more)
        }
        "deployed" => {
            let what = if data.created == Some(true) { "created" } else { "updated" };
            (what.to_owned(), format!("{}, {}", generation(), image()))
        }
        "deleted" => ("deleted".to_owned(), String::new()),
        "restart" => {
            let count = data.restarts.unwrap_or_default();
            ("restart".to_owned(), format!("{count} so far{}", because()))
        }
        "scale" => {
            let (from, to) = (data.from.unwrap_or_default(), data.to.unwrap_or_default());
            let why = data.because.as_deref().unwrap_or_default();
            ("scale".to_owned(), format!("{from} to {to}, {why}{}", because()))
        }
        "refused" => ("refused".to_owned(), format!("{}, {}{}", generation(), image(), because())),
        "step" => {
            let step = if let Some(Step::Of(step)) = &data.step { step.as_str() } else { "" };
            let waits = data.waiting_for.as_deref().map(|what| format!(": {what}")).unwrap_or_default();
            ("step".to_owned(), format!("{step}{waits}"))
        }
        "call" => {
            let which = match (&data.call, data.count.unwrap_or_default()) {
                (Some(call), _) => call.clone(),
                (None, count) => format!("{count} calls"),
            };
            (format!("call {}", data.ended.as_deref().unwrap_or_default()), format!("{which}{}", because()))
        }
        "faults" => {
            let faults = data.faults.clone().unwrap_or_default();
            let well = faults.is_empty().then(|| "none, all is well".to_owned());
            ("faults".to_owned(), well.unwrap_or_else(|| faults.join("; ")))
        }
        "paused" => {
            let what = if data.paused == Some(true) { "wait: memory is short" } else { "are sent again" };
            ("asynchronous calls".to_owned(), what.to_owned())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_a_line_for_a_person() {
        let common = || EventData {
            function: Some("env".into()),
            namespace: Some("openfaas-fn".into()),
            time: Some("2026-11-27T06:00:00.123Z".into()),
            generation: Some(3),
            image: Some("me/env:3".into()),
            ..EventData::default()
        };
        let why = || Some("no such\x1b tag".to_owned());
        let phase = EventData {
            phase: Some("ready".into()),
            serving_generation: Some(3),
            available_replicas: Some(1),
            replicas: Some(1),
            ..common()
        };
        let backing_off = EventData {
            phase: Some("backing off".into()),
            serving_generation: Some(2),
            available_replicas: Some(1),
            replicas: Some(2),
            retry_in_seconds: Some(4),
            reason: why(),
            ..common()
        };
        let scale = EventData {
            from: Some(1),
            to: Some(4),
            because: Some("load".into()),
            reason: Some("busy".into()),
            ..common()
        };
        let step = EventData { step: Some(Step::Of("pulling".into())), waiting_for: Some("a turn".into()), ..common() };
        let calls = EventData { ended: Some("dead".into()), count: Some(3), reason: Some("late".into()), ..common() };
        let call = EventData { call: Some("018f".into()), ended: Some("cancelled".into()), ..common() };
        for (event, data, expected) in [
            ("phase", phase, "ready  generation 3, 1/1"),
            ("phase", backing_off, "backing off  generation 3, 1/2, 2 serves, next start in 4 s: no such  tag"),
            ("deployed", EventData { created: Some(true), ..common() }, "created  generation 3, me/env:3"),
            ("deployed", common(), "updated  generation 3, me/env:3"),
            ("deleted", common(), "deleted"),
            ("restart", EventData { restarts: Some(7), ..common() }, "restart  7 so far"),
            ("scale", scale, "scale  1 to 4, load: busy"),
            ("refused", EventData { reason: why(), ..common() }, "refused  generation 3, me/env:3: no such  tag"),
            ("step", step, "step  pulling: a turn"),
            ("call", calls, "call dead  3 calls: late"),
            ("call", call, "call cancelled  018f"),
        ] {
            let shown = line(event, &data).unwrap();
            assert_eq!(shown, format!("06:00:00 env.openfaas-fn  {expected}\n"));
        }
        let machine = |faults| EventData { faults: Some(faults), ..EventData::default() };
        let shown = line("faults", &machine(vec!["store: full".into()])).unwrap();
        assert_eq!(shown, "         actord  faults  store: full\n");
        assert!(line("faults", &machine(Vec::new())).unwrap().ends_with("faults  none, all is well\n"));
        assert_eq!((line("pull", &common()), line("load", &common()), line("reset", &common())), (None, None, None));
    }
}
