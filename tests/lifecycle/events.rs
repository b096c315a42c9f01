//! What is told of functions while they live.

use std::sync::Arc;
use std::time::Duration;

use actord::events::{Because, Event, Events, Filter, Reader, Told, What};
use actord::function::{Exit, Phase, Step, Tier};
use actord::history::History;
use actord::host::fake::Behaviour;
use actord::queue::{self, Queue};
use actord::store::Namespaces;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, id, simulate};

const SECOND: Duration = Duration::from_secs(1);

/// A platform of which somebody hears.
struct House {
    platform: Platform,
    events: Events,
}

impl House {
    async fn over(platform: Platform) -> Self {
        let engine = Arc::new(platform.engine.clone());
        let namespaces = Arc::new(Namespaces::new(platform.store.clone(), platform.secrets.clone()));
        let queue = Queue::in_memory(engine.clone(), platform.routes.clone(), queue::Settings::usual()).await.unwrap();
        let events = Events::start(engine, namespaces, queue, History::none().loads(), &Handle::current());
        // It has seen by then what there is.
        sleep(SECOND).await;
        Self { platform, events }
    }

    fn read(&self) -> Reader {
        self.events.read(None, Filter::default())
    }
}

/// The events that have come, without those of steps.
fn events(reader: &mut Reader) -> Vec<Event> {
    let told = std::iter::from_fn(|| reader.try_next());
    let event = |told| if let Told::Event(event) = told { Some((*event).clone()) } else { None };
    told.filter_map(event).filter(|event| !matches!(event.what, What::Step { .. })).collect()
}

/// The same in a few words each.
fn words(reader: &mut Reader) -> Vec<String> {
    let word = |event: Event| match event.what {
        What::Phase { phase, ready, replicas, .. } => format!("{phase} {ready}/{replicas}"),
        What::Deployed { generation, created, .. } => {
            format!("{} {generation}", if created { "created" } else { "updated" })
        }
        What::Scale { from, to, because } => format!("{from} to {to}, {}", because.word()),
        What::Restart { restarts, .. } => format!("restart {restarts}"),
        other => other.word().to_owned(),
    };
    let mut words: Vec<_> = events(reader).into_iter().map(word).collect();
    words.dedup();
    words
}

#[test]
fn a_pull_is_told_at_most_twice_a_second_and_its_last_state_always() {
    simulate(async {
        let house = House::over(Platform::start().await).await;
        house.platform.host.publish_image("slow:1", Behaviour::new().pulls_in(5 * SECOND).ready_after(3 * SECOND));
        let mut reader = house.read();
        let deploying = house.platform.clone();
        let deploy = actix::spawn(async move { deploying.deploy("f", "slow:1").await });
        let (mut pulls, mut steps) = (Vec::new(), Vec::new());
        loop {
            match reader.next().await.unwrap() {
                Told::Pulls(told) => pulls.push((Instant::now(), told[0].1.progress)),
                Told::Event(event) => match &event.what {
                    What::Step { step, .. } => steps.push(*step),
                    What::Phase { phase: Phase::Ready, .. } => break,
                    _ => {}
                },
                other => panic!("{other:?}"),
            }
        }
        deploy.await.unwrap().unwrap();
        assert!(pulls.len() >= 5, "{pulls:?}");
        assert!(pulls.windows(2).all(|pair| pair[1].0 - pair[0].0 >= Duration::from_millis(499)), "{pulls:?}");
        assert!(pulls.windows(2).all(|pair| pair[0].1.pulled < pair[1].1.pulled), "{pulls:?}");
        let last = pulls.last().unwrap().1;
        assert_eq!(Some(last.pulled), last.total, "{pulls:?}");
        assert_eq!((steps.first(), steps.last()), (Some(&Step::Pulling), Some(&Step::WaitingUntilReady)), "{steps:?}");
        assert!(steps.is_sorted(), "{steps:?}");
        // Who comes later hears of the last state, too, and then of nothing.
        assert!(matches!(house.read().try_next(), Some(Told::Pulls(told)) if told[0].1.progress == last));
        sleep(60 * SECOND).await;
        assert_eq!(house.read().try_next(), None);
        house.platform.tidy(&["f"]).await;
    });
}

