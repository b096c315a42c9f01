use std::time::Duration;

use actord::engine::{Mode, Refused};
use actord::function::{Generation, Phase};
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use actord::routes::NoEndpoint;
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, id, secretive, simulate};
use crate::recovers::restarted;

#[test]
fn an_update_never_leaves_the_function_without_an_instance() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image(
            "slow:2",
            Behaviour::new().pulls_in(Duration::from_secs(3)).ready_after(Duration::from_secs(4)),
        );
        platform.deploy("f", "good:1").await.unwrap();
        let old = platform.published("f");
        let watcher = platform.clone();
        let watched = actix::spawn(async move {
            let mut seen = 0;
            while watcher.published("f") == old || seen < 10 {
                assert!(!watcher.published("f").is_empty(), "nobody serves");
                seen += 1;
                sleep(Duration::from_millis(10)).await;
            }
            seen
        });
        platform.update("f", "slow:2").await.unwrap();
        assert!(watched.await.unwrap() > 500);
        platform.tidy(&["f"]).await;
        assert_eq!(platform.published("f").len(), 1);
    });
}

#[test]
fn an_update_whose_image_cannot_be_had_leaves_the_old_version_serving() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let before = platform.published("f");
        let refused = platform.update("f", "typo:2").await.unwrap_err();
        assert!(matches!(&refused, Refused::Unrunnable(reason) if reason.contains("typo:2")), "{refused}");
        assert_eq!(platform.published("f"), before);
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.serving, status.ready), (Phase::Ready, Some(Generation(1)), 1));
        let stored = platform.store.get(&id("f")).await.unwrap().unwrap();
        assert_eq!(Some(&stored), status.desired.as_ref());
        assert_eq!((stored.spec.image.as_str(), stored.generation), ("good:1", Generation(1)));
        let refusal = stored.refused.unwrap();
        assert_eq!((refusal.image.as_str(), refusal.generation), ("typo:2", Generation(2)));
        assert!(refusal.reason.contains("typo:2"), "{refusal:?}");
        platform.update("f", "good:2").await.unwrap();
        assert_eq!(platform.phase("f").await, Some(Phase::Ready));
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_request_in_flight_finishes_on_the_old_instance_before_that_is_torn_down() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        platform.update("f", "good:2").await.unwrap();
        sleep(Duration::from_secs(30)).await;
        assert!(platform.host.running().contains(lease.instance()), "torn down under a request");
        assert_ne!(platform.published("f"), [lease.instance().clone()]);
        drop(lease);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_request_that_never_ends_holds_the_old_instance_no_longer_than_the_drain_timeout() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        platform.update("f", "good:2").await.unwrap();
        sleep(Duration::from_secs(61)).await;
        platform.until("the old one is gone", async |p| !p.host.running().contains(lease.instance())).await;
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn an_old_process_that_takes_long_to_die_delays_neither_the_answer_nor_the_next_update() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("watchdog:1", Behaviour::new().ignores_term_for(Duration::from_secs(29)));
        platform.deploy("f", "watchdog:1").await.unwrap();
        let began = Instant::now();
        platform.update("f", "good:2").await.unwrap();
        platform.update("f", "good:3").await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn an_update_to_what_is_there_already_starts_nothing() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.update("f", "good:1").await.unwrap();
        assert_eq!(platform.host.count(Method::RuntimeCreate), 1);
    });
}

#[test]
fn an_update_that_never_gets_ready_is_given_up_and_says_why() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("mute:2", Behaviour::new().never_ready());
        platform.deploy("f", "good:1").await.unwrap();
        let before = platform.published("f");
        platform.update("f", "mute:2").await.unwrap();
        platform.until("it is given up", async |p| p.phase("f").await == Some(Phase::Failed)).await;
        assert_eq!(platform.published("f"), before);
        let reason = platform.view("f").await.unwrap().status.failure.unwrap().reason;
        assert!(reason.contains("not ready"), "{reason}");
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn replicas_are_updated_one_by_one() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.scale("f", 4).await.unwrap();
        platform.until("four serve", async |p| p.published("f").len() == 4).await;
        let watcher = platform.clone();
        let watched = actix::spawn(async move {
            for _ in 0..1000 {
                let serving = watcher.published("f").len();
                assert!((4..=5).contains(&serving), "{serving} serve");
                sleep(Duration::from_millis(10)).await;
            }
        });
        platform.host.publish_image("slow:2", Behaviour::new().ready_after(Duration::from_secs(1)));
        platform.update("f", "slow:2").await.unwrap();
        watched.await.unwrap();
        platform.tidy(&["f"]).await;
        assert_eq!(platform.published("f").len(), 4);
    });
}

#[test]
fn requests_wait_for_the_first_instance_and_are_refused_when_it_takes_too_long() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("slow:1", Behaviour::new().ready_after(Duration::from_secs(35)));
        platform.deploy("f", "slow:1").await.unwrap();
        assert!(matches!(platform.routes.lease(&id("f")).await, Err(NoEndpoint::NotReady(..))));
        assert!(platform.routes.lease(&id("f")).await.is_ok());
    });
}

