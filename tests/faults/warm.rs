//! Attachments that are kept warm, when actord is killed, again and again, whatever it is doing.

use std::collections::BTreeSet;
use std::time::Duration;

use actord::actors::Settings;
use actord::function::Exit;
use actord::host::fake::{Fault, Method, Phase, Rule};
use actord::host::{HostError, WarmId};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::sleep;

use crate::check::differences;
use crate::life::World;
use crate::platform::Platform;

const WANTED: usize = 4;
/// Long enough for all that has time.
const LONG: Duration = Duration::from_secs(120);

fn world() -> World {
    World::new(Settings { warm_attachments: WANTED, ..Settings::default() })
}

fn warm(platform: &Platform) -> BTreeSet<WarmId> {
    platform.host.leftovers().warm
}

#[test]
fn an_end_without_warning_leaves_what_the_next_run_takes_over_and_a_smaller_pool_gives_some_back() {
    let mut world = world();
    let (before, instances) = world
        .live(async |platform| {
            platform.deploy("f", "good:1").await.unwrap();
            sleep(LONG).await;
            (warm(platform), platform.published("f"))
        })
        .unwrap();
    assert_eq!(before.len(), WANTED);
    let spoilt = before.first().unwrap().clone();
    world.host.spoil(&spoilt);
    world.live(async |platform| {
        sleep(LONG).await;
        assert!(!warm(platform).contains(&spoilt));
        assert_eq!(warm(platform).intersection(&before).count(), WANTED - 1);
        assert_eq!(platform.published("f"), instances, "what was claimed is the instance's, and stays");
        assert_eq!(differences(platform).await, Vec::<String>::new());
    });
    for fewer in [1, 0] {
        world.settings.warm_attachments = fewer;
        world.live(async |platform| {
            sleep(LONG).await;
            assert_eq!(differences(platform).await, Vec::<String>::new(), "with {fewer}");
            assert_eq!(platform.published("f"), instances);
        });
    }
}

fn a_fault(random: &mut StdRng) -> Rule {
    let methods = [
        Method::NetworkClaim,
        Method::NetworkWarm,
        Method::NetworkDiscard,
        Method::NetworkListWarm,
        Method::NetworkAttach,
        Method::NetworkDetach,
    ];
    let fault = match random.random_range(0..4) {
        0 => Fault::Panic,
        1 => Fault::Hang,
        2 => Fault::Delay(Duration::from_secs(1)),
        _ => Fault::Error(HostError::Failed("a scripted fault".to_owned())),
    };
    let rule = Rule::on(methods[random.random_range(0..methods.len())], fault);
    match random.random_range(0..3) {
        0 => rule,
        1 => rule.halfway(),
        _ => rule.after_effect(),
    }
}

/// Begins something, and does not wait for what comes of it.
fn step(platform: &Platform, random: &mut StdRng) {
    let name = format!("f{}", random.random_range(0..5));
    let act = random.random_range(0..9);
    let platform = platform.clone();
    match act {
        6 => drop(platform.published(&name).pop().map(|id| platform.host.exit(&id, Exit::Signal(9)))),
        7 => drop(warm(&platform).pop_first().map(|one| platform.host.spoil(&one))),
        8 => platform.host.fault(a_fault(random)),
        _ => drop(actix::spawn(async move {
            match act {
                0..=2 => drop(platform.deploy(&name, "good:1").await),
                3 | 4 => drop(platform.update(&name, "good:2").await),
                _ => drop(platform.delete(&name).await),
            }
        })),
    }
}

#[test]
fn in_whatever_order_things_start_end_go_wrong_and_are_killed_nothing_is_lost_or_left() {
    crate::matrix::hush();
    let mut claims = 0;
    for seed in 0..60 {
        let (world, mut random) = (world(), StdRng::seed_from_u64(seed));
        for _ in 0..4 {
            world.live(async |platform| {
                for _ in 0..12 {
                    step(platform, &mut random);
                    sleep(Duration::from_millis(random.random_range(0..500))).await;
                }
            });
        }
        world.host.clear_faults();
        world.host.release();
        world.live(async |platform| {
            sleep(2 * LONG).await;
            assert_eq!(differences(platform).await, Vec::<String>::new(), "seed {seed}");
        });
        let calls = world.host.calls();
        claims +=
            calls.iter().filter(|it| it.method == Method::NetworkClaim && it.phase == Phase::Ended(Ok(()))).count();
    }
    println!("{claims} were claimed");
    assert!(claims > 100, "{claims}");
}
