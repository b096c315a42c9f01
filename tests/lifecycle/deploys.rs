use std::time::Duration;

use actord::actors::Settings;
use actord::engine::{Mode, Refused};
use actord::function::Phase;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use actord::routes::NoEndpoint;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, draft, id, simulate, spec};

#[test]
fn a_deployed_function_is_ready_when_the_answer_comes() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        assert_eq!(platform.phase("f").await, Some(Phase::Ready));
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        assert_eq!(platform.host.address(lease.instance()), Some(lease.address()));
        assert!(platform.store.get(&id("f")).await.unwrap().is_some());
    });
}

#[test]
fn a_deploy_whose_image_cannot_be_had_is_refused_and_nothing_is_kept() {
    simulate(async {
        let platform = Platform::start().await;
        let refused = platform.deploy("f", "nowhere:1").await.unwrap_err();
        assert!(matches!(&refused, Refused::Unrunnable(reason) if reason.contains("nowhere:1")), "{refused}");
        assert_eq!(platform.view("f").await, None);
        assert_eq!(platform.store.get(&id("f")).await.unwrap(), None);
        assert!(matches!(platform.routes.lease(&id("f")).await, Err(NoEndpoint::Unknown(_))));
        platform.tidy(&[]).await;
        platform.deploy("f", "good:1").await.unwrap();
    });
}

#[test]
fn a_deploy_that_takes_longer_than_the_wait_is_answered_and_goes_on() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("slow:1", Behaviour::new().pulls_in(Duration::from_secs(50)));
        let began = Instant::now();
        platform.deploy("f", "slow:1").await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 20);
        assert_eq!(platform.phase("f").await, Some(Phase::Starting));
        platform.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
    });
}

#[test]
fn a_deploy_that_fails_after_its_answer_is_listed_as_failed_with_its_reason() {
    simulate(async {
        let platform = Platform::start().await;
        let behaviour = Behaviour::new().pulls_in(Duration::from_secs(50)).hopeless("no such entrypoint");
        platform.host.publish_image("slow:1", behaviour);
        platform.deploy("f", "slow:1").await.unwrap();
        platform.until("it failed", async |p| p.phase("f").await == Some(Phase::Failed)).await;
        let view = platform.list().await.remove(0);
        assert!(view.status.failure.unwrap().reason.contains("no such entrypoint"));
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn deploying_a_name_that_is_taken_is_refused_and_changes_nothing() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let before = platform.published("f");
        assert_eq!(platform.deploy("f", "good:2").await, Err(Refused::Exists(id("f"))));
        assert_eq!(platform.published("f"), before);
    });
}

#[test]
fn a_missing_secret_is_refused_before_anything_is_touched() {
    simulate(async {
        let platform = Platform::start().await;
        let mut wants = draft("good:1");
        wants.secrets = vec!["db".parse().unwrap()];
        let spec: actord::function::Spec = wants.try_into().unwrap();
        let refused = platform.apply(Mode::Create, "f", spec.clone()).await.unwrap_err();
        assert_eq!(refused.to_string(), "unable to find secret: db");
        let at_start = [Method::RuntimeList, Method::NetworkList, Method::NetworkListWarm, Method::LogsSweep];
        assert!(platform.host.calls().iter().all(|call| at_start.contains(&call.method)));
        platform.secrets.write(&id("f").namespace, &"db".parse().unwrap(), b"pw").unwrap();
        platform.apply(Mode::Create, "f", spec).await.unwrap();
        let instance = platform.published("f").remove(0);
        assert_eq!(platform.host.secrets(&instance)[&"db".parse().unwrap()], b"pw");
    });
}

#[test]
fn a_full_store_refuses_a_deploy_before_anything_is_touched() {
    simulate(async {
        let platform = Platform::start().await;
        platform.store.limit_pages(1).await.unwrap();
        let mut big = draft("good:1");
        big.env_vars = (0..16).map(|n| (format!("V{n}"), "x".repeat(1 << 16))).collect();
        let refused = platform.apply(Mode::Create, "f", big.try_into().unwrap()).await.unwrap_err();
        assert!(matches!(&refused, Refused::Full(reason) if reason.contains("full")), "{refused}");
        assert_eq!(platform.view("f").await, None);
        assert_eq!(platform.host.count(Method::ImagesEnsure), 0);
    });
}

#[test]
fn fifty_functions_deployed_at_once_all_serve() {
    simulate(async {
        let platform = Platform::start().await;
        let names: Vec<String> = (0..50).map(|n| format!("f{n}")).collect();
        let deploys = names.iter().map(|name| platform.deploy(name, "good:1"));
        assert!(join_all(deploys).await.iter().all(Result::is_ok));
        for name in &names {
            assert_eq!(platform.phase(name).await, Some(Phase::Ready), "{name}");
        }
        assert_eq!(platform.list().await.len(), 50);
        assert!(platform.host.most_at_once(Method::NetworkAttach) <= 4);
    });
}

