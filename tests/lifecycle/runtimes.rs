//! The OCI runtimes that functions may choose: what the operator lists, and what becomes of a function when the list changes.

use actord::actors::Settings;
use actord::engine::{Mode, Refused};
use actord::function::{Phase, RuntimeName, RuntimeNames, Spec, SpecDraft};
use actord::host::fake::Method;

use crate::platform::{Platform, draft, simulate};

fn settings(default: &str, others: &[&str]) -> Settings {
    let name = |text: &str| text.parse::<RuntimeName>().unwrap();
    let runtimes = RuntimeNames::new(name(default), others.iter().map(|other| name(other)));
    Settings { runtimes, ..Settings::default() }
}

fn with(runtime: &str) -> Spec {
    let annotations = [("actord.runtime".to_owned(), runtime.to_owned())].into();
    SpecDraft { annotations, ..draft("good:1") }.try_into().unwrap()
}

#[test]
fn a_runtime_that_is_not_listed_is_refused_before_anything_is_touched_and_those_that_are_are_named() {
    simulate(async {
        let platform = Platform::start_with(settings("runc", &["gvisor"])).await;
        platform.apply(Mode::Create, "f", with("gvisor")).await.unwrap();
        let (made, pulled) = (platform.host.count(Method::RuntimeCreate), platform.host.count(Method::ImagesEnsure));
        for (mode, name) in [(Mode::Create, "g"), (Mode::Update, "f")] {
            let refused = platform.apply(mode, name, with("kata")).await.unwrap_err();
            let told =
                matches!(&refused, Refused::Invalid(why) if why.0.contains("kata") && why.0.contains("gvisor, runc"));
            assert!(told, "{refused:?}");
        }
        assert_eq!((platform.phase("g").await, platform.phase("f").await), (None, Some(Phase::Ready)));
        assert_eq!(platform.host.count(Method::RuntimeCreate), made);
        assert_eq!(platform.host.count(Method::ImagesEnsure), pulled);
        platform.apply(Mode::Update, "f", with("runc")).await.unwrap();
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_default_that_is_a_sandbox_can_not_be_left() {
    simulate(async {
        let platform = Platform::start_with(settings("gvisor", &[])).await;
        for runtime in ["runc", "builtin"] {
            let refused = platform.apply(Mode::Create, "f", with(runtime)).await.unwrap_err();
            assert!(refused.to_string().ends_with("it has gvisor"), "{refused}");
        }
        platform.deploy("f", "good:1").await.unwrap();
        platform.apply(Mode::Create, "g", with("gvisor")).await.unwrap();
        platform.tidy(&["f", "g"]).await;
    });
}

#[test]
fn what_runs_is_adopted_when_its_runtime_is_not_listed_any_more() {
    simulate(async {
        let before = Platform::start_with(settings("runc", &["gvisor"])).await;
        before.apply(Mode::Create, "f", with("gvisor")).await.unwrap();
        let serving = before.published("f");
        let (host, store, dir) = (before.host.clone(), before.store.clone(), before.dir.clone());
        drop(before);
        let platform = Platform::boot_on(host, store, dir, settings("runc", &[])).await;
        platform.until("it serves", async |p| p.published("f") == serving).await;
        assert_eq!(platform.host.running(), serving.into_iter().collect(), "it is the same one");
        platform.tidy(&["f"]).await;
    });
}