#[test]
fn an_update_that_fails_after_its_answer_is_kept_and_the_last_good_version_serves_also_after_a_restart() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        // The registry takes longer than a deploy is waited for, and then has no such image.
        platform.host.fault(Rule::on(Method::ImagesEnsure, Fault::Delay(Duration::from_secs(40))));
        platform.update("f", "typo:2").await.unwrap();
        platform.until("it has failed", async |p| p.phase("f").await == Some(Phase::Failed)).await;
        for platform in [platform.clone(), restarted(&platform).await] {
            platform.until("the old one serves", async |p| p.published("f").len() == 1).await;
            let status = platform.view("f").await.unwrap().status;
            let desired = status.desired.unwrap();
            assert_eq!((status.phase, status.serving), (Phase::Failed, Some(Generation(1))));
            assert_eq!((desired.spec.image.as_str(), desired.serving_spec().image.as_str()), ("typo:2", "good:1"));
            assert!(desired.refused.is_none(), "its caller was told that it is accepted");
        }
    });
}

#[test]
fn a_crash_before_a_refused_update_is_undone_leaves_one_that_failed() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.host.fault(Rule::on(Method::ImagesEnsure, Fault::Delay(Duration::from_secs(10))));
        let updating = platform.clone();
        let update = actix::spawn(async move { updating.update("f", "typo:2").await });
        sleep(Duration::from_secs(5)).await;
        update.abort();
        platform.host.clear_faults();
        let second = restarted(&platform).await;
        second.until("it has failed", async |p| p.phase("f").await == Some(Phase::Failed)).await;
        second.until("the old one serves", async |p| p.published("f").len() == 1).await;
        assert_eq!(second.view("f").await.unwrap().status.serving, Some(Generation(1)));
    });
}

#[test]
fn many_callers_of_refused_updates_are_all_told_and_a_delete_meanwhile_frees_the_name() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.host.fault(Rule::on(Method::ImagesEnsure, Fault::Delay(Duration::from_secs(3))));
        let updates = (0..20).map(|n| {
            let platform = platform.clone();
            async move { platform.update("f", &format!("typo:{n}")).await }
        });
        let answers = futures_util::future::join_all(updates).await;
        let refused = |answer: &Result<(), Refused>| matches!(answer, Err(Refused::Unrunnable(_)));
        assert!(answers.iter().any(refused), "{answers:?}");
        assert!(answers.iter().all(|answer| answer.is_ok() || refused(answer)), "{answers:?}");
        // The record before the last refused one is on trial again, and fails in its turn.
        let serves_the_good_one =
            async |p: &Platform| p.view("f").await.unwrap().status.desired.unwrap().serving_spec().image == "good:1";
        platform.until("what was accepted has failed, too", serves_the_good_one).await;
        let updating = platform.clone();
        let update = actix::spawn(async move { updating.update("f", "typo:99").await });
        sleep(Duration::from_secs(1)).await;
        platform.delete("f").await.unwrap();
        let _ = update.await.unwrap();
        assert_eq!(platform.view("f").await, None);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_refused_update_is_undone_though_a_secret_of_the_version_before_is_gone() {
    simulate(async {
        let platform = Platform::start().await;
        platform.write_secret("db", "one");
        platform.host.publish_image("mute:1", Behaviour::new().never_ready());
        platform.apply(Mode::Create, "f", secretive("mute:1", &["db"])).await.unwrap();
        platform.host.fault(Rule::on(Method::ImagesEnsure, Fault::Delay(Duration::from_secs(3))));
        let updating = platform.clone();
        let update = actix::spawn(async move { updating.update("f", "typo:2").await });
        sleep(Duration::from_secs(1)).await;
        platform.secrets.remove(&id("f").namespace, &"db".parse().unwrap()).unwrap();
        let answer = update.await.unwrap();
        assert!(matches!(&answer, Err(Refused::Unrunnable(reason)) if reason.contains("typo:2")), "{answer:?}");
        let kept = platform.store.get(&id("f")).await.unwrap().unwrap();
        assert_eq!((kept.spec.image.as_str(), kept.is_put_back()), ("mute:1", true));
    });
}

#[test]
fn an_update_that_cannot_be_undone_is_shown_as_failed_and_the_old_version_serves() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.host.fault(Rule::on(Method::ImagesEnsure, Fault::Delay(Duration::from_secs(3))));
        let updating = platform.clone();
        let update = actix::spawn(async move { updating.update("f", "typo:2").await });
        sleep(Duration::from_secs(1)).await;
        platform.store.refuse_writes(true).await.unwrap();
        assert!(matches!(update.await.unwrap(), Err(Refused::Full(_) | Refused::Failed(_))));
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.serving), (Phase::Failed, Some(Generation(1))));
        assert_eq!(status.desired.unwrap().serving_spec().image, "good:1");
        platform.store.refuse_writes(false).await.unwrap();
        platform
            .until("it is kept as failed", async |p| p.store.get(&id("f")).await.unwrap().unwrap().failed.is_some())
            .await;
    });
}