#[test]
fn one_name_deployed_ten_times_at_once_ends_with_one_instance() {
    simulate(async {
        let platform = Platform::start().await;
        let answers = join_all((0..10).map(|_| platform.deploy("f", "good:1"))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(answers.iter().all(|answer| matches!(answer, Ok(()) | Err(Refused::Exists(_)))));
        assert_eq!(platform.published("f").len(), 1);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn functions_that_need_the_same_image_share_one_pull() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("slow:1", Behaviour::new().pulls_in(Duration::from_secs(5)));
        let deploys = ["a", "b", "c"].map(|name| platform.deploy(name, "slow:1"));
        assert!(join_all(deploys).await.iter().all(Result::is_ok));
        assert_eq!(platform.host.count(Method::ImagesEnsure), 1);
    });
}

#[test]
fn a_functions_own_pull_policy_goes_before_the_machines() {
    simulate(async {
        let platform = Platform::start().await;
        let with_policy = |policy: &str| {
            let mut draft = draft("good:1");
            draft.annotations.insert("com.openfaas.image.pull-policy".to_owned(), policy.to_owned());
            draft.try_into().unwrap()
        };
        let refused = platform.apply(Mode::Create, "never", with_policy("Never")).await.unwrap_err();
        assert!(refused.to_string().contains("Never"), "{refused}");
        platform.deploy("usual", "good:1").await.unwrap();
        platform.apply(Mode::Create, "never", with_policy("Never")).await.unwrap();

        // The tag moves: only who says so follows it.
        platform.host.publish_image("good:1", Behaviour::new().unpullable("the registry is away"));
        platform.deploy("present", "good:1").await.unwrap();
        let refused = platform.apply(Mode::Create, "always", with_policy("always")).await.unwrap_err();
        assert!(refused.to_string().contains("the registry is away"), "{refused}");
    });
}

#[test]
fn a_delete_is_answered_at_once_and_frees_the_name_while_the_old_process_takes_its_time() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("stubborn:1", Behaviour::new().ignores_term_for(Duration::from_secs(25)));
        platform.deploy("f", "stubborn:1").await.unwrap();
        let began = Instant::now();
        platform.delete("f").await.unwrap();
        assert_eq!(platform.view("f").await, None);
        assert!(matches!(platform.routes.lease(&id("f")).await, Err(NoEndpoint::Unknown(_))));
        platform.deploy("f", "good:1").await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_function_is_deleted_in_the_middle_of_its_pull() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("slow:1", Behaviour::new().pulls_in(Duration::from_secs(500)));
        platform.deploy("f", "slow:1").await.unwrap();
        let began = Instant::now();
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    });
}

#[test]
fn a_pull_that_no_function_wants_any_more_ends_and_gives_its_place_to_the_next() {
    simulate(async {
        let settings = Settings { parallel_pulls: 1, deploy_wait: Duration::from_secs(5), ..Settings::default() };
        let platform = Platform::start_with(settings).await;
        for image in ["slow:1", "slow:2"] {
            platform.host.publish_image(image, Behaviour::new().pulls_in(Duration::from_secs(500)));
        }
        platform.host.publish_image("quick:1", Behaviour::new().pulls_in(Duration::from_secs(1)));
        let pulling = |image: &str| platform.host.host().images.progress(image).is_some();

        // Two functions want it: it goes on until the last of them is gone.
        platform.deploy("f", "slow:1").await.unwrap();
        platform.deploy("g", "slow:1").await.unwrap();
        platform.delete("f").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(pulling("slow:1"));
        platform.delete("g").await.unwrap();
        let began = Instant::now();
        platform.deploy("h", "quick:1").await.unwrap();
        assert_eq!(platform.phase("h").await, Some(Phase::Ready));
        assert!(began.elapsed() < Duration::from_secs(3), "the place was held: {:?}", began.elapsed());
        assert!(!pulling("slow:1"));

        // The same where an update is replaced by one to another image.
        platform.update("h", "slow:2").await.unwrap();
        assert!(pulling("slow:2"));
        let began = Instant::now();
        platform.update("h", "good:2").await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "the place was held: {:?}", began.elapsed());
        assert!(!pulling("slow:2"));
        platform.tidy(&["f", "g", "h"]).await;
    });
}

#[test]
fn deleting_or_scaling_or_updating_what_is_not_there_is_not_found() {
    simulate(async {
        let platform = Platform::start().await;
        let missing = Err(Refused::NotFound(id("f")));
        assert_eq!(platform.delete("f").await, missing);
        assert_eq!(platform.scale("f", 2).await, missing);
        assert_eq!(platform.update("f", "good:1").await, missing);
        platform.deploy("f", "good:1").await.unwrap();
        platform.delete("f").await.unwrap();
        assert_eq!(platform.delete("f").await, missing);
    });
}

