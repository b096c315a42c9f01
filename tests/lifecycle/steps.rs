use std::time::Duration;

use actord::actors::Settings;
use actord::function::{Phase, Step};
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use tokio::time::sleep;

use crate::platform::{Platform, draft, id, simulate};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_start_is_seen_in_every_step_that_takes_time() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("slow:1", Behaviour::new().pulls_in(5 * SECOND).ready_after(5 * SECOND));
        let watched = platform.clone();
        let watcher = actix::spawn(async move {
            let mut seen = Vec::new();
            while watched.phase("f").await != Some(Phase::Ready) {
                let step = watched.view("f").await.and_then(|view| view.step);
                if seen.last() != Some(&step) {
                    seen.push(step);
                }
                sleep(Duration::from_millis(10)).await;
            }
            seen.into_iter().flatten().collect::<Vec<_>>()
        });
        platform.deploy("f", "slow:1").await.unwrap();
        let seen = watcher.await.unwrap();
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!((seen.first(), seen.last()), (Some(&Step::Pulling), Some(&Step::WaitingUntilReady)));
        assert_eq!(platform.view("f").await.unwrap().step, None, "it is up");
    });
}

#[test]
fn a_registry_that_asks_to_wait_is_what_a_pull_waits_for() {
    simulate(async {
        let settings = Settings { deploy_wait: SECOND, ..Settings::default() };
        let platform = Platform::start_with(settings).await;
        platform.host.publish_image("busy:1", Behaviour::new().pulls_in(20 * SECOND).asks_to_wait(9 * SECOND));
        platform.deploy("f", "busy:1").await.unwrap();
        let view = platform.view("f").await.unwrap();
        assert_eq!(
            (view.step, view.waits_for.as_deref()),
            (Some(Step::Pulling), Some("the registry asks to wait 9 s"))
        );
        platform.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        assert_eq!(platform.view("f").await.unwrap().waits_for, None);
    });
}

#[test]
fn an_update_shows_its_step_while_the_old_version_serves() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.host.publish_image("slow:2", Behaviour::new().pulls_in(10 * SECOND));
        let updating = platform.clone();
        let update = actix::spawn(async move { updating.update("f", "slow:2").await });
        sleep(5 * SECOND).await;
        let view = platform.view("f").await.unwrap();
        let pull = view.pull.unwrap();
        assert_eq!(Some(pull.pulled * 2), pull.total, "half of its time is over");
        assert_eq!((view.step, view.status.phase, view.status.ready), (Some(Step::Pulling), Phase::Starting, 1));
        update.await.unwrap().unwrap();
        assert_eq!(platform.view("f").await.unwrap().step, None);
    });
}

#[test]
fn of_many_instances_the_one_furthest_behind_is_shown_and_a_delete_leaves_nothing() {
    simulate(async {
        let platform = Platform::start_with(Settings { parallel_starts: 1, ..Settings::default() }).await;
        platform.host.fault(Rule::on(Method::RuntimeCreate, Fault::Delay(3 * SECOND)));
        let mut two = draft("good:1");
        two.labels.insert("com.openfaas.scale.min".into(), "2".into());
        let deploying = platform.clone();
        let deploy =
            actix::spawn(
                async move { deploying.apply(actord::engine::Mode::Create, "f", two.try_into().unwrap()).await },
            );
        sleep(SECOND).await;
        assert_eq!(platform.view("f").await.unwrap().step, Some(Step::WaitingForPlace));
        platform.delete("f").await.unwrap();
        let _ = deploy.await.unwrap();
        sleep(100 * SECOND).await;
        assert!(platform.view("f").await.is_none());
        assert!(!platform.routes.is_known(&id("f")));
    });
}
