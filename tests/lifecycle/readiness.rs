//! When an instance is ready that names no path: what it answers, how long that takes, and what is said of it.

use std::time::Duration;

use actord::actors::Settings;
use actord::engine::Mode;
use actord::function::{Exit, Phase, Spec, SpecDraft, Step};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, draft, simulate};

const SECOND: Duration = Duration::from_secs(1);

fn loopback(port: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn watchdog() -> Behaviour {
    Behaviour::new().env("mode", "http").env("upstream_url", "http://127.0.0.1:5000")
}

fn with_path(image: &str, path: &str) -> Spec {
    let annotations = [("com.openfaas.ready.http.path".to_owned(), path.to_owned())].into();
    SpecDraft { annotations, ..draft(image) }.try_into().unwrap()
}

/// Publishes an image and deploys it as `f`; how long that took until it served, if it did within a minute.
async fn ready_within(platform: &Platform, behaviour: Behaviour) -> Option<Duration> {
    platform.host.publish_image("app:1", behaviour);
    let began = Instant::now();
    let deploying = platform.clone();
    actix::spawn(async move { deploying.deploy("f", "app:1").await });
    while began.elapsed() < 59 * SECOND {
        if !platform.published("f").is_empty() {
            return Some(began.elapsed());
        }
        sleep(Duration::from_millis(20)).await;
    }
    None
}

#[test]
fn an_application_that_knows_no_health_path_is_ready_by_what_it_answers() {
    let note = |status: u16| format!("answered {status} to /_/health, ready because it accepts connections");
    let late = |status: u16| format!("answered {status} to /_/health, ready after 10 s because it accepts connections");
    for (status, seconds, judged) in [
        (Some(200), Some(0), None),
        (Some(204), Some(0), None),
        (Some(404), Some(0), Some(note(404))),
        (Some(405), Some(0), Some(note(405))),
        (Some(501), Some(0), Some(note(501))),
        (None, Some(0), Some("answered /_/health with no HTTP, ready because it accepts connections".to_owned())),
        (Some(302), Some(10), Some(late(302))),
        (Some(400), Some(10), Some(late(400))),
        (Some(401), Some(10), Some(late(401))),
        (Some(403), Some(10), Some(late(403))),
        (Some(418), Some(10), Some(late(418))),
        // No good version would go for it.
        (Some(500), Some(10), Some(late(500))),
        (Some(502), Some(10), Some(late(502))),
        (Some(503), None, None),
        (Some(429), None, None),
    ] {
        simulate(async {
            let platform = Platform::start().await;
            let took = ready_within(&platform, Behaviour::new().answers_from(Duration::ZERO, status)).await;
            assert_eq!(took.map(|took| took.as_secs()), seconds, "{status:?}");
            if seconds.is_some() {
                let view = platform.view("f").await.unwrap();
                assert_eq!((view.status.phase, view.judged), (Phase::Ready, judged), "{status:?}");
                sleep(600 * SECOND).await;
                assert_eq!(platform.host.count(Method::RuntimeStart), 1, "{status:?}: it is left alone");
            }
        });
    }
}

#[test]
fn not_yet_begins_the_grace_anew_and_a_better_answer_ends_it() {
    for (answers, seconds) in [
        (&[(0, Some(401)), (5, Some(503)), (8, Some(401))][..], 18),
        (&[(0, Some(401)), (5, Some(500)), (8, Some(302))], 10),
        (&[(0, Some(500)), (3, Some(200))], 3),
        (&[(0, Some(503)), (30, Some(404))], 30),
        (&[(0, Some(400)), (9, None)], 9),
    ] {
        simulate(async {
            let platform = Platform::start().await;
            let from = |app: Behaviour, (time, status): &(u32, Option<u16>)| app.answers_from(SECOND * *time, *status);
            let took = ready_within(&platform, answers.iter().fold(Behaviour::new(), from)).await;
            assert_eq!(took.map(|took| took.as_secs()), Some(seconds), "{answers:?}");
        });
    }
}

#[test]
fn a_grace_that_began_in_time_goes_on_to_its_end() {
    simulate(async {
        let platform = Platform::start_with(Settings { ready_timeout: 30 * SECOND, ..Settings::default() }).await;
        let slow = Behaviour::new().ready_after(25 * SECOND).answers(403);
        assert_eq!(ready_within(&platform, slow).await.unwrap().as_secs(), 35);
        assert_eq!(platform.host.count(Method::RuntimeStart), 1);
    });
}

#[test]
fn a_path_of_its_own_is_answered_by_200_to_399_and_nothing_else_and_without_a_grace() {
    for (status, ready) in [
        (200, true),
        (204, true),
        (302, true),
        (399, true),
        (400, false),
        (401, false),
        (404, false),
        (405, false),
        (500, false),
        (501, false),
        (503, false),
    ] {
        simulate(async {
            let platform = Platform::start().await;
            platform.host.publish_image("app:1", Behaviour::new().answers(status));
            let began = Instant::now();
            platform.apply(Mode::Create, "f", with_path("app:1", "/ready")).await.unwrap();
            let serves = platform.phase("f").await == Some(Phase::Ready);
            assert_eq!(serves, ready, "{status}");
            assert_eq!(began.elapsed() < SECOND, ready, "{status}: at once, or not within the wait");
            assert_eq!(platform.view("f").await.unwrap().judged, None);
        });
    }
}

#[test]
fn a_health_path_that_redirects_is_well() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("app:1", Behaviour::new().answers_from(SECOND, Some(302)));
        let annotations = [("com.openfaas.health.http.path".to_owned(), "/live".to_owned())].into();
        let spec = SpecDraft { annotations, ..draft("app:1") }.try_into().unwrap();
        platform.apply(Mode::Create, "f", spec).await.unwrap();
        sleep(600 * SECOND).await;
        assert_eq!(platform.view("f").await.unwrap().status.restarts, 0);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn an_update_that_answers_with_a_failure_never_takes_the_place_of_a_good_version_but_of_one_like_it() {
    for (old, new, replaced) in [
        (200, 500, false),
        (404, 500, false),
        (401, 500, false),
        (502, 500, false),
        (500, 503, false),
        (500, 500, true),
        (500, 200, true),
        (200, 401, true),
        (200, 302, true),
    ] {
        simulate(async {
            let platform = Platform::start().await;
            assert!(ready_within(&platform, Behaviour::new().answers(old)).await.is_some());
            let before = platform.published("f");
            platform.host.publish_image("app:2", Behaviour::new().answers(new));
            platform.update("f", "app:2").await.unwrap();
            sleep(400 * SECOND).await;
            assert_eq!(platform.published("f") != before, replaced, "{old} -> {new}");
            let status = platform.view("f").await.unwrap().status;
            assert_eq!(status.phase, if replaced { Phase::Ready } else { Phase::Failed }, "{old} -> {new}");
            if !replaced {
                let reason = status.failure.unwrap().reason;
                assert!(reason.contains(&format!("answered {new}")), "{reason}");
            }
            platform.tidy(&["f"]).await;
        });
    }
}

#[test]
fn how_a_version_was_judged_is_known_again_after_a_restart() {
    for status in [401, 500] {
        simulate(async {
            let first = Platform::start().await;
            assert!(ready_within(&first, Behaviour::new().answers(status)).await.is_some());
            let instance = first.published("f").remove(0);
            let began = Instant::now();
            let second = Platform::boot(first.host.clone(), first.store.clone(), Settings::default()).await;
            second.until("it is adopted", async |p| p.published("f") == [instance.clone()]).await;
            assert!(began.elapsed() < SECOND, "{status}: its requests wait for no grace");
            let judged = second.view("f").await.unwrap().judged.unwrap();
            assert!(judged.contains(&format!("answered {status} to /_/health, ready because")), "{judged}");
            // An update that is like it takes its place, and a crash heals, each after the grace.
            second.host.publish_image("app:2", Behaviour::new().answers(status));
            second.update("f", "app:2").await.unwrap();
            assert_ne!(second.published("f"), [instance], "{status}");
            sleep(60 * SECOND).await;
            second.host.exit(&second.published("f")[0], Exit::Code(1));
            sleep(20 * SECOND).await;
            assert_eq!(second.phase("f").await, Some(Phase::Ready), "{status}");
        });
    }
}

#[test]
fn an_instance_that_crashed_while_nobody_looked_comes_back_though_it_answers_with_a_failure() {
    simulate(async {
        let first = Platform::start().await;
        assert!(ready_within(&first, Behaviour::new().answers(500)).await.is_some());
        first.host.reboot();
        let second = Platform::boot(first.host.clone(), first.store.clone(), Settings::default()).await;
        sleep(15 * SECOND).await;
        assert_eq!(second.phase("f").await, Some(Phase::Ready));
    });
}

#[test]
fn what_listens_behind_a_watchdog_is_waited_for() {
    simulate(async {
        let platform = Platform::start().await;
        let begins = |seconds: u32| watchdog().listens_from(SECOND * seconds, loopback(5000));
        assert_eq!(ready_within(&platform, begins(0)).await.unwrap().as_secs(), 0);
        let old = platform.published("f").remove(0);
        platform.host.publish_image("app:2", begins(7));
        let began = Instant::now();
        let updating = platform.clone();
        let update = actix::spawn(async move { updating.update("f", "app:2").await });
        sleep(6 * SECOND).await;
        assert_eq!(platform.published("f"), [old], "the one before serves meanwhile");
        let view = platform.view("f").await.unwrap();
        assert_eq!(view.step, Some(Step::WaitingUntilReady));
        let waits_for = view.waits_for.unwrap();
        assert!(
            waits_for.contains("nothing listens yet on port 5000") && waits_for.contains("upstream_url"),
            "{waits_for}"
        );
        update.await.unwrap().unwrap();
        assert_eq!(began.elapsed().as_secs(), 7);
        assert_eq!(platform.view("f").await.unwrap().waits_for, None);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn without_a_port_of_its_own_that_can_be_looked_at_a_watchdog_is_ready_when_it_answers() {
    let upstream = |url| Behaviour::new().env("mode", "http").env("upstream_url", url);
    for behaviour in [
        upstream("http://10.1.2.3:5000"),
        upstream("http://example.com"),
        Behaviour::new().env("upstream_url", "http://127.0.0.1:5000"),
        watchdog().env("mode", "streaming"),
        watchdog().own_network_stack(),
    ] {
        simulate(async {
            let platform = Platform::start().await;
            let took = ready_within(&platform, behaviour.clone()).await;
            assert_eq!(took.map(|took| took.as_secs()), Some(0), "{behaviour:?}");
        });
    }
}

#[test]
fn the_functions_own_variables_and_its_path_say_more_than_its_images() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("app:1", watchdog().listens_from(5 * SECOND, loopback(3000)));
        let began = Instant::now();
        let env_vars = [("http_upstream_url".to_owned(), "http://localhost:3000/".to_owned())].into();
        let spec = SpecDraft { env_vars, ..draft("app:1") }.try_into().unwrap();
        platform.apply(Mode::Create, "f", spec).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 5);
        let began = Instant::now();
        platform.apply(Mode::Create, "g", with_path("app:1", "/ready")).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 0, "a path is all that is asked for");
    });
}

