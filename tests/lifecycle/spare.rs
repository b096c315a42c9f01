//! Instances that stand by, and what callers notice when one takes over.

use std::collections::BTreeSet;
use std::time::Duration;

use actord::actors::Settings;
use actord::engine::{Engine as _, Mode};
use actord::function::{Exit, InstanceId, Phase, Spec, SpecDraft, Tier};
use actord::host::HostError;
use actord::host::fake::{FakeHost, Fault, Method, Rule};
use actord::store::Store;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, id, simulate};

const SECOND: Duration = Duration::from_secs(1);
/// More than a thaw of the machine in memory takes, and less than any start.
const MOMENT: Duration = Duration::from_millis(10);

const READY: (&str, &str) = ("com.openfaas.ready.http.path", "/ready");

fn with_spares(image: &str, spares: &str, more: &[(&str, &str)]) -> Spec {
    let spares = ("actord.spare", spares);
    let annotations =
        more.iter().chain([&spares]).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    SpecDraft { image: image.into(), annotations, ..SpecDraft::default() }.try_into().unwrap()
}

/// What runs and gets no requests.
fn standing_by(platform: &Platform) -> BTreeSet<InstanceId> {
    let published: BTreeSet<_> = platform.published("f").into_iter().collect();
    platform.host.running().difference(&published).cloned().collect()
}

/// Waits until so many serve and stand by, all of those frozen. Returns both.
async fn settled(platform: &Platform, serving: usize, spares: usize) -> (Vec<InstanceId>, Vec<InstanceId>) {
    platform
        .until("spares stand by", async |p| {
            let status = p.view("f").await.unwrap().status;
            let standing_by = standing_by(p);
            let known = (status.ready as usize, status.spares as usize) == (serving, spares);
            known && standing_by.len() == spares && standing_by.is_subset(&p.host.frozen())
        })
        .await;
    (platform.published("f"), standing_by(platform).into_iter().collect())
}

async fn with_one() -> (Platform, InstanceId, InstanceId) {
    let platform = Platform::start().await;
    platform.apply(Mode::Create, "f", with_spares("good:1", "1", &[])).await.unwrap();
    let (mut serving, mut spares) = settled(&platform, 1, 1).await;
    (platform, serving.remove(0), spares.remove(0))
}

async fn end(platform: &Platform) {
    platform.delete("f").await.unwrap();
    platform.tidy(&["f"]).await;
}

fn fails() -> Fault {
    Fault::Error(HostError::Failed("a scripted fault".into()))
}

#[test]
fn a_spare_is_frozen_gets_no_requests_and_is_no_replica() {
    simulate(async {
        let (platform, serving, spare) = with_one().await;
        for _ in 0..20 {
            assert_eq!(platform.routes.lease(&id("f")).await.unwrap().instance(), &serving);
        }
        sleep(3600 * SECOND).await;
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.ready, status.frozen, status.spares), (Phase::Ready, 1, 0, 1));
        assert_eq!(platform.host.frozen(), [spare].into());
        assert_eq!((platform.host.count(Method::RuntimeStart), platform.host.count(Method::RuntimeFreeze)), (2, 1));
        end(&platform).await;
    });
}

#[test]
fn when_what_serves_dies_callers_wait_for_a_thaw_and_not_for_a_start() {
    simulate(async {
        let (platform, serving, spare) = with_one().await;
        let starts = platform.host.count(Method::RuntimeStart);
        platform.host.exit(&serving, Exit::Signal(9));
        platform.until("it is noticed", async |p| !p.published("f").contains(&serving)).await;
        assert_eq!(platform.published("f"), std::slice::from_ref(&spare), "in the same step");
        let began = Instant::now();
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        assert!(began.elapsed() < MOMENT, "{:?}", began.elapsed());
        assert!(lease.instance() == &spare && !platform.host.frozen().contains(&spare), "thawed before it is called");
        drop(lease);
        let (serving, spares) = settled(&platform, 1, 1).await;
        assert!(serving[0] == spare && spares[0] != spare, "the next one stands by");
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.restarts, platform.host.count(Method::RuntimeStart)), (1, starts + 1));
        end(&platform).await;
    });
}

