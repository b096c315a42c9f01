//! Functions that may not send to all: each instance of theirs is restricted before there is anything in it.

use std::time::Duration;

use actord::actors::Settings;
use actord::engine::Mode;
use actord::function::{Outbound, Phase, Spec, SpecDraft};
use actord::host::HostError;
use actord::host::fake::{Fault, Method, Phase as CallPhase, Rule, Subject};

use crate::platform::{Platform, draft, simulate};

fn with(outbound: &str) -> Spec {
    let annotations = [("actord.outbound".to_owned(), outbound.to_owned())].into();
    SpecDraft { annotations, ..draft("good:1") }.try_into().unwrap()
}

/// What the running instances of a function were restricted to.
fn restricted(platform: &Platform, name: &str) -> Vec<Option<Outbound>> {
    platform.published(name).iter().map(|id| platform.host.restricted(id)).collect()
}

/// Whether each container that was made was restricted before.
fn each_came_first(platform: &Platform) -> bool {
    let calls = platform.host.calls();
    let first = |method, phase: &CallPhase, subject: &Subject| {
        calls.iter().position(|it| it.method == method && it.phase == *phase && it.subject == *subject)
    };
    let mut made = calls.iter().filter(|it| it.method == Method::RuntimeCreate && it.phase == CallPhase::Began);
    made.all(|it| {
        let done = first(Method::NetworkRestrict, &CallPhase::Ended(Ok(())), &it.subject);
        done.is_some() && done < first(Method::RuntimeCreate, &CallPhase::Began, &it.subject)
    })
}

#[test]
fn each_instance_is_restricted_before_it_is_made_whether_its_network_was_warm_or_not() {
    for warm_attachments in [0, 4] {
        simulate(async move {
            let platform = Platform::start_with(Settings { warm_attachments, ..Settings::default() }).await;
            let warm = async |p: &Platform| p.host.leftovers().warm.len() == warm_attachments;
            platform.until("the pool is full", warm).await;
            platform.apply(Mode::Create, "f", with("192.0.2.0/24:443")).await.unwrap();
            platform.scale("f", 2).await.unwrap();
            platform.until("there are two", async |p| p.published("f").len() == 2).await;
            let places: Outbound = "192.0.2.0/24:443".parse().unwrap();
            assert_eq!(restricted(&platform, "f"), [Some(places.clone()), Some(places)]);
            platform.apply(Mode::Update, "f", with("none")).await.unwrap();
            platform.until("the new ones serve alone", async |p| p.host.running().len() == 2).await;
            let none = Some(Outbound::Only(Vec::new()));
            assert_eq!(restricted(&platform, "f"), [none.clone(), none]);
            assert!(each_came_first(&platform));
            // What may send to all is not asked about.
            let asked = platform.host.count(Method::NetworkRestrict);
            platform.apply(Mode::Update, "f", with("all")).await.unwrap();
            platform.deploy("g", "good:1").await.unwrap();
            assert_eq!(platform.host.count(Method::NetworkRestrict), asked);
            platform.tidy(&["f", "g"]).await;
        });
    }
}

#[test]
fn what_can_not_be_restricted_is_not_made_and_is_tried_again_and_a_restart_leaves_what_runs_as_it_is() {
    simulate(async {
        let platform = Platform::start().await;
        let broken = Fault::Error(HostError::Failed("no such filter".to_owned()));
        platform.host.fault(Rule::on(Method::NetworkRestrict, broken).times(2));
        platform.apply(Mode::Create, "f", with("none")).await.unwrap();
        platform.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        assert_eq!(platform.host.count(Method::NetworkRestrict), 3);
        assert_eq!(platform.host.count(Method::RuntimeCreate), 1);
        assert!(each_came_first(&platform));
        let (host, store, dir) = (platform.host.clone(), platform.store.clone(), platform.dir.clone());
        let serving = platform.published("f");
        drop(platform);
        let platform = Platform::boot_on(host, store, dir, Settings::default()).await;
        platform.until("it serves", async |p| p.published("f") == serving).await;
        assert_eq!(restricted(&platform, "f"), [Some(Outbound::Only(Vec::new()))]);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_machine_that_can_not_tell_places_apart_refuses_the_deploy_and_keeps_nothing() {
    simulate(async {
        let platform = Platform::start().await;
        let unable = HostError::Spec("annotation actord.outbound: take it away".to_owned());
        platform.host.fault(Rule::on(Method::NetworkRestrict, Fault::Error(unable)).always());
        let refused = platform.apply(Mode::Create, "f", with("none")).await.unwrap_err();
        assert!(refused.to_string().contains("take it away"), "{refused:?}");
        assert_eq!(platform.host.count(Method::RuntimeCreate), 0);
        tokio::time::sleep(Duration::from_secs(60)).await;
        platform.tidy(&[]).await;
    });
}
