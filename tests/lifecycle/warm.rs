//! Attachments that are made before a start asks for one.

use std::collections::BTreeSet;
use std::time::Duration;

use actord::actors::Settings;
use actord::host::fake::{Behaviour, FakeHost, Fault, Method, Phase, Rule};
use actord::host::{HostError, WarmId};
use actord::store::Store;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, simulate};

const WANTED: usize = 4;
/// Long enough for all that has time.
const LONG: Duration = Duration::from_secs(120);

fn settings() -> Settings {
    Settings { warm_attachments: WANTED, ..Settings::default() }
}

async fn started() -> Platform {
    let platform = Platform::start_with(settings()).await;
    full(&platform).await;
    platform
}

fn warm(platform: &Platform) -> BTreeSet<WarmId> {
    platform.host.leftovers().warm
}

async fn full(platform: &Platform) {
    platform.until("the pool is full", async |p| warm(p).len() == WANTED).await;
}

/// A deploy of each name, all at once.
async fn deployed(platform: &Platform, names: &[String]) {
    for done in join_all(names.iter().map(|name| platform.deploy(name, "good:1"))).await {
        done.unwrap();
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("f{at}")).collect()
}

async fn deleted(platform: &Platform, names: &[String]) {
    for name in names {
        platform.delete(name).await.unwrap();
    }
    platform.until("all are gone", async |p| p.host.leftovers().networks.is_empty()).await;
}

#[test]
fn a_start_claims_what_is_warm_and_the_pool_is_refilled_afterwards() {
    simulate(async {
        let platform = started().await;
        let before = warm(&platform);
        platform.deploy("f", "good:1").await.unwrap();
        assert_eq!((platform.host.count(Method::NetworkClaim), platform.host.count(Method::NetworkAttach)), (1, 0));
        assert_eq!(before.difference(&warm(&platform)).count(), 1);
        full(&platform).await;
        deleted(&platform, &["f".to_owned()]).await;
        platform.tidy(&[]).await;
        sleep(LONG).await;
        assert_eq!(warm(&platform).len(), WANTED, "and no further");
        assert_eq!(platform.host.count(Method::NetworkWarm), WANTED + 1);
    });
}

#[test]
fn a_burst_larger_than_the_pool_makes_its_own_and_no_refill_comes_between() {
    simulate(async {
        let platform = started().await;
        platform.host.fault(Rule::on(Method::RuntimeCreate, Fault::Delay(Duration::from_millis(80))).always());
        platform.host.fault(Rule::on(Method::NetworkAttach, Fault::Delay(Duration::from_millis(25))).always());
        let names = names(50);
        let begun = Instant::now();
        deployed(&platform, &names).await;
        let ended = Instant::now();
        assert_eq!(platform.host.count(Method::NetworkClaim), WANTED);
        assert_eq!(platform.host.count(Method::NetworkAttach), names.len() - WANTED);
        let calls = platform.host.calls();
        let refills = calls.iter().filter(|call| call.method == Method::NetworkWarm && call.phase == Phase::Began);
        assert_eq!(refills.filter(|call| call.at > begun && call.at <= ended).count(), 0);
        full(&platform).await;
        deleted(&platform, &names).await;
        platform.tidy(&[]).await;
    });
}

#[test]
fn where_starts_never_cease_the_pool_is_refilled_all_the_same() {
    simulate(async {
        let platform = started().await;
        platform.host.fault(Rule::on(Method::RuntimeStart, Fault::Hang).always());
        let stuck = names(WANTED);
        let hang = join_all(stuck.iter().map(|name| platform.deploy(name, "good:1")));
        let watch = async {
            platform.until("all are claimed", async |p| warm(p).is_empty()).await;
            platform.until("the pool is full", async |p| warm(p).len() == WANTED).await;
        };
        futures_util::join!(hang, watch);
    });
}