#[test]
fn a_request_that_is_parked_is_given_to_the_spare() {
    simulate(async {
        let (platform, serving, spare) = with_one().await;
        platform.host.fault(Rule::on(Method::RuntimeThaw, Fault::Delay(SECOND)));
        platform.host.exit(&serving, Exit::Code(1));
        platform.until("it takes over", async |p| p.published("f") == [spare.clone()]).await;
        let (began, waiting) = (Instant::now(), platform.routes.find(&id("f")).unwrap());
        assert_eq!(waiting.lease().await.unwrap().instance(), &spare, "after {:?}", began.elapsed());
        assert!(began.elapsed() > SECOND / 2, "it waited for the thaw: {:?}", began.elapsed());
        end(&platform).await;
    });
}

#[test]
fn a_spare_that_can_not_be_thawed_is_replaced_and_its_callers_get_the_next() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", with_spares("good:1", "2", &[])).await.unwrap();
        let (serving, spares) = settled(&platform, 1, 2).await;
        platform.host.exit(&serving[0], Exit::Code(1));
        let stuck = |spare| platform.host.fault(Rule::on(Method::RuntimeThaw, fails()).only(spare).times(4));
        spares.iter().take(1).for_each(stuck);
        platform.until("it is noticed", async |p| !p.published("f").contains(&serving[0])).await;
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        assert!(!platform.host.frozen().contains(lease.instance()));
        drop(lease);
        settled(&platform, 1, 2).await;
        end(&platform).await;
    });
}

#[test]
fn a_spare_that_dies_is_replaced_and_no_caller_notices() {
    simulate(async {
        let (platform, serving, mut spare) = with_one().await;
        for _ in 0..3 {
            platform.host.exit(&spare, Exit::Signal(9));
            platform.until("it is gone", async |p| !p.host.running().contains(&spare)).await;
            assert_eq!(platform.routes.lease(&id("f")).await.unwrap().instance(), &serving);
            assert_eq!(platform.phase("f").await, Some(Phase::Ready));
            spare = settled(&platform, 1, 1).await.1.remove(0);
        }
        assert_eq!(platform.view("f").await.unwrap().status.restarts, 0);
        end(&platform).await;
    });
}

#[test]
fn an_update_replaces_the_spare_once_it_serves_and_one_that_fails_leaves_it() {
    simulate(async {
        let (platform, serving, spare) = with_one().await;
        platform.host.publish_image("bad:1", actord::host::fake::Behaviour::new().exits_with(3));
        let _ = platform.apply(Mode::Update, "f", with_spares("bad:1", "1", &[])).await;
        sleep(SECOND).await;
        assert_eq!(platform.published("f"), std::slice::from_ref(&serving));
        assert!(platform.host.frozen().contains(&spare), "it stays as long as the new one may fail");
        // What serves dies in the middle of it.
        platform.host.exit(&serving, Exit::Code(1));
        platform.until("the old spare serves", async |p| p.published("f") == [spare.clone()]).await;
        platform.apply(Mode::Update, "f", with_spares("good:2", "1", &[])).await.unwrap();
        let (serving, spares) = settled(&platform, 1, 1).await;
        assert!(serving[0] != spare && spares[0] != spare);
        platform.until("the old one is gone", async |p| p.host.running().len() == 2).await;
        end(&platform).await;
    });
}

#[test]
fn more_replicas_begin_with_the_spare_and_fewer_leave_it() {
    simulate(async {
        let (platform, serving, spare) = with_one().await;
        platform.engine.adjust(&id("f"), 2, "load".into()).await.unwrap();
        assert_eq!(platform.published("f"), [serving.clone(), spare.clone()], "at once");
        settled(&platform, 2, 1).await;
        platform.scale("f", 1).await.unwrap();
        settled(&platform, 1, 1).await;
        platform.until("one is gone", async |p| p.host.running().len() == 2).await;
        end(&platform).await;
    });
}

