//! What instances write to the machine's disk: one that writes more than it may is replaced, in simulated time.

use std::time::Duration;

use actord::actors::Settings;
use actord::engine::Mode;
use actord::function::{Phase, Resources, Spec, SpecDraft};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use tokio::time::sleep;

use crate::platform::{Platform, draft, simulate};

const MIB: u64 = 1 << 20;
const MINUTE: Duration = Duration::from_secs(60);

/// A machine with an image that writes a MiB in each second.
async fn machine(ephemeral_storage: Option<u64>) -> Platform {
    let platform = Platform::start_with(Settings { ephemeral_storage, ..Settings::default() }).await;
    platform.host.publish_image("fills:1", Behaviour::new().fills_its_disk(MIB));
    platform
}

/// One of it that may write so much.
fn with(limit: Option<&str>) -> Spec {
    let limits = limit.map(|limit| Resources { ephemeral_storage: Some(limit.to_owned()), ..Resources::default() });
    SpecDraft { limits, ..draft("fills:1") }.try_into().unwrap()
}

/// Why the function's instance is being replaced, of one that has served for a minute and a half. It is told until the next
/// one is ready, which takes a while here.
async fn reason_of_the_eviction(platform: &Platform) -> String {
    platform.host.fault(Rule::on(Method::RuntimeStart, Fault::Delay(MINUTE / 2)).times(1));
    sleep(MINUTE * 2 / 3).await;
    platform.view("f").await.unwrap().status.failure.expect("a reason").reason
}

#[test]
fn one_that_wrote_more_than_it_may_is_replaced_and_the_status_says_why() {
    simulate(async {
        let platform = machine(None).await;
        platform.apply(Mode::Create, "f", with(Some("100Mi"))).await.unwrap();
        platform.apply(Mode::Create, "g", with(None)).await.unwrap();
        let (first, other) = (platform.published("f"), platform.published("g"));
        sleep(MINUTE + MINUTE / 2).await;
        assert_eq!(platform.published("f"), first, "it has written 90 MiB");
        let reason = reason_of_the_eviction(&platform).await;
        assert_eq!(
            reason,
            "evicted: what it wrote takes more than 100Mi (limits.ephemeral-storage) of the machine's disk"
        );
        sleep(MINUTE).await;
        let next = platform.published("f");
        assert!(next.len() == 1 && next != first, "{next:?} after {first:?}");
        let phase = platform.view("f").await.unwrap().status.phase;
        assert_eq!((phase, platform.published("g")), (Phase::Ready, other), "nothing bounds the other one");
        platform.tidy(&["f", "g"]).await;
    });
}

#[test]
fn the_setting_holds_for_a_function_that_does_not_say_and_for_no_other() {
    simulate(async {
        let platform = machine(Some(100 * MIB)).await;
        let read_only = SpecDraft { read_only_root_filesystem: true, ..draft("fills:1") };
        platform.apply(Mode::Create, "f", with(None)).await.unwrap();
        platform.apply(Mode::Create, "g", with(Some("1Gi"))).await.unwrap();
        platform.apply(Mode::Create, "h", read_only.try_into().unwrap()).await.unwrap();
        let before = ["f", "g", "h"].map(|name| platform.published(name));
        sleep(MINUTE + MINUTE / 2).await;
        let reason = reason_of_the_eviction(&platform).await;
        assert!(reason.contains("more than 100Mi (the setting ephemeral-storage)"), "{reason}");
        sleep(MINUTE).await;
        let after = ["f", "g", "h"].map(|name| platform.published(name));
        assert_ne!(after[0], before[0]);
        assert_eq!(after[1..], before[1..]);
        platform.tidy(&["f", "g", "h"]).await;
    });
}

#[test]
fn a_count_that_fails_evicts_nothing_and_is_made_again() {
    simulate(async {
        let platform = machine(Some(MIB)).await;
        let fault = Fault::Error(HostError::Failed("a scripted fault".into()));
        platform.host.fault(Rule::on(Method::RuntimeWritten, fault).times(3));
        platform.apply(Mode::Create, "f", with(None)).await.unwrap();
        let first = platform.published("f");
        sleep(MINUTE + MINUTE * 2 / 3).await;
        assert_eq!((platform.host.count(Method::RuntimeWritten), platform.published("f")), (3, first.clone()));
        sleep(MINUTE).await;
        assert_ne!(platform.published("f"), first);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn the_files_of_one_instance_after_the_other_are_counted() {
    simulate(async {
        let platform = machine(Some(1 << 40)).await;
        platform.host.fault(Rule::on(Method::RuntimeWritten, Fault::Delay(MINUTE / 12)).always());
        let names = ["a", "b", "c", "d"];
        for name in names {
            platform.apply(Mode::Create, name, with(None)).await.unwrap();
        }
        sleep(5 * MINUTE).await;
        assert!(platform.host.count(Method::RuntimeWritten) >= 4 * 4);
        assert_eq!(platform.host.most_at_once(Method::RuntimeWritten), 1);
        platform.tidy(&names).await;
    });
}
