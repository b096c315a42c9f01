use actord::actors::Settings;
use actord::function::{Exit, Phase};
use actord::host::fake::Method;
use actord::store::Store;

use crate::platform::{Platform, simulate};

/// Another actord on the same machine and store, after the first one was killed.
async fn restarted(platform: &Platform) -> Platform {
    Platform::boot(platform.host.clone(), platform.store.clone(), Settings::default()).await
}

#[test]
fn what_runs_is_adopted_and_not_touched() {
    simulate(async {
        let first = Platform::start().await;
        first.deploy("f", "good:1").await.unwrap();
        let before = first.published("f");
        let second = restarted(&first).await;
        second.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        assert_eq!(second.published("f"), before);
        assert_eq!(second.host.count(Method::RuntimeStart), 1);
    });
}

#[test]
fn what_does_not_run_after_a_reboot_is_started_again() {
    simulate(async {
        let first = Platform::start().await;
        for name in ["a", "b", "c"] {
            first.deploy(name, "good:1").await.unwrap();
        }
        first.host.reboot();
        let second = restarted(&first).await;
        for name in ["a", "b", "c"] {
            second.until("it serves", async |p| p.phase(name).await == Some(Phase::Ready)).await;
        }
        second.tidy(&["a", "b", "c"]).await;
    });
}

#[test]
fn after_a_failed_update_and_a_restart_the_last_good_version_runs() {
    simulate(async {
        let first = Platform::start().await;
        first.deploy("f", "good:1").await.unwrap();
        first.update("f", "typo:2").await.unwrap_err();
        first.host.reboot();
        let second = restarted(&first).await;
        second.until("it serves", async |p| p.published("f").len() == 1).await;
        let status = second.view("f").await.unwrap().status;
        assert_eq!(status.phase, Phase::Failed);
        assert!(status.failure.unwrap().reason.contains("typo:2"));
        assert_eq!(status.serving.unwrap().0, 1);
    });
}

#[test]
fn instances_that_the_store_knows_nothing_of_are_torn_down() {
    simulate(async {
        let first = Platform::start().await;
        first.deploy("f", "good:1").await.unwrap();
        first.host.host().network.attach(&"stray-000000000000".parse().unwrap()).await.unwrap();
        let amnesiac = Platform::boot(first.host.clone(), Store::in_memory().unwrap(), Settings::default()).await;
        amnesiac.until("nothing is left", async |p| p.host.leftovers().is_empty()).await;
        assert_eq!(amnesiac.view("f").await, None);
    });
}

#[test]
fn an_adopted_function_that_crashes_is_replaced() {
    simulate(async {
        let first = Platform::start().await;
        first.deploy("f", "good:1").await.unwrap();
        let second = restarted(&first).await;
        second.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        let crashed = second.published("f").remove(0);
        second.host.exit(&crashed, Exit::Code(1));
        second.until("another one serves", async |p| p.published("f").iter().any(|id| *id != crashed)).await;
    });
}
