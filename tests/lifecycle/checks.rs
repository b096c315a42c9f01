use std::time::Duration;

use actord::actors::Settings;
use actord::engine::Mode;
use actord::function::{InstanceId, Phase, Spec, SpecDraft};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use actord::routes::NoEndpoint;
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, id, simulate};

fn annotated(image: &str, annotations: &[(&str, &str)]) -> Spec {
    let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    SpecDraft { image: image.into(), annotations, ..SpecDraft::default() }.try_into().unwrap()
}

fn with_env(image: &str, name: &str, value: &str) -> Spec {
    let env_vars = [(name.to_owned(), value.to_owned())].into();
    SpecDraft { image: image.into(), env_vars, ..SpecDraft::default() }.try_into().unwrap()
}

/// Whatever this instance is asked, it answers badly.
fn fails_its_checks(platform: &Platform, instance: &InstanceId) {
    let sick = Fault::Error(HostError::Failed("GET /: answered 503".into()));
    platform.host.fault(Rule::on(Method::ProbeAsk, sick).only(instance).always());
}

const READY: &[(&str, &str)] = &[
    ("com.openfaas.ready.http.path", "/ready"),
    ("com.openfaas.ready.http.periodSeconds", "2"),
    ("com.openfaas.ready.http.successThreshold", "2"),
];
const HEALTH: &[(&str, &str)] = &[("com.openfaas.health.http.path", "/live")];

#[test]
fn an_instance_that_is_not_ready_for_a_while_gets_no_requests_until_it_is() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", annotated("good:1", READY)).await.unwrap();
        let instance = platform.published("f").remove(0);
        let began = Instant::now();
        fails_its_checks(&platform, &instance);
        platform.until("it is retracted", async |p| p.published("f").is_empty()).await;
        assert!(began.elapsed() >= Duration::from_secs(4), "after three bad answers: {:?}", began.elapsed());
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.ready, status.restarts), (Phase::Unready, 0, 0));
        assert!(status.failure.unwrap().reason.contains("503"));
        assert!(matches!(platform.routes.lease(&id("f")).await, Err(NoEndpoint::NotReady(..))), "parked");
        assert!(platform.host.running().contains(&instance), "it goes on running");

        let parked = platform.clone();
        let waits = actix::spawn(async move { parked.routes.lease(&id("f")).await });
        sleep(Duration::from_secs(1)).await;
        platform.host.clear_faults();
        assert_eq!(waits.await.unwrap().unwrap().instance(), &instance, "its parked requests come through");
        assert_eq!(platform.phase("f").await, Some(Phase::Ready));
        assert_eq!(platform.host.count(Method::RuntimeStart), 1);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn without_a_path_nobody_is_asked_again_once_it_serves() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let asked = platform.host.count(Method::ProbeAsk);
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(platform.host.count(Method::ProbeAsk), asked);
    });
}

#[test]
fn other_replicas_serve_while_one_is_not_ready() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", annotated("good:1", READY)).await.unwrap();
        platform.scale("f", 3).await.unwrap();
        platform.until("three serve", async |p| p.published("f").len() == 3).await;
        let one = platform.published("f").remove(0);
        fails_its_checks(&platform, &one);
        platform.until("it is retracted", async |p| p.published("f").len() == 2).await;
        for _ in 0..6 {
            assert_ne!(platform.routes.lease(&id("f")).await.unwrap().instance(), &one);
        }
        sleep(Duration::from_secs(600)).await;
        assert_eq!(platform.host.count(Method::RuntimeStart), 3, "nobody replaced it");
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn an_instance_that_is_not_well_is_replaced_and_the_reason_kept() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", annotated("good:1", HEALTH)).await.unwrap();
        sleep(Duration::from_secs(60)).await;
        let sick = platform.published("f").remove(0);
        fails_its_checks(&platform, &sick);
        platform.until("another one serves", async |p| p.published("f").iter().any(|id| *id != sick)).await;
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.restarts), (Phase::Ready, 1));
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_single_bad_answer_replaces_nobody() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", annotated("good:1", HEALTH)).await.unwrap();
        let hiccup = || Fault::Error(HostError::Failed("GET /live: answered 500".into()));
        for _ in 0..10 {
            platform.host.fault(Rule::on(Method::ProbeAsk, hiccup()).times(2));
            sleep(Duration::from_secs(20)).await;
        }
        assert_eq!(platform.view("f").await.unwrap().status.restarts, 0);
    });
}

