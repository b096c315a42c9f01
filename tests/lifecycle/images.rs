//! Images that no function needs: when they go, and that those never go that one needs.

use std::collections::BTreeSet;
use std::time::Duration;

use actord::actors::{Settings, Watermarks};
use actord::engine::{Engine as _, Mode};
use actord::function::{Exit, Phase, Tier};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use tokio::time::sleep;

use crate::platform::{Platform, id, simulate, spec};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
/// More rounds than one of the job that looks at the disk.
const ROUNDS: Duration = Duration::from_secs(5 * 60);

/// What functions need here: deployed, asleep, what a rollback leads to and what serves, what served last and the update
/// that fails.
const NEEDED: [&str; 6] = ["runs:1", "sleeps:1", "updated:1", "updated:2", "fails:1", "fails:2"];

fn settings() -> Settings {
    Settings {
        image_retention: 168 * HOUR,
        image_watermarks: Some(Watermarks { high: 85, low: 80 }),
        ..Settings::default()
    }
}

/// A machine with all kinds of functions, and images of functions that were deleted an hour after each other.
async fn with_functions(deleted: &[&str]) -> Platform {
    with_functions_and(deleted, settings()).await
}

async fn with_functions_and(deleted: &[&str], settings: Settings) -> Platform {
    let platform = Platform::start_with(settings).await;
    for image in NEEDED.iter().chain(deleted) {
        platform.host.publish_image(image, Behaviour::new());
    }
    platform.host.publish_image("fails:2", Behaviour::new().exits_with(1));
    platform.deploy("runs", "runs:1").await.unwrap();
    platform.deploy("sleeps", "sleeps:1").await.unwrap();
    platform.rest("sleeps", Tier::Stopped).await.unwrap();
    platform.deploy("updated", "updated:1").await.unwrap();
    platform.update("updated", "updated:2").await.unwrap();
    platform.deploy("fails", "fails:1").await.unwrap();
    platform.update("fails", "fails:2").await.unwrap();
    for image in deleted {
        platform.deploy("gone", image).await.unwrap();
        platform.delete("gone").await.unwrap();
        sleep(HOUR).await;
    }
    for image in NEEDED.iter().chain(deleted) {
        assert!(platform.host.has_image(image), "{image}");
        // From now on no registry gives it back.
        platform.host.withdraw_image(image);
    }
    platform
}

fn left<'a>(platform: &Platform, of: &[&'a str]) -> BTreeSet<&'a str> {
    of.iter().copied().filter(|image| platform.host.has_image(image)).collect()
}

/// Every image is there that a function needs, and each function does what it needs it for.
async fn all_work(platform: &Platform) {
    assert_eq!(left(platform, &NEEDED), BTreeSet::from(NEEDED));
    let served = platform.published("fails");
    platform.host.exit(&served[0], Exit::Signal(9));
    let anew = async |p: &Platform| p.published("fails").first().is_some_and(|now| *now != served[0]);
    platform.until("the last good one was started again", anew).await;
    platform.scale("sleeps", 1).await.unwrap();
    platform.until("it woke", async |p| p.phase("sleeps").await == Some(Phase::Ready)).await;
    platform.engine.rollback(&id("updated"), None).await.unwrap();
    assert_eq!(platform.view("updated").await.unwrap().status.desired.unwrap().spec.image, "updated:1");
    assert_eq!(platform.phase("runs").await, Some(Phase::Ready));
}

#[test]
fn above_the_high_watermark_what_no_function_needs_goes_the_longest_unneeded_first_down_to_the_low_one() {
    simulate(async {
        let old = ["old:1", "old:2", "old:3", "old:4"];
        let platform = with_functions(&old).await;
        // Ten images at 3 % each: 85 % are used, which is not above the watermark.
        platform.host.set_fullness(55, 3);
        sleep(ROUNDS).await;
        assert_eq!(left(&platform, &old).len(), 4);
        // 86 %: two have to go before 80 % are.
        platform.host.set_fullness(56, 3);
        sleep(ROUNDS).await;
        assert_eq!(left(&platform, &old), BTreeSet::from(["old:3", "old:4"]));
        all_work(&platform).await;
    });
}

#[test]
fn however_full_the_disk_is_nothing_goes_that_a_deployed_a_sleeping_or_a_last_good_generation_needs() {
    simulate(async {
        let old = ["old:1", "old:2"];
        let platform = with_functions(&old).await;
        platform.host.set_fullness(99, 1);
        sleep(HOUR).await;
        assert_eq!(left(&platform, &old), BTreeSet::new());
        all_work(&platform).await;
    });
}

#[test]
fn what_is_pulled_for_a_deploy_while_the_disk_is_too_full_stays_as_long_as_that_is_under_way() {
    simulate(async {
        let platform = Platform::start_with(settings()).await;
        platform.host.set_fullness(95, 1);
        platform.host.publish_image("slow:1", Behaviour::new());
        platform.host.fault(Rule::on(Method::RuntimeCreate, Fault::Delay(MINUTE / 3)).always());
        platform.host.fault(Rule::on(Method::RuntimeStart, Fault::Error(HostError::Failed("not now".into()))).times(9));
        platform.apply(Mode::Create, "f", spec("slow:1")).await.unwrap();
        platform.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        assert_eq!(platform.host.count(Method::ImagesRemove), 0);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn an_image_goes_once_no_function_needed_it_for_the_retention_and_time_in_which_actord_was_away_does_not_count() {
    simulate(async {
        let settings = || Settings { image_retention: 8 * HOUR, ..settings() };
        let platform = with_functions_and(&["old:1"], settings()).await;
        sleep(3 * HOUR).await;
        let (host, store, dir) = (platform.host.clone(), platform.store.clone(), platform.dir.clone());
        platform.context.housekeeping().stop().await;
        drop(platform);
        // The machine is off for longer than the retention.
        sleep(9 * HOUR).await;
        let platform = Platform::boot_on(host, store, dir, settings()).await;
        sleep(3 * HOUR + MINUTE).await;
        assert!(platform.host.has_image("old:1"), "six hours of eight");
        sleep(4 * HOUR).await;
        assert!(!platform.host.has_image("old:1"));
        all_work(&platform).await;
    });
}

#[test]
fn a_round_that_fails_removes_nothing_and_the_next_one_does() {
    simulate(async {
        let old = ["old:1"];
        let platform = with_functions(&old).await;
        platform.host.set_fullness(90, 1);
        for method in [Method::DisksUsedPercent, Method::ImagesPulled, Method::ImagesRemove] {
            platform.host.fault(Rule::on(method, Fault::Error(HostError::Unavailable("away".into()))).times(1));
        }
        sleep(3 * MINUTE + MINUTE / 2).await;
        assert_eq!(left(&platform, &old).len(), 1);
        sleep(MINUTE).await;
        assert_eq!(left(&platform, &old).len(), 0);
    });
}
