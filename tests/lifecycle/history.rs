//! What is kept of the last hour of a function.

use std::sync::Arc;
use std::time::Duration;

use actord::function::{Phase, Tier};
use actord::history::{History, MOST, Point};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::platform::{Platform, id, simulate};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_secs(10);

fn history(platform: &Platform) -> History {
    History::start(Arc::new(platform.engine.clone()), platform.routes.clone(), &Handle::current())
}

/// A platform with a function that uses a quarter of a processor and 10 MiB.
async fn with_f() -> Platform {
    let platform = Platform::start().await;
    platform.host.publish_image("busy:1", Behaviour::new().uses(250, 10 << 20));
    platform.deploy("f", "busy:1").await.unwrap();
    platform
}

fn points(history: &History, name: &str) -> Vec<Point> {
    history.of(&id(name), MOST).map(|series| series.points).unwrap_or_default()
}

fn calls(points: &[Point]) -> Vec<u32> {
    points.iter().map(|point| point.calls).collect()
}

#[test]
fn every_ten_seconds_are_a_point_with_the_calls_how_they_went_and_what_was_used() {
    simulate(async {
        let platform = with_f().await;
        let history = history(&platform);
        let entry = platform.routes.find(&id("f")).unwrap();
        assert_eq!(history.of(&id("f"), MOST), None, "there is no point yet");
        sleep(STEP + 5 * SECOND).await;
        (0..199).for_each(|_| entry.count_call(Duration::from_millis(20), false));
        (0..3).for_each(|_| entry.count_call(Duration::from_millis(700), true));
        let lease = entry.lease().await.unwrap();
        sleep(STEP).await;

        let series = history.of(&id("f"), MOST).unwrap();
        assert_eq!((series.step, series.age.as_secs_f64().round(), series.points.len()), (STEP, 5.0, 2));
        let [before, last] = series.points[..] else { panic!("{series:?}") };
        assert_eq!((before.calls, before.in_flight, before.ready, before.memory_kib), (0, 0, 1, 10 << 10));
        assert!(before.p50.is_nan() && before.p99.is_nan());
        assert_eq!((last.calls, last.errors, last.in_flight, last.ready), (202, 3, 1, 1));
        assert!((18.0..22.0).contains(&last.p50) && (630.0..770.0).contains(&last.p99), "{last:?}");
        assert_eq!((last.cpu_millis, last.memory_kib), (250, 10 << 10));
        drop(lease);
        sleep(STEP).await;
        assert_eq!(calls(&points(&history, "f")), [0, 202, 0], "what was told is not told again");
        assert_eq!(history.of(&id("f"), 1).unwrap().points.len(), 1);
        history.stop().await;
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_name_that_is_made_anew_begins_anew() {
    simulate(async {
        let platform = with_f().await;
        let history = history(&platform);
        let before = platform.routes.find(&id("f")).unwrap();
        before.count_call(SECOND, false);
        sleep(STEP + SECOND).await;
        assert_eq!(calls(&points(&history, "f")), [1]);
        before.count_call(SECOND, false);
        platform.delete("f").await.unwrap();
        assert_eq!(history.of(&id("f"), MOST), None, "it went with the function");
        platform.deploy("f", "busy:1").await.unwrap();
        assert_eq!(history.of(&id("f"), MOST), None);
        before.count_call(SECOND, false);
        sleep(STEP).await;
        assert_eq!(calls(&points(&history, "f")), [0], "what goes on of the one before is not its own");
        platform.delete("f").await.unwrap();
        sleep(STEP).await;
        assert!(history.all(&id("f").namespace, MOST).is_empty());
        platform.tidy(&[]).await;
    });
}

#[test]
fn what_sleeps_is_not_looked_at_and_keeps_its_memory_while_it_is_frozen() {
    simulate(async {
        let platform = with_f().await;
        let history = history(&platform);
        sleep(2 * STEP + SECOND).await;
        platform.rest("f", Tier::Frozen).await.unwrap();
        platform.until("it is frozen", async |p| p.phase("f").await == Some(Phase::Frozen)).await;
        let reads = platform.host.count(Method::RuntimeUsage);
        sleep(2 * STEP).await;
        let frozen = *points(&history, "f").last().unwrap();
        assert_eq!((frozen.ready, frozen.cpu_millis, frozen.memory_kib), (1, 0, 10 << 10));
        platform.rest("f", Tier::Stopped).await.unwrap();
        platform.until("it is idle", async |p| p.phase("f").await == Some(Phase::Idle)).await;
        sleep(2 * STEP).await;
        let idle = *points(&history, "f").last().unwrap();
        assert_eq!((idle.ready, idle.cpu_millis, idle.memory_kib), (0, 0, 0));
        assert_eq!(platform.host.count(Method::RuntimeUsage), reads, "nothing is awake, nothing is read");
        history.stop().await;
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_host_that_does_not_answer_loses_no_call_and_no_time() {
    simulate(async {
        let platform = with_f().await;
        platform.deploy("g", "busy:1").await.unwrap();
        let history = history(&platform);
        // A round that waits for the host is over before the next call.
        sleep(2 * STEP + 5 * SECOND).await;
        let bad = platform.published("f").remove(0);
        for fault in [Fault::Error(HostError::Failed("a disk".into())), Fault::Hang, Fault::Panic] {
            platform.host.fault(Rule::on(Method::RuntimeUsage, fault).only(&bad).always());
            platform.routes.find(&id("f")).unwrap().count_call(SECOND, false);
            sleep(STEP).await;
            platform.host.clear_faults();
        }
        platform.host.release();
        sleep(3 * SECOND).await;
        let (f, g) = (points(&history, "f"), points(&history, "g"));
        assert_eq!((calls(&f), g.len()), (vec![0, 0, 1, 1, 1], 5));
        assert!(f.iter().all(|point| point.memory_kib == 10 << 10), "what can't be read stays what it was: {f:?}");
        assert!(g[1..].iter().all(|point| point.cpu_millis == 250), "{g:?}");
        history.stop().await;
        platform.tidy(&["f", "g"]).await;
    });
}

#[test]
fn a_load_is_told_while_something_calls_and_once_more_when_it_falls_silent() {
    simulate(async {
        let platform = with_f().await;
        platform.deploy("still", "good:1").await.unwrap();
        let history = history(&platform);
        let mut loads = history.loads();
        let entry = platform.routes.find(&id("f")).unwrap();
        let mut told = Vec::new();
        for round in 1..=6_u64 {
            if (2..=3).contains(&round) {
                entry.count_call(SECOND, false);
            }
            loads.changed().await.unwrap();
            let now = loads.borrow_and_update().clone();
            assert_eq!((now.round, now.functions.len()), (round, 2));
            told.extend(
                now.functions
                    .iter()
                    .filter(|(_, load)| load.since == round)
                    .map(|(id, load)| (round, id.name.to_string(), load.point.calls)),
            );
        }
        let told: Vec<_> = told.iter().map(|(round, name, calls)| (*round, name.as_str(), *calls)).collect();
        assert_eq!(told, [(1, "f", 0), (1, "still", 0), (2, "f", 1), (3, "f", 1), (4, "f", 0)]);
        history.stop().await;
        platform.tidy(&["f", "still"]).await;
    });
}