#[test]
fn what_has_gone_bad_is_never_handed_out_and_is_removed() {
    simulate(async {
        let platform = started().await;
        let bad = warm(&platform);
        for one in &bad {
            platform.host.spoil(one);
        }
        platform.deploy("f", "good:1").await.unwrap();
        assert_eq!(platform.host.count(Method::NetworkAttach), 1, "it made its own");
        platform.until("others are there", async |p| warm(p).is_disjoint(&bad) && warm(p).len() == WANTED).await;
        deleted(&platform, &["f".to_owned()]).await;
        platform.tidy(&[]).await;
    });
}

#[test]
fn a_refill_that_fails_backs_off_starts_make_their_own_and_it_heals() {
    simulate(async {
        let host = FakeHost::new();
        host.publish_image("good:1", Behaviour::new());
        let full_subnet = HostError::Failed("every address is taken".to_owned());
        host.fault(Rule::on(Method::NetworkWarm, Fault::Error(full_subnet)).always());
        let platform = Platform::boot(host, Store::in_memory().unwrap(), settings()).await;
        sleep(Duration::from_secs(600)).await;
        let tries = platform.host.count(Method::NetworkWarm);
        assert!((5..25).contains(&tries), "{tries} tries in ten minutes");
        platform.deploy("f", "good:1").await.unwrap();
        assert_eq!(platform.host.count(Method::NetworkAttach), 1);
        platform.host.clear_faults();
        full(&platform).await;
        deleted(&platform, &["f".to_owned()]).await;
        platform.tidy(&[]).await;
    });
}

#[test]
fn a_detach_waits_for_the_start_that_is_under_way_and_no_start_waits_for_a_detach() {
    simulate(async {
        let platform = started().await;
        let names = names(8);
        deployed(&platform, &names).await;
        full(&platform).await;
        platform.host.fault(Rule::on(Method::RuntimeCreate, Fault::Delay(Duration::from_millis(500))).always());
        platform.host.fault(Rule::on(Method::NetworkDetach, Fault::Delay(Duration::from_secs(3))).always());
        let begun = Instant::now();
        let deploy = async |name: &str| {
            let begun = Instant::now();
            platform.deploy(name, "good:1").await.unwrap();
            assert!(begun.elapsed() < Duration::from_millis(600), "{:?}", begun.elapsed());
        };
        let others = async {
            // The store decides whose write comes first: the start has to be under way.
            platform.host.called(Method::RuntimeCreate, names.len() + 1).await;
            for name in &names {
                platform.delete(name).await.unwrap();
            }
        };
        futures_util::join!(others, deploy("new"));
        let calls = platform.host.calls();
        let first = calls.iter().find(|call| call.method == Method::NetworkDetach).map(|call| call.at);
        assert!(first.is_none_or(|at| at - begun >= Duration::from_millis(500)), "it came first");
        platform.until("one is under way", async |p| p.host.count(Method::NetworkDetach) > 0).await;
        deploy("newer").await;
        deleted(&platform, &["new".to_owned(), "newer".to_owned()]).await;
        platform.tidy(&[]).await;
    });
}

#[test]
fn nothing_is_made_once_it_is_told_to_stop_and_what_is_ready_stays() {
    simulate(async {
        let platform = Platform::start_with(settings()).await;
        platform.host.fault(Rule::on(Method::NetworkWarm, Fault::Delay(Duration::from_millis(200))).always());
        platform.host.called(Method::NetworkWarm, 2).await;
        platform.context.stop_warming().await;
        let (made, there) = (platform.host.count(Method::NetworkWarm), warm(&platform).len());
        assert_eq!((made, there), (2, 2), "the one that was being made was waited for");
        sleep(LONG).await;
        assert_eq!((platform.host.count(Method::NetworkWarm), warm(&platform).len()), (2, 2));
        platform.deploy("f", "good:1").await.unwrap();
        assert_eq!(platform.host.count(Method::NetworkClaim), 1);
    });
}
