//! Whose logs are kept, and when they go.

use std::time::Duration;

use actord::engine::{LogLines, LogQuery, Logs as _, LogsRefused};
use actord::function::{Exit, InstanceId};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::platform::{Platform, id, simulate};

/// Longer than anything takes that is going to happen.
const LONG: Duration = Duration::from_secs(600);

/// The instances whose logs are kept, those that are gone first.
async fn kept(platform: &Platform, function: &str) -> (Vec<InstanceId>, Vec<InstanceId>) {
    let logs = platform.host.host().logs.kept(&id(function)).await.unwrap().logs;
    let (gone, live): (Vec<_>, Vec<_>) = logs.into_iter().partition(|log| log.ended);
    let ids = |logs: Vec<actord::host::Log>| logs.into_iter().map(|log| log.id).collect();
    (ids(gone), ids(live))
}

#[test]
fn what_a_crashed_instance_wrote_is_kept_until_its_function_is_deleted() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("talks:1", Behaviour::new().writes("hello\n"));
        platform.deploy("f", "talks:1").await.unwrap();
        platform.deploy("other", "talks:1").await.unwrap();
        let crashed = platform.published("f").remove(0);
        platform.host.exit(&crashed, Exit::Signal(11));
        platform.until("it is back", async |p| p.published("f").iter().any(|id| *id != crashed)).await;
        platform.tidy(&["f", "other"]).await;
        assert_eq!(kept(&platform, "f").await, (vec![crashed], platform.published("f")));

        platform.delete("f").await.unwrap();
        // The name is free at once, and nothing of the one before is told of the next.
        platform.deploy("f", "talks:1").await.unwrap();
        platform.tidy(&["f", "other"]).await;
        let only_its_own = async |p: &Platform| kept(p, "f").await == (Vec::new(), p.published("f"));
        platform.until("the logs of the deleted one are gone", only_its_own).await;
        platform.delete("f").await.unwrap();
        platform.until("all is gone", async |p| !p.host.logged().contains(&id("f"))).await;
        assert_eq!(kept(&platform, "other").await.1, platform.published("other"));
    });
}

#[test]
fn a_deployment_that_failed_leaves_no_log() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("no-config:1", Behaviour::new().hopeless("no such program"));
        platform.deploy("f", "no-config:1").await.unwrap_err();
        platform.until("nothing is kept", async |p| p.host.logged().is_empty()).await;
    });
}

#[test]
fn an_actord_that_starts_removes_the_logs_of_functions_that_are_gone_and_of_those_before_the_present_ones() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("talks:1", Behaviour::new().writes("hello\n"));
        let (stray, before): (InstanceId, InstanceId) = ("gone-1".parse().unwrap(), "f-1".parse().unwrap());
        for (instance, function) in [(&stray, "gone"), (&before, "f")] {
            platform.host.begin_log(instance, &id(function));
            platform.host.write_log(instance, b"words\n", jiff::Timestamp::now());
            platform.host.end_log(instance);
        }
        platform.deploy("f", "talks:1").await.unwrap();
        assert_eq!(kept(&platform, "f").await.0, [before]);
        let Platform { host, store, .. } = platform;
        let next = Platform::boot(host, store, actord::actors::Settings::default()).await;
        next.until("they are gone", async |p| p.host.logged() == [id("f")].into()).await;
        next.until("f serves", async |p| !p.published("f").is_empty()).await;
        next.until("its own is kept", async |p| kept(p, "f").await == (Vec::new(), p.published("f"))).await;
    });
}

/// All that is told of a function now.
#[test]
fn of_a_function_that_was_made_in_the_future_no_log_goes() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("talks:1", Behaviour::new().writes("hello\n"));
        platform.deploy("f", "talks:1").await.unwrap();
        let crashed = platform.published("f").remove(0);
        platform.host.exit(&crashed, Exit::Signal(11));
        platform.until("it is back", async |p| p.published("f").iter().any(|id| *id != crashed)).await;
        // The clock was ten years ahead when it was deployed, and was put right since.
        let mut desired = platform.view("f").await.unwrap().status.desired.unwrap();
        desired.created_at = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(10 * 365 * 24)).to_string();
        platform.store.put(&id("f"), &desired).await.unwrap();
        let stray: InstanceId = "gone-1".parse().unwrap();
        platform.host.begin_log(&stray, &id("gone"));
        platform.host.write_log(&stray, b"words\n", jiff::Timestamp::now());
        platform.host.end_log(&stray);
        let Platform { host, store, .. } = platform;
        let next = Platform::boot(host, store, actord::actors::Settings::default()).await;
        next.until("the one that is gone is forgotten", async |p| p.host.logged() == [id("f")].into()).await;
        next.until("f serves", async |p| !p.published("f").is_empty()).await;
        assert!(kept(&next, "f").await.0.contains(&crashed), "what it wrote before would look old");
    });
}

async fn told(platform: &Platform, function: &str) -> Vec<String> {
    let lines = platform.engine.logs().read(query(function, false)).await.unwrap();
    timeout(LONG, texts(lines)).await.expect("it ends")
}

fn query(function: &str, follow: bool) -> LogQuery {
    LogQuery { function: id(function), instance: None, tail: None, since: None, follow }
}

async fn texts(lines: LogLines) -> Vec<String> {
    let all: Vec<_> = lines.collect().await;
    all.into_iter().flat_map(Result::unwrap).map(|line| line.text).collect()
}

#[test]
fn a_namesake_has_only_its_own_lines_at_once_however_long_the_one_before_takes_to_end() {
    simulate(async {
        let platform = Platform::start().await;
        let slow = Behaviour::new().writes("old\n").ignores_term_for(Duration::from_secs(25));
        platform.host.publish_image("slow:1", slow);
        platform.host.publish_image("talks:1", Behaviour::new().writes("new\n"));
        for _ in 0..3 {
            platform.deploy("f", "slow:1").await.unwrap();
            let old = platform.published("f").remove(0);
            let follower = platform.engine.logs().read(query("f", true)).await.unwrap();
            platform.delete("f").await.unwrap();
            let refused = platform.engine.logs().read(query("f", false)).await.err();
            assert_eq!(refused, Some(LogsRefused::NotFound(id("f"))));
            platform.deploy("f", "talks:1").await.unwrap();
            assert!(kept(&platform, "f").await.1.contains(&old), "it is not gone yet");
            assert_eq!(told(&platform, "f").await, ["new"]);
            platform.host.write_log(&old, b"bye\n", jiff::Timestamp::now());
            assert_eq!(told(&platform, "f").await, ["new"]);
            assert_eq!(timeout(LONG, texts(follower)).await.expect("it ends"), ["old", "bye"]);
            platform.delete("f").await.unwrap();
            platform.until("all is gone", async |p| !p.host.logged().contains(&id("f"))).await;
        }
    });
}

#[test]
fn a_deletion_is_answered_also_where_its_logs_can_not_be_removed_now() {
    simulate(async {
        for fault in [Fault::Error(HostError::Failed("disk".into())), Fault::Panic, Fault::Hang] {
            let platform = Platform::start().await;
            platform.host.publish_image("talks:1", Behaviour::new().writes("hello\n"));
            platform.deploy("f", "talks:1").await.unwrap();
            platform.host.fault(Rule::on(Method::LogsForget, fault).times(3));
            platform.delete("f").await.unwrap();
            assert_eq!(platform.published("f"), []);
            platform.until("they go later", async |p| !p.host.logged().contains(&id("f"))).await;
        }
    });
}
