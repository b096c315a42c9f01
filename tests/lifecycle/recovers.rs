use std::time::Duration;

use actord::actors::Settings;
use actord::function::{Exit, Phase};
use actord::host::fake::{Behaviour, FakeHost, Method, Phase as CallPhase};
use actord::store::Store;

use tokio::time::sleep;

use crate::platform::{Platform, id, simulate};

/// Another actord on the same machine and store, after the first one was killed.
pub(crate) async fn restarted(platform: &Platform) -> Platform {
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
        let desired = status.desired.unwrap();
        assert_eq!((desired.spec.image.as_str(), status.serving.unwrap().0), ("good:1", 1));
        assert!(desired.refused.unwrap().reason.contains("typo:2"));
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

#[test]
fn what_was_called_last_is_started_first() {
    simulate(async {
        let first = Platform::start().await;
        for name in ["a", "b", "c", "d"] {
            first.deploy(name, "good:1").await.unwrap();
        }
        let noted = Duration::from_secs(1200);
        for (name, at) in [("c", 1), ("a", 2), ("d", 3)] {
            drop(first.routes.lease(&id(name)).await.unwrap());
            first.store.note_uses(first.routes.take_used(), at).await.unwrap();
        }
        sleep(noted).await;
        drop(first.routes.lease(&id("c")).await.unwrap());
        sleep(noted).await;
        let one_by_one = Settings { parallel_starts: 1, ..Settings::default() };
        // A machine that was started anew: of what ran before nothing is there but the store.
        let machine = FakeHost::new();
        machine.publish_image("good:1", Behaviour::new());
        let second = Platform::boot(machine, first.store.clone(), one_by_one).await;
        for name in ["a", "b", "c", "d"] {
            second.until("it serves", async |p| p.phase(name).await == Some(Phase::Ready)).await;
        }
        let order: Vec<String> = second
            .host
            .calls()
            .into_iter()
            .filter(|call| call.method == Method::RuntimeCreate && call.phase == CallPhase::Began)
            .map(|call| format!("{:?}", call.subject))
            .collect();
        let at = |name: &str| {
            let instance = second.published(name).remove(0);
            order.iter().position(|created| created.contains(instance.as_str()))
        };
        assert!(at("c") < at("d") && at("d") < at("a") && at("a") < at("b"), "{order:?}");
    });
}

#[test]
fn invocation_counts_survive_a_restart_and_not_a_deletion() {
    simulate(async {
        let first = Platform::start().await;
        let call = |platform: &Platform, name: &str| {
            platform.routes.find(&id(name)).unwrap().count_call(Duration::ZERO, false);
        };
        let calls = |platform: &Platform, name: &str| platform.routes.find(&id(name)).unwrap().calls();
        for name in ["kept", "made-again"] {
            first.deploy(name, "good:1").await.unwrap();
            call(&first, name);
            call(&first, name);
        }
        sleep(Duration::from_secs(6)).await;
        first.delete("made-again").await.unwrap();
        first.deploy("made-again", "good:1").await.unwrap();
        call(&first, "kept");
        sleep(Duration::from_secs(6)).await;
        let second = restarted(&first).await;
        for name in ["kept", "made-again"] {
            second.until("it serves", async |p| p.phase(name).await == Some(Phase::Ready)).await;
        }
        assert_eq!((calls(&second, "kept"), calls(&second, "made-again")), (3, 0));
        call(&second, "kept");
        actord::actors::keep_invocations(&second.store, &second.routes).await.unwrap();
        let third = restarted(&second).await;
        assert_eq!(calls(&third, "kept"), 4, "what is kept at the end is not lost");
    });
}

#[test]
fn a_function_answers_within_the_time_that_it_asks_for() {
    simulate(async {
        let platform = Platform::start().await;
        let mut spec = crate::platform::draft("good:1");
        spec.annotations.insert("com.openfaas.upstream.timeout".into(), "5m".into());
        platform.apply(actord::engine::Mode::Create, "f", spec.try_into().unwrap()).await.unwrap();
        let limit = |platform: &Platform| platform.routes.find(&id("f")).unwrap().limit().or(Duration::from_secs(60));
        assert_eq!(limit(&platform), Duration::from_secs(300));
        let second = restarted(&platform).await;
        second.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        assert_eq!(limit(&second), Duration::from_secs(300));
        let mut broken = crate::platform::draft("typo:1");
        broken.env_vars.insert("exec_timeout".into(), "10m".into());
        second.apply(actord::engine::Mode::Update, "f", broken.try_into().unwrap()).await.unwrap_err();
        assert_eq!(limit(&second), Duration::from_secs(300), "the version before serves on");
        second.update("f", "good:2").await.unwrap();
        assert_eq!(limit(&second), Duration::from_secs(60));
    });
}

#[test]
fn a_function_that_wants_no_request_twice_is_known_for_it_as_long_as_that_version_serves() {
    simulate(async {
        let platform = Platform::start().await;
        let mut spec = crate::platform::draft("good:1");
        spec.annotations.insert("actord.resend".into(), "false".into());
        platform.apply(actord::engine::Mode::Create, "f", spec.try_into().unwrap()).await.unwrap();
        let may = |platform: &Platform| platform.routes.find(&id("f")).unwrap().may_resend();
        assert!(!may(&platform));
        let second = restarted(&platform).await;
        second.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        assert!(!may(&second));
        second.update("f", "good:2").await.unwrap();
        assert!(may(&second));
    });
}

#[test]
fn a_function_that_asks_for_a_token_is_guarded_from_the_update_that_adds_it_to_the_one_that_serves_without() {
    use actord::engine::Mode;
    simulate(async {
        let platform = Platform::start().await;
        let guarded = |image: &str| {
            let mut spec = crate::platform::draft(image);
            spec.annotations.insert("actord.auth".into(), "token".into());
            spec.try_into().unwrap()
        };
        let asks = |platform: &Platform| platform.routes.find(&id("f")).unwrap().asks_for_token();
        platform.deploy("f", "good:1").await.unwrap();
        assert!(!asks(&platform));
        // One that fails leaves what serves as it was.
        platform.apply(Mode::Update, "f", guarded("typo:1")).await.unwrap_err();
        assert!(!asks(&platform));
        platform.apply(Mode::Update, "f", guarded("good:2")).await.unwrap();
        assert!(asks(&platform));
        let second = restarted(&platform).await;
        assert!(asks(&second), "from the first moment on");
        second.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        // While the version that takes it away comes up, the one that asks for it serves.
        second.host.publish_image("slow:3", actord::host::fake::Behaviour::new().ready_after(Duration::from_secs(5)));
        let (update, watch) = (second.update("f", "slow:3"), async {
            sleep(Duration::from_secs(2)).await;
            asks(&second)
        });
        let (updated, asked) = tokio::join!(update, watch);
        updated.unwrap();
        assert!(asked && !asks(&second));
    });
}

#[test]
fn a_guard_that_was_accepted_stays_up_where_the_update_that_adds_it_fails_later() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let serving = platform.published("f");
        let late = actord::host::fake::Behaviour::new().pulls_in(Duration::from_secs(60)).hopeless("no entrypoint");
        platform.host.publish_image("late:2", late);
        let mut spec = crate::platform::draft("late:2");
        spec.annotations.insert("actord.auth".into(), "token".into());
        // It is accepted when the wait for it is over, before it fails.
        platform.apply(actord::engine::Mode::Update, "f", spec.try_into().unwrap()).await.unwrap();
        platform.until("it has failed", async |p| p.phase("f").await == Some(Phase::Failed)).await;
        assert_eq!(platform.published("f"), serving, "the one before serves");
        assert!(platform.routes.find(&id("f")).unwrap().asks_for_token());
        platform.update("f", "good:3").await.unwrap();
        assert!(!platform.routes.find(&id("f")).unwrap().asks_for_token());
    });
}
