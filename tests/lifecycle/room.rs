//! Disks that are full: a deploy is refused in words and at once, and what runs goes on.

use std::time::Duration;

use actord::engine::Refused;
use actord::function::{Exit, Generation, Phase};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, id, simulate};

const FULL: &str = "the disk of the data directory /x is full";

fn found_full(method: Method) -> Rule {
    Rule::on(method, Fault::Error(HostError::Failed("write /x/y: no space left on device".to_owned())))
}

#[test]
fn a_deploy_onto_a_full_disk_is_refused_at_once_before_anything_is_written() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.fill_disk(Some(FULL));
        let began = Instant::now();
        assert_eq!(platform.deploy("f", "good:1").await, Err(Refused::Full(FULL.to_owned())));
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!((platform.view("f").await, platform.host.count(Method::ImagesEnsure)), (None, 0));
        assert_eq!(platform.store.get(&id("f")).await.unwrap(), None);
        platform.tidy(&[]).await;
        platform.host.fill_disk(None);
        platform.deploy("f", "good:1").await.unwrap();
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn on_a_full_disk_what_runs_goes_on_is_scaled_and_deleted_and_only_a_new_generation_is_refused() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let before = platform.store.get(&id("f")).await.unwrap();
        platform.host.fill_disk(Some(FULL));
        assert_eq!(platform.update("f", "good:2").await, Err(Refused::Full(FULL.to_owned())));
        assert_eq!((platform.store.get(&id("f")).await.unwrap(), platform.published("f").len()), (before, 1));
        assert_eq!(platform.update("f", "good:1").await, Ok(()), "it is so already");
        platform.scale("f", 2).await.unwrap();
        platform.until("two serve", async |p| p.published("f").len() == 2).await;
        platform.delete("f").await.unwrap();
        platform.tidy(&[]).await;
    });
}

#[test]
fn a_first_start_that_finds_a_disk_full_is_not_tried_again_and_its_caller_is_told_at_once() {
    for method in [
        Method::ImagesEnsure,
        Method::NetworkAttach,
        Method::RuntimePrepare,
        Method::RuntimeCreate,
        Method::RuntimeStart,
    ] {
        simulate(async move {
            let platform = Platform::start().await;
            platform.host.fault(found_full(method).always());
            let began = Instant::now();
            let refused = platform.deploy("f", "good:1").await.unwrap_err();
            assert!(
                matches!(&refused, Refused::Full(why) if why.contains("/x/y") && why.contains("free")),
                "{refused:?}"
            );
            assert!(began.elapsed() < Duration::from_secs(1), "{method:?}: {:?}", began.elapsed());
            assert_eq!((platform.view("f").await, platform.host.count(method)), (None, 1), "{method:?}");
            platform.tidy(&[]).await;

            platform.host.clear_faults();
            platform.deploy("f", "good:1").await.unwrap();
            let serving = platform.published("f");
            let before = platform.store.get(&id("f")).await.unwrap().unwrap();
            platform.host.fault(found_full(method));
            let refused = platform.update("f", "good:2").await.unwrap_err();
            assert!(matches!(&refused, Refused::Full(why) if why.contains("/x/y")), "{refused:?}");
            assert_eq!(platform.published("f"), serving, "{method:?}");
            let stored = platform.store.get(&id("f")).await.unwrap().unwrap();
            assert_eq!((stored.generation, stored.failed), (before.generation, None));
            assert!(stored.refused.unwrap().reason.contains("/x/y"));
            platform.tidy(&["f"]).await;
        });
    }
}

#[test]
fn what_served_before_is_tried_on_until_there_is_room() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.host.fault(found_full(Method::RuntimePrepare).times(3));
        platform.host.exit(&platform.published("f")[0], Exit::Signal(9));
        let found_no_room = async |p: &Platform| {
            let failure = p.view("f").await.unwrap().status.failure;
            failure.is_some_and(|failure| failure.reason.contains("/x/y"))
        };
        platform.until("it says that the disk is full", found_no_room).await;
        platform.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        assert_eq!(platform.store.get(&id("f")).await.unwrap().unwrap().failed, None);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn what_was_accepted_before_the_disk_was_full_is_kept_and_starts_once_there_is_room() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("slow:1", Behaviour::new().pulls_in(Duration::from_secs(50)));
        platform.deploy("f", "slow:1").await.unwrap();
        platform.host.fault(found_full(Method::RuntimePrepare));
        platform.until("it backs off", async |p| matches!(p.phase("f").await, Some(Phase::BackingOff { .. }))).await;
        // A caller who asks for the same now waits for its next start, and is not told of the last one.
        platform.update("f", "slow:1").await.unwrap();
        assert_eq!(platform.phase("f").await, Some(Phase::Ready));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(platform.store.get(&id("f")).await.unwrap().unwrap().generation, Generation(1));
        platform.tidy(&["f"]).await;
    });
}