#[test]
fn what_is_done_to_a_function_is_told_in_order_with_the_reason_and_how_it_stands_then() {
    simulate(async {
        let house = House::over(Platform::start().await).await;
        let (platform, mut reader) = (&house.platform, house.read());
        platform.deploy("f", "good:1").await.unwrap();
        sleep(SECOND).await;
        let told = words(&mut reader);
        assert_eq!(
            (told.first().map(String::as_str), told.last().map(String::as_str)),
            (Some("created 1"), Some("ready 1/1"))
        );
        platform.update("f", "good:2").await.unwrap();
        sleep(SECOND).await;
        let told = words(&mut reader);
        assert_eq!(
            (told.first().map(String::as_str), told.last().map(String::as_str)),
            (Some("updated 2"), Some("ready 1/1"))
        );
        platform.scale("f", 2).await.unwrap();
        platform.until("both serve", async |p| p.published("f").len() == 2).await;
        sleep(SECOND).await;
        assert_eq!(words(&mut reader), ["1 to 2, asked", "starting 1/2", "ready 2/2"]);
        platform.rest("f", Tier::Stopped).await.unwrap();
        platform.until("it is idle", async |p| p.phase("f").await == Some(Phase::Idle)).await;
        sleep(SECOND).await;
        assert_eq!(words(&mut reader)[..1], ["2 to 0, idle"]);
        drop(platform.routes.lease(&id("f")).await.unwrap());
        platform.until("both serve", async |p| p.published("f").len() == 2).await;
        sleep(SECOND).await;
        let told = words(&mut reader);
        assert_eq!(
            (told.first().map(String::as_str), told.last().map(String::as_str)),
            (Some("0 to 2, woken"), Some("ready 2/2"))
        );
        platform.keep_down("f", true).await.unwrap();
        sleep(SECOND).await;
        assert_eq!(words(&mut reader)[..1], ["2 to 0, stopped"]);
        platform.delete("f").await.unwrap();
        sleep(SECOND).await;
        assert_eq!(words(&mut reader), ["deleted"]);
        platform.tidy(&[]).await;
    });
}

#[test]
fn a_crash_is_told_with_its_reason_and_when_the_next_start_is() {
    simulate(async {
        let house = House::over(Platform::start().await).await;
        let platform = &house.platform;
        platform.deploy("f", "good:1").await.unwrap();
        sleep(SECOND).await;
        let mut reader = house.read();
        for _ in 0..3 {
            let instance = platform.published("f").remove(0);
            platform.host.exit(&instance, Exit::Code(7));
            platform.until("another one serves", async |p| p.published("f").iter().any(|id| *id != instance)).await;
        }
        sleep(SECOND).await;
        let told = events(&mut reader);
        let restarts: Vec<_> = told
            .iter()
            .filter_map(|event| {
                if let What::Restart { restarts, reason } = &event.what {
                    Some((*restarts, reason.clone()))
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(restarts.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(
            restarts.iter().all(|(_, reason)| reason.as_ref().is_some_and(|reason| reason.contains("code 7"))),
            "{restarts:?}"
        );
        let waits = told.iter().any(|event| {
            matches!(&event.what, What::Phase { phase: Phase::BackingOff { .. }, retry_in: Some(wait), .. } if !wait.is_zero())
        });
        assert!(waits, "{told:?}");
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn what_was_there_before_is_no_news() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let house = House::over(platform).await;
        let mut reader = house.read();
        house.platform.scale("f", 2).await.unwrap();
        sleep(5 * SECOND).await;
        let told = events(&mut reader);
        assert_eq!(told[0].what, What::Scale { from: 1, to: 2, because: Because::Asked }, "{told:?}");
        assert!(told.iter().all(|event| event.function == Some(id("f"))));
        house.platform.tidy(&["f"]).await;
    });
}