#[test]
fn a_socket_table_that_can_not_be_read_holds_up_nobody_for_good() {
    for fault in [Fault::Error(HostError::Failed("no table".into())), Fault::Hang, Fault::Panic] {
        simulate(async {
            let platform = Platform::start().await;
            platform.host.fault(Rule::on(Method::RuntimeListening, fault.clone()).always());
            let took = ready_within(&platform, watchdog()).await.unwrap();
            assert!(took < 10 * SECOND, "{fault:?}: {took:?}");
        });
    }
}

#[test]
fn an_application_that_can_not_be_reached_says_within_seconds_where_it_listens_instead() {
    let elsewhere = |address: &str| Behaviour::new().never_ready().listens_from(SECOND, address.parse().unwrap());
    for (behaviour, says) in [
        (elsewhere("0.0.0.0:3000"), "nothing listens on port 8080; the process listens on 0.0.0.0:3000"),
        (elsewhere("127.0.0.1:8080"), "the process listens on 127.0.0.1:8080 only: make it listen on 0.0.0.0:8080"),
        (Behaviour::new().never_ready(), "nothing listens on port 8080, nor on any other yet"),
        // What is known without the table.
        (elsewhere("0.0.0.0:3000").own_network_stack(), "connection refused"),
    ] {
        simulate(async {
            let platform = Platform::start().await;
            platform.host.publish_image("app:1", behaviour.clone());
            let deploying = platform.clone();
            actix::spawn(async move { deploying.deploy("f", "app:1").await });
            sleep(3 * SECOND).await;
            let view = platform.view("f").await.unwrap();
            assert_eq!(view.step, Some(Step::WaitingUntilReady));
            let waits_for = view.waits_for.unwrap();
            assert!(waits_for.contains(says), "{waits_for}");
            sleep(60 * SECOND).await;
            let reason = platform.view("f").await.unwrap().status.failure.unwrap().reason;
            assert!(reason.contains("not ready within 60 s") && reason.contains(says), "{reason}");
        });
    }
}
