//! What is shed while the machine's memory is short, in which order, and what is never.

use std::time::Duration;

use actord::actors::Settings;
use actord::engine::{Engine as _, Mode};
use actord::function::{Exit, Memory, Phase, Resting, Spec, SpecDraft, Tier};
use actord::host::HostError;
use actord::host::fake::{Behaviour, FakeHost, Fault, Method, Rule};
use actord::store::Store;
use tokio::time::sleep;

use crate::platform::{Platform, id, simulate, spec};

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Memory = Memory::Waited(5000);
const ENOUGH: Memory = Memory::Waited(0);
/// Of 20 %: neither short nor enough.
const BETWEEN: Memory = Memory::Waited(1500);
const WARM: usize = 4;

fn with(key: &str, value: &str) -> Spec {
    let annotations = [(key.to_owned(), value.to_owned())].into();
    SpecDraft { image: "good:1".into(), annotations, ..SpecDraft::default() }.try_into().unwrap()
}

/// Functions: one that serves, some that sleep (the first for longest), one of which may not be stopped, and one with a spare.
async fn busy(sleepers: usize) -> Platform {
    let host = FakeHost::new();
    host.publish_image("good:1", Behaviour::new());
    let settings = Settings { warm_attachments: WARM, ..Settings::default() };
    let platform = Platform::boot(host, Store::in_memory().unwrap(), settings).await;
    platform.engine.shed_load(20, Resting { freeze_after: None, zero_after: Some(900 * SECOND) });
    platform.apply(Mode::Create, "serves", with("com.openfaas.scale.zero", "true")).await.unwrap();
    platform.apply(Mode::Create, "spared", with("actord.spare", "1")).await.unwrap();
    platform.apply(Mode::Create, "frozen", spec("good:1")).await.unwrap();
    freeze(&platform, "frozen").await;
    for name in names(sleepers) {
        platform.apply(Mode::Create, &name, with("com.openfaas.scale.zero", "true")).await.unwrap();
        freeze(&platform, &name).await;
        sleep(SECOND).await;
    }
    platform.until("the pool is full", async |p| p.host.leftovers().warm.len() == WARM).await;
    platform.until("a spare stands by", async |p| spares(p).await == 1).await;
    platform
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("sleeps{n:02}")).collect()
}

async fn freeze(platform: &Platform, name: &str) {
    platform.rest(name, Tier::Frozen).await.unwrap();
    platform.until("it is frozen", async |p| p.phase(name).await == Some(Phase::Frozen)).await;
}

async fn spares(platform: &Platform) -> u32 {
    platform.view("spared").await.unwrap().status.spares
}

/// Those that sleep and have an instance.
async fn asleep(platform: &Platform, count: usize) -> Vec<String> {
    let mut asleep = Vec::new();
    for name in names(count) {
        if platform.phase(&name).await == Some(Phase::Frozen) {
            asleep.push(name);
        }
    }
    asleep
}

async fn what_serves_goes_on(platform: &Platform) {
    for name in ["serves", "spared"] {
        assert_eq!((platform.phase(name).await, platform.published(name).len()), (Some(Phase::Ready), 1), "{name}");
        assert_eq!(platform.view(name).await.unwrap().status.restarts, 0, "{name}");
    }
    assert_eq!(platform.phase("frozen").await, Some(Phase::Frozen), "it may not be stopped");
}