#[test]
fn what_goes_idle_takes_its_spare_along_and_a_call_brings_back_both() {
    simulate(async {
        let (platform, serving, _) = with_one().await;
        platform
            .until("it is frozen", async |p| {
                p.rest("f", Tier::Frozen).await.unwrap();
                p.host.frozen().contains(&serving) && p.view("f").await.unwrap().status.frozen == 1
            })
            .await;
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.ready, status.frozen, status.spares), (Phase::Frozen, 1, 1, 1));
        platform.rest("f", Tier::Stopped).await.unwrap();
        platform.until("nothing is left", async |p| p.host.leftovers().is_empty()).await;
        drop(platform.routes.lease(&id("f")).await.unwrap());
        settled(&platform, 1, 1).await;
        end(&platform).await;
    });
}

#[test]
fn one_that_is_not_ready_is_stood_in_for_finishes_its_requests_and_is_the_next_spare() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", with_spares("good:1", "1", &[READY])).await.unwrap();
        let (serving, spare) = settled(&platform, 1, 1).await;
        let long = platform.routes.lease(&id("f")).await.unwrap();
        platform.host.fault(Rule::on(Method::ProbeAsk, fails()).only(&serving[0]).always());
        platform.until("the spare serves", async |p| p.published("f") == spare).await;
        assert_eq!(platform.phase("f").await, Some(Phase::Ready));
        platform.host.clear_faults();
        platform.until("it is the spare", async |p| p.view("f").await.unwrap().status.spares == 1).await;
        sleep(60 * SECOND).await;
        assert!(!platform.host.frozen().contains(&serving[0]), "it has a request from before");
        drop(long);
        assert_eq!(settled(&platform, 1, 1).await, (spare, serving));
        end(&platform).await;
    });
}

#[test]
fn a_spare_that_can_not_be_frozen_stands_by_all_the_same_and_its_checks_go_on() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.fault(Rule::on(Method::RuntimeFreeze, fails()).always());
        platform.apply(Mode::Create, "f", with_spares("good:1", "1", &[READY])).await.unwrap();
        platform.until("it stands by", async |p| p.view("f").await.unwrap().status.spares == 1).await;
        let (serving, spare) = (platform.published("f").remove(0), standing_by(&platform).pop_first().unwrap());
        // It is not ready, and then takes nothing over.
        platform.host.fault(Rule::on(Method::ProbeAsk, fails()).only(&spare).always());
        platform.until("that is known", async |p| p.view("f").await.unwrap().status.spares == 0).await;
        assert_eq!(platform.phase("f").await, Some(Phase::Ready));
        platform.host.clear_faults();
        platform.until("it stands by again", async |p| p.view("f").await.unwrap().status.spares == 1).await;
        platform.host.exit(&serving, Exit::Code(1));
        platform.until("it takes over", async |p| p.published("f") == [spare.clone()]).await;
        assert_eq!(platform.routes.lease(&id("f")).await.unwrap().instance(), &spare);
        end(&platform).await;
    });
}

#[test]
fn after_a_restart_one_of_two_serves_and_the_other_stands_by_frozen() {
    simulate(async {
        let (host, store) = (FakeHost::new(), Store::in_memory().unwrap());
        host.publish_image("good:1", actord::host::fake::Behaviour::new());
        let actors = LocalSet::new();
        let first = actors.run_until(async {
            let platform = Platform::boot(host.clone(), store.clone(), Settings::default()).await;
            platform.apply(Mode::Create, "f", with_spares("good:1", "1", &[])).await.unwrap();
            settled(&platform, 1, 1).await
        });
        let (serving, spares) = first.await;
        drop(actors);
        let platform = Platform::boot(host, store, Settings::default()).await;
        let (serving_now, spares_now) = settled(&platform, 1, 1).await;
        let all = |a: &[InstanceId], b: &[InstanceId]| a.iter().chain(b).cloned().collect::<BTreeSet<_>>();
        assert_eq!(all(&serving, &spares), all(&serving_now, &spares_now), "nothing was started anew");
        assert_eq!(platform.host.count(Method::RuntimeStart), 2);
        drop(platform.routes.lease(&id("f")).await.unwrap());
        end(&platform).await;
    });
}
