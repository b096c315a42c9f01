//! What the machine may take: a number of functions, and the memory that they request.

use actord::actors::Settings;
use actord::engine::{Engine as _, Mode, Refused};
use actord::function::{Resources, Spec, SpecDraft};
use actord::host::fake::{FakeHost, Method};
use actord::store::Store;

use crate::platform::{Platform, id, simulate, spec};

const MIB: u64 = 1 << 20;

fn requesting(image: &str, memory: &str) -> Spec {
    let requests = Some(Resources { memory: Some(memory.to_owned()), ..Resources::default() });
    SpecDraft { image: image.into(), requests, ..SpecDraft::default() }.try_into().unwrap()
}

async fn with(settings: Settings) -> Platform {
    Platform::start_with(settings).await
}

fn memory(mib: u64) -> Settings {
    Settings { max_memory_requests: mib * MIB, ..Settings::default() }
}

fn words(refused: Result<(), Refused>) -> String {
    match refused {
        Err(Refused::Full(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_requests_more_memory_than_is_left_is_refused_in_words_before_it_is_written_or_pulled() {
    simulate(async {
        let platform = with(memory(1000)).await;
        let deploy =
            async |name: &str, memory: &str| platform.apply(Mode::Create, name, requesting("good:1", memory)).await;
        deploy("a", "400Mi").await.unwrap();
        platform.scale("a", 2).await.unwrap();
        let asked = platform.host.count(Method::ImagesEnsure);
        let said = words(deploy("b", "201Mi").await);
        for part in ["function b", "201 MiB", "1 replicas", "200 of 1000 MiB", "max-memory-requests"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!((platform.view("b").await, platform.host.count(Method::ImagesEnsure)), (None, asked));
        assert_eq!(platform.store.get(&id("b")).await.unwrap(), None);
        deploy("b", "200Mi").await.unwrap();
        // What requests nothing takes nothing.
        platform.deploy("c", "good:1").await.unwrap();

        // An update counts in the place of what there was, and one that asks for no more is never refused.
        let update = async |name: &str, image: &str, memory: &str| {
            platform.apply(Mode::Update, name, requesting(image, memory)).await
        };
        let said = words(update("b", "good:2", "300Mi").await);
        assert!(said.contains("300 MiB") && said.contains("200 of 1000 MiB"), "{said}");
        platform.scale("a", 9).await.unwrap();
        update("b", "good:2", "200Mi").await.unwrap();
        words(deploy("d", "1Mi").await);
        platform.delete("a").await.unwrap();
        deploy("d", "800Mi").await.unwrap();
        words(deploy("e", "1Mi").await);
        for name in ["b", "c", "d"] {
            platform.delete(name).await.unwrap();
        }
        platform.tidy(&[]).await;
    });
}

#[test]
fn a_function_beyond_the_number_is_refused_and_one_that_is_there_is_updated() {
    simulate(async {
        let platform = with(Settings { max_functions: 2, ..Settings::default() }).await;
        platform.deploy("a", "good:1").await.unwrap();
        platform.deploy("b", "good:1").await.unwrap();
        let said = words(platform.deploy("c", "good:1").await);
        assert!(
            said.contains("function c") && said.contains("2 are deployed") && said.contains("max-functions"),
            "{said}"
        );
        platform.update("b", "good:2").await.unwrap();
        platform.delete("a").await.unwrap();
        platform.deploy("c", "good:1").await.unwrap();
        platform.tidy(&["b", "c"]).await;
    });
}

#[test]
fn of_many_deploys_at_once_no_more_are_admitted_than_fit() {
    simulate(async {
        let platform = with(memory(1000)).await;
        let names: Vec<String> = (0..20).map(|n| format!("f{n}")).collect();
        let deploys = names.iter().map(|name| platform.apply(Mode::Create, name, requesting("good:1", "300Mi")));
        let done = futures_util::future::join_all(deploys).await;
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 3);
        assert_eq!(
            done.into_iter().filter_map(Result::err).filter(|error| matches!(error, Refused::Full(_))).count(),
            17
        );
    });
}

#[test]
fn what_could_not_be_written_or_was_refused_later_takes_nothing_and_a_restart_counts_anew() {
    simulate(async {
        let platform = with(memory(1000)).await;
        platform.host.fill_disk(Some("full"));
        words(platform.apply(Mode::Create, "a", requesting("good:1", "900Mi")).await);
        platform.host.fill_disk(None);
        platform.store.refuse_writes(true).await.unwrap();
        platform.apply(Mode::Create, "a", requesting("good:1", "900Mi")).await.unwrap_err();
        platform.store.refuse_writes(false).await.unwrap();
        // The registry does not have it: what was put back is what counts.
        platform.apply(Mode::Create, "a", requesting("good:9", "900Mi")).await.unwrap_err();
        platform.apply(Mode::Create, "a", requesting("good:1", "600Mi")).await.unwrap();
        platform.apply(Mode::Update, "a", requesting("good:9", "900Mi")).await.unwrap_err();
        platform.apply(Mode::Create, "b", requesting("good:1", "400Mi")).await.unwrap();

        let (host, store, dir): (FakeHost, Store, _) =
            (platform.host.clone(), platform.store.clone(), platform.dir.clone());
        let platform = Platform::boot_on(host, store, dir, memory(1000)).await;
        words(platform.apply(Mode::Create, "c", requesting("good:1", "1Mi")).await);
        platform.engine.delete(&id("b")).await.unwrap();
        platform.apply(Mode::Create, "c", requesting("good:1", "400Mi")).await.unwrap();
        platform.apply(Mode::Create, "d", spec("good:1")).await.unwrap();
    });
}