#[test]
fn replicas_follow_what_was_asked_and_zero_means_none() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.scale("f", 5).await.unwrap();
        platform.until("five serve", async |p| p.published("f").len() == 5).await;
        platform.scale("f", 2).await.unwrap();
        platform.until("two serve", async |p| p.published("f").len() == 2).await;
        platform.tidy(&["f"]).await;
        platform.scale("f", 0).await.unwrap();
        platform.tidy(&["f"]).await;
        assert_eq!(platform.phase("f").await, Some(Phase::Stopped));
        platform.scale("f", 1).await.unwrap();
        assert!(platform.routes.lease(&id("f")).await.is_ok());
    });
}

#[test]
fn what_fails_to_start_for_a_reason_that_may_heal_is_tried_again_until_it_works() {
    simulate(async {
        let platform = Platform::start().await;
        let broken = Fault::Error(actord::host::HostError::Failed("no more addresses".into()));
        platform.host.fault(Rule::on(Method::NetworkAttach, broken).times(3));
        platform.deploy("f", "good:1").await.unwrap();
        assert_eq!(platform.phase("f").await, Some(Phase::Ready));
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_tear_down_that_fails_is_tried_again_until_nothing_is_left() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let broken = || Fault::Error(actord::host::HostError::Failed("device busy".into()));
        platform.host.fault(Rule::on(Method::RuntimeRemove, broken()).times(2));
        platform.host.fault(Rule::on(Method::NetworkDetach, broken()).times(3));
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_burst_of_updates_ends_with_the_last_one_serving_alone() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let tags = [2, 3, 1, 2, 3, 1, 3, 2];
        let updates = tags.map(|tag| platform.apply(Mode::Update, "f", spec(&format!("good:{tag}"))));
        assert!(join_all(updates).await.iter().all(Result::is_ok));
        platform.until("it settles", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        let view = platform.view("f").await.unwrap();
        assert_eq!(view.status.desired.unwrap().spec.image, "good:2");
        platform.tidy(&["f"]).await;
        assert_eq!(platform.published("f").len(), 1);
    });
}

#[test]
fn a_process_that_never_was_ready_and_does_not_hear_sigterm_is_not_waited_for_long() {
    simulate(async {
        let platform = Platform::start().await;
        let deaf = Behaviour::new().ready_after(Duration::from_secs(500)).ignores_term();
        platform.host.publish_image("deaf:1", deaf);
        platform.deploy("f", "deaf:1").await.unwrap();
        let began = Instant::now();
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    });
}

#[test]
fn a_function_that_is_deployed_again_is_not_forgotten_by_the_timers_of_its_namesake() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        // The limit for its progress is a timer of five minutes.
        platform.update("f", "good:2").await.unwrap();
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        platform.deploy("f", "good:1").await.unwrap();
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(platform.phase("f").await, Some(Phase::Ready));
            assert_eq!(platform.published("f").len(), 1);
        }
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn twenty_updates_queued_at_once_are_three_writes_and_three_starts_and_all_are_answered() {
    simulate(async {
        let platform = Platform::start().await;
        let metrics = prometheus::Registry::new();
        platform.store.measure(&metrics).unwrap();
        let writes = || {
            let families = metrics.gather();
            let commits = families.iter().find(|family| family.name() == "actord_store_commit_seconds").unwrap();
            commits.get_metric()[0].get_histogram().get_sample_count()
        };
        platform.deploy("f", "good:1").await.unwrap();
        // A row can be read a moment before its write is counted.
        platform.until("it is kept, and then that it served", async |_| writes() == 2).await;
        for n in 0..20 {
            let image = Behaviour::new().pulls_in(Duration::from_secs(1));
            platform.host.publish_image(&format!("next:{n}"), image);
        }
        let starts = platform.host.count(Method::RuntimeCreate);
        let pulls = platform.host.count(Method::ImagesEnsure);
        let images: Vec<String> = (0..20).map(|n| format!("next:{n}")).collect();
        // The disk is slow with the first, so that all others queue behind it.
        let slow = platform.store.hold();
        let mut updates = std::pin::pin!(join_all(images.iter().map(|image| platform.update("f", image))));
        for _ in 0..1_000 {
            assert!(futures_util::poll!(&mut updates).is_pending());
            tokio::task::yield_now().await;
        }
        drop(slow);
        assert_eq!(updates.await, vec![Ok(()); 20]);
        assert!(writes() - 2 <= 3, "{} writes", writes() - 2);
        assert!(platform.host.count(Method::RuntimeCreate) - starts <= 3);
        assert!(platform.host.count(Method::ImagesEnsure) - pulls <= 3);
        let view = platform.view("f").await.unwrap();
        assert_eq!(view.status.desired.unwrap().spec.image, "next:19");
        platform.tidy(&["f"]).await;
    });
}