#[test]
fn a_start_waits_for_the_initial_delay_and_for_as_many_good_answers_as_it_should() {
    simulate(async {
        let platform = Platform::start().await;
        let slow = [
            ("com.openfaas.ready.http.path", "/ready"),
            ("com.openfaas.ready.http.initialDelay", "5s"),
            ("com.openfaas.ready.http.period", "2s"),
            ("com.openfaas.ready.http.successThreshold", "3"),
        ];
        let began = Instant::now();
        platform.apply(Mode::Create, "f", annotated("good:1", &slow)).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 9);
        assert_eq!(platform.host.count(Method::ProbeAsk), 3);
    });
}

#[test]
fn an_instance_that_is_not_ready_when_actord_returns_is_adopted_and_not_killed() {
    simulate(async {
        let first = Platform::start().await;
        first.apply(Mode::Create, "f", annotated("good:1", READY)).await.unwrap();
        let instance = first.published("f").remove(0);
        fails_its_checks(&first, &instance);
        first.until("it is retracted", async |p| p.published("f").is_empty()).await;
        let second = Platform::boot(first.host.clone(), first.store.clone(), Settings::default()).await;
        second.until("that is known", async |p| p.phase("f").await == Some(Phase::Unready)).await;
        assert!(second.host.running().contains(&instance));
        second.host.clear_faults();
        second.until("it serves", async |p| p.published("f") == [instance.clone()]).await;
        assert_eq!(second.host.count(Method::RuntimeStart), 1);
    });
}

#[test]
fn the_drain_deadline_and_the_grace_period_are_the_functions_own() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", with_env("good:1", "write_timeout", "5s")).await.unwrap();
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        let began = Instant::now();
        platform.update("f", "good:2").await.unwrap();
        platform.until("the old one is gone", async |p| !p.host.running().contains(lease.instance())).await;
        assert_eq!(began.elapsed().as_secs(), 5, "and not the usual minute");

        platform.host.publish_image("deaf:1", Behaviour::new().ignores_term());
        platform.apply(Mode::Create, "g", with_env("deaf:1", "grace_period", "90")).await.unwrap();
        let deaf = platform.published("g").remove(0);
        let began = Instant::now();
        platform.delete("g").await.unwrap();
        platform.until("it is killed", async |p| !p.host.running().contains(&deaf)).await;
        assert_eq!(began.elapsed().as_secs(), 90, "and not the usual half minute");
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_question_that_was_under_way_while_actord_was_stopped_says_nothing_of_who_was_asked() {
    for kind in ["health", "ready"] {
        simulate(async move {
            let key = |key: &str| format!("com.openfaas.{kind}.http.{key}");
            let keys = [(key("path"), "/own"), (key("timeoutSeconds"), "1"), (key("failureThreshold"), "1")];
            let impatient: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            let platform = Platform::start().await;
            platform.apply(Mode::Create, "f", annotated("good:1", &impatient)).await.unwrap();
            let instance = platform.published("f").remove(0);
            let served = Instant::now();
            for _ in 0..5 {
                platform.host.fault(Rule::on(Method::ProbeAsk, Fault::Hang).times(1));
                platform.host.called(Method::ProbeAsk, platform.host.count(Method::ProbeAsk) + 1).await;
                // For all that runs here, that is a process that gets no time for 30 s, and then finds all its times over.
                tokio::time::advance(Duration::from_secs(30)).await;
                sleep(Duration::from_secs(60)).await;
            }
            let view = platform.view("f").await.unwrap();
            assert_eq!((view.status.phase, view.status.restarts), (Phase::Ready, 0), "{kind}");
            assert!(view.in_phase_for.unwrap() >= served.elapsed(), "{kind}: it was so all the time");
            // One that really does not answer is found out as before.
            platform.host.fault(Rule::on(Method::ProbeAsk, Fault::Hang).only(&instance).always());
            let found_out = async |p: &Platform| p.published("f").first().is_none_or(|now| *now != instance);
            platform.until("it is found out", found_out).await;
        });
    }
}
