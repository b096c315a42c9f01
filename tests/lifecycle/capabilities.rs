//! The capabilities that functions may ask for: what the operator lists, and what becomes of a function when the list changes.

use std::time::Duration;

use actord::actors::Settings;
use actord::engine::{Mode, Refused};
use actord::function::{Compat32Bit, Exit, GrantableCapabilities, Phase, Spec, SpecDraft};
use actord::host::fake::{Behaviour, Method};

use crate::platform::{Platform, draft, simulate};

fn settings(listed: &[&str]) -> Settings {
    let capabilities = GrantableCapabilities::new(listed.iter().map(|name| name.parse().unwrap()));
    Settings { capabilities, ..Settings::default() }
}

fn with(capabilities: &str) -> Spec {
    let annotations = [("actord.capabilities".to_owned(), capabilities.to_owned())].into();
    SpecDraft { annotations, ..draft("good:1") }.try_into().unwrap()
}

#[test]
fn a_capability_that_is_not_listed_is_refused_before_anything_is_touched_and_those_that_are_are_named() {
    simulate(async {
        let platform = Platform::start_with(settings(&["CHOWN", "SETUID"])).await;
        platform.apply(Mode::Create, "f", with("CAP_CHOWN")).await.unwrap();
        let (made, pulled) = (platform.host.count(Method::RuntimeCreate), platform.host.count(Method::ImagesEnsure));
        for (mode, name) in [(Mode::Create, "g"), (Mode::Update, "f")] {
            let refused = platform.apply(mode, name, with("chown,SYS_ADMIN")).await.unwrap_err();
            let words = ["SYS_ADMIN", "it grants CHOWN, SETUID"];
            let told = matches!(&refused, Refused::Invalid(why) if words.iter().all(|word| why.0.contains(word)));
            assert!(told, "{refused:?}");
        }
        assert_eq!((platform.phase("g").await, platform.phase("f").await), (None, Some(Phase::Ready)));
        assert_eq!(platform.host.count(Method::RuntimeCreate), made);
        assert_eq!(platform.host.count(Method::ImagesEnsure), pulled);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn none_is_granted_unless_the_operator_lists_it() {
    simulate(async {
        let platform = Platform::start_with(Settings::default()).await;
        let refused = platform.apply(Mode::Create, "f", with("NET_BIND_SERVICE")).await.unwrap_err();
        assert!(refused.to_string().contains("does not grant NET_BIND_SERVICE, it grants none"), "{refused}");
        platform.tidy(&[]).await;
    });
}

#[test]
fn a_function_that_asks_for_the_32_bit_entry_is_refused_before_anything_is_touched_unless_the_operator_lets_it() {
    simulate(async {
        let asks = || {
            let annotations = [("actord.compat-32bit".to_owned(), "true".to_owned())].into();
            Spec::try_from(SpecDraft { annotations, ..draft("good:1") }).unwrap()
        };
        let platform = Platform::start_with(Settings::default()).await;
        let refused = platform.apply(Mode::Create, "f", asks()).await.unwrap_err();
        assert!(matches!(&refused, Refused::Invalid(why) if why.0.contains("the setting compat-32bit")), "{refused:?}");
        assert_eq!((platform.phase("f").await, platform.host.count(Method::RuntimeCreate)), (None, 0));
        platform.tidy(&[]).await;
        let settings = Settings { compat_32bit: Compat32Bit(true), ..Settings::default() };
        let platform = Platform::start_with(settings).await;
        platform.apply(Mode::Create, "f", asks()).await.unwrap();
        assert_eq!(platform.phase("f").await, Some(Phase::Ready));
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn what_runs_is_adopted_when_its_capability_is_not_listed_any_more() {
    simulate(async {
        let before = Platform::start_with(settings(&["CHOWN"])).await;
        before.apply(Mode::Create, "f", with("CHOWN")).await.unwrap();
        let serving = before.published("f");
        let (host, store, dir) = (before.host.clone(), before.store.clone(), before.dir.clone());
        drop(before);
        let platform = Platform::boot_on(host, store, dir, Settings::default()).await;
        platform.until("it serves", async |p| p.published("f") == serving).await;
        assert_eq!(platform.host.running(), serving.into_iter().collect(), "it is the same one");
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_function_that_ends_for_want_of_a_right_of_root_is_told_which_annotation_gives_it() {
    simulate(async {
        let platform = Platform::start().await;
        let said = "nginx: [emerg] setgid(101) failed (1: Operation not permitted)\n";
        platform
            .host
            .publish_image("nginx:1", Behaviour::new().exits_after(Duration::ZERO, Exit::Code(2)).writes(said));
        platform.deploy("f", "nginx:1").await.unwrap();
        let reason = platform.view("f").await.unwrap().status.failure.unwrap().reason;
        for part in ["setgid(101) failed", "actord.capabilities", "SETGID,SETUID"] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
        platform.tidy(&["f"]).await;
    });
}
