//! Whose logs are kept, and when they go.

use actord::function::{Exit, InstanceId};
use actord::host::fake::Behaviour;

use crate::platform::{Platform, id, simulate};

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