#[test]
fn the_longer_memory_is_short_the_more_is_shed_in_one_order_and_what_serves_goes_on() {
    simulate(async {
        let platform = busy(20).await;
        platform.host.set_memory(SHORT);
        // First: nothing is made ahead of demand.
        platform.until("it says so", async |p| !p.engine.faults().is_empty()).await;
        let faults = platform.engine.faults();
        assert!(faults.len() == 1 && faults[0].starts_with("pressure: memory is short (50.00 %"), "{faults:?}");
        platform.host.set_memory(BETWEEN);
        platform.apply(Mode::Create, "new", spec("good:1")).await.unwrap();
        sleep(60 * SECOND).await;
        assert_eq!(platform.host.leftovers().warm.len(), WARM - 1, "it was claimed, and no other made");
        assert_eq!((asleep(&platform, 20).await.len(), spares(&platform).await), (20, 1));

        // Then those that sleep, the longest asleep first, some at a time, while there is a spare.
        platform.host.set_memory(SHORT);
        platform.until("the first are stopped", async |p| asleep(p, 20).await.len() < 20).await;
        assert_eq!(asleep(&platform, 20).await, names(20)[8..]);
        platform.host.set_memory(BETWEEN);
        platform.until("all are", async |p| asleep(p, 20).await.is_empty()).await;
        sleep(60 * SECOND).await;
        assert_eq!(spares(&platform).await, 1);

        // Spares at last.
        platform.host.set_memory(SHORT);
        platform.until("the spare goes", async |p| spares(p).await == 0).await;
        what_serves_goes_on(&platform).await;

        // All of it comes back only after a while.
        platform.host.set_memory(ENOUGH);
        sleep(50 * SECOND).await;
        assert_eq!((spares(&platform).await, platform.engine.faults().len()), (0, 1));
        platform.until("a spare stands by", async |p| spares(p).await == 1).await;
        platform.until("the pool is full", async |p| p.host.leftovers().warm.len() == WARM).await;
        assert_eq!(platform.engine.faults(), Vec::<String>::new());
        what_serves_goes_on(&platform).await;
        // What was stopped comes when it is called.
        platform.scale("sleeps00", 1).await.unwrap();
        platform.until("it woke", async |p| p.phase("sleeps00").await == Some(Phase::Ready)).await;
        assert_eq!(platform.host.violations(), Vec::<String>::new());
    });
}

#[test]
fn a_memory_that_is_short_now_and_then_sheds_nothing_and_one_that_stays_so_goes_to_and_fro_once() {
    simulate(async {
        let platform = busy(3).await;
        let made = platform.host.count(Method::RuntimeCreate);
        for _ in 0..100 {
            platform.host.set_memory(SHORT);
            sleep(4 * SECOND).await;
            platform.host.set_memory(ENOUGH);
            sleep(4 * SECOND).await;
        }
        assert_eq!((asleep(&platform, 3).await.len(), spares(&platform).await), (3, 1));
        for _ in 0..100 {
            platform.host.set_memory(SHORT);
            sleep(20 * SECOND).await;
            platform.host.set_memory(ENOUGH);
            sleep(20 * SECOND).await;
        }
        assert_eq!((asleep(&platform, 3).await.len(), spares(&platform).await), (0, 0));
        assert_eq!(platform.host.count(Method::RuntimeCreate), made, "nothing was started for it");
        what_serves_goes_on(&platform).await;
    });
}

#[test]
fn a_crash_while_spares_are_shed_is_mended_as_where_none_was_asked_for() {
    simulate(async {
        let platform = busy(0).await;
        platform.host.set_memory(SHORT);
        platform.until("the spare goes", async |p| spares(p).await == 0).await;
        let served = platform.published("spared");
        platform.host.exit(&served[0], Exit::Signal(9));
        let anew = async |p: &Platform| p.published("spared").first().is_some_and(|now| *now != served[0]);
        platform.until("another one serves", anew).await;
        sleep(60 * SECOND).await;
        assert_eq!(spares(&platform).await, 0);
        platform.delete("spared").await.unwrap();
        platform.host.set_memory(ENOUGH);
        sleep(120 * SECOND).await;
        assert_eq!(platform.engine.faults(), Vec::<String>::new());
        assert!(platform.engine.get(&id("spared")).await.unwrap().is_none());
    });
}

#[test]
fn where_it_can_not_be_seen_how_short_memory_is_nothing_changes() {
    simulate(async {
        let platform = busy(3).await;
        let fault = Fault::Error(HostError::Failed("no such file".to_owned()));
        platform.host.fault(Rule::on(Method::MemoryLook, fault).always());
        platform.host.set_memory(SHORT);
        sleep(600 * SECOND).await;
        assert_eq!((asleep(&platform, 3).await.len(), spares(&platform).await), (3, 1));
        assert_eq!(platform.engine.faults(), Vec::<String>::new());
        what_serves_goes_on(&platform).await;
    });
}
