//! Functions that nothing calls: ready, frozen, stopped, and back.

use std::time::Duration;

use actord::engine::Mode;
use actord::function::Phase;
use actord::host::fake::{Behaviour, Method};
use tokio::time::sleep;

use crate::house::{House, MINUTE, SECOND, ZERO, spec, usual};
use crate::platform::{Platform, id, simulate};

#[test]
fn a_function_that_nothing_calls_is_frozen_then_stopped_and_a_call_brings_it_back() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &[ZERO]).await;
        for _ in 0..2 {
            let frozen = house.until_phase("f", Phase::Frozen).await;
            assert!((29 * SECOND..33 * SECOND).contains(&frozen), "{frozen:?}");
            let stopped = house.until_phase("f", Phase::Idle).await;
            assert!((868 * SECOND..873 * SECOND).contains(&stopped), "{stopped:?}");
            house.tidy(&["f"]).await;
            assert!(house.call("f", SECOND).await.unwrap());
            assert_eq!(house.phase("f").await, Some(Phase::Ready));
        }
        assert_eq!(house.metric("actord_scaler_rests_total", &[("tier", "frozen")]), Some(2.0));
        assert_eq!(house.metric("actord_scaler_rests_total", &[("tier", "stopped")]), Some(2.0));
    });
}

#[test]
fn a_call_to_what_is_frozen_is_answered_by_the_same_instance_and_its_time_counts_anew() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &[ZERO]).await;
        let instance = house.published("f");
        for _ in 0..3 {
            house.until_phase("f", Phase::Frozen).await;
            sleep(10 * MINUTE).await;
            assert!(house.call("f", SECOND).await.unwrap());
            assert_eq!((house.phase("f").await, house.published("f")), (Some(Phase::Ready), instance.clone()));
        }
        assert_eq!(house.host.count(Method::RuntimeStart), 1);
    });
}

#[test]
fn calls_and_whatever_holds_an_instance_keep_it_awake() {
    simulate(async {
        let house = House::start().await;
        house.serve("called", "good:1", &[ZERO]).await;
        house.serve("held", "good:1", &[ZERO]).await;
        let lease = house.routes.lease(&id("held")).await.unwrap();
        for _ in 0..60 {
            sleep(20 * SECOND).await;
            assert!(house.call("called", SECOND / 10).await.unwrap());
            for name in ["called", "held"] {
                assert_eq!(house.phase(name).await, Some(Phase::Ready), "{name}");
            }
        }
        assert_eq!(house.host.count(Method::RuntimeStart), 2);
        drop(lease);
        house.until_phase("held", Phase::Frozen).await;
    });
}

#[test]
fn what_uses_its_cpu_is_not_frozen_and_is_stopped_in_time_all_the_same() {
    simulate(async {
        let house = House::start().await;
        house.serve_as("busy", Behaviour::new().uses(200, 1), &[ZERO]).await;
        house.serve_as("calm", Behaviour::new().uses(5, 1), &[ZERO]).await;
        house.until_phase("calm", Phase::Frozen).await;
        sleep(13 * MINUTE).await;
        assert_eq!(house.phase("busy").await, Some(Phase::Ready));
        house.until_phase("busy", Phase::Idle).await;
        let reads = house.host.count(Method::RuntimeUsage);
        assert!(reads < 200, "{reads} readings of cpu time");
    });
}

#[test]
fn only_what_asks_for_it_rests_and_the_rest_costs_nothing() {
    simulate(async {
        let house = House::start().await;
        for n in 0..30 {
            house.serve(&format!("f-{n}"), "good:1", &[]).await;
        }
        let mut with_time = crate::platform::draft("good:1");
        with_time.annotations.insert("actord.freeze-after".into(), "2s".into());
        house.apply(Mode::Create, "sleeper", with_time.try_into().unwrap()).await.unwrap();
        assert!(house.until_phase("sleeper", Phase::Frozen).await < 5 * SECOND);
        let reads = house.host.count(Method::RuntimeUsage);
        sleep(60 * MINUTE).await;
        assert_eq!(house.phase("sleeper").await, Some(Phase::Frozen), "it never stops");
        assert_eq!(house.host.count(Method::RuntimeUsage), reads);
        for n in 0..30 {
            assert_eq!(house.phase(&format!("f-{n}")).await, Some(Phase::Ready));
        }
    });
}

#[test]
fn a_deploy_a_number_and_a_stop_act_on_every_tier() {
    simulate(async {
        for tier in [Phase::Ready, Phase::Frozen, Phase::Idle] {
            let house = House::start().await;
            for name in ["updated", "scaled", "stopped"] {
                house.serve(name, "good:1", &[ZERO]).await;
            }
            for name in ["updated", "scaled", "stopped"] {
                house.until_phase(name, tier).await;
            }
            house.apply(Mode::Update, "updated", spec("good:2", &[ZERO])).await.unwrap();
            let status = house.view("updated").await.unwrap().status;
            assert_eq!((status.phase, status.serving.map(|it| it.0)), (Phase::Ready, Some(2)), "{tier}");
            house.scale("scaled", 2).await.unwrap();
            house.until_serving("scaled", 2).await;
            house.keep_down("stopped", true).await.unwrap();
            house.until_phase("stopped", Phase::Stopped).await;
            sleep(20 * MINUTE).await;
            assert_eq!(house.phase("stopped").await, Some(Phase::Stopped));
            house.keep_down("stopped", false).await.unwrap();
            house.until_phase("stopped", Phase::Ready).await;
            for name in ["updated", "scaled"] {
                assert_eq!(house.phase(name).await, Some(Phase::Idle), "its idleness counted anew: {name}");
                house.delete(name).await.unwrap();
            }
            house.tidy(&["stopped"]).await;
        }
    });
}

#[test]
fn what_is_idle_stays_so_over_a_restart_and_a_reboot() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &[ZERO]).await;
        house.serve("always", "good:1", &[]).await;
        house.until_phase("f", Phase::Idle).await;
        let house = house.restarted().await;
        house.until_phase("always", Phase::Ready).await;
        assert_eq!(house.phase("f").await, Some(Phase::Idle));
        let house = house.rebooted_to(actord::host::fake::FakeHost::reboot).await;
        house.until_phase("always", Phase::Ready).await;
        sleep(MINUTE).await;
        assert_eq!(house.phase("f").await, Some(Phase::Idle));
        assert!(house.call("f", SECOND).await.unwrap());
        house.until_phase("f", Phase::Frozen).await;
        house.until_phase("f", Phase::Idle).await;
    });
}

#[test]
fn what_sleeps_is_adopted_asleep_or_awake_and_rests_again() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &[ZERO]).await;
        house.until_phase("f", Phase::Frozen).await;
        let house = house.restarted().await;
        house.until_serving("f", 1).await;
        house.until_phase("f", Phase::Frozen).await;
        assert!(house.call("f", SECOND).await.unwrap());
        assert_eq!(house.host.count(Method::RuntimeStart), 1);
        house.tidy(&["f"]).await;
    });
}

#[test]
fn a_function_that_sleeps_between_any_two_calls_fails_none() {
    simulate(async {
        let house = House::start().await;
        let mut spec = crate::platform::draft("good:1");
        spec.annotations.insert("actord.freeze-after".into(), "1ms".into());
        house.apply(Mode::Create, "f", spec.try_into().unwrap()).await.unwrap();
        let callers = house.callers_at("f", 3, 2);
        sleep(5 * MINUTE).await;
        callers.end();
        let rests = house.metric("actord_scaler_rests_total", &[("tier", "frozen")]).unwrap();
        assert!(rests > 100.0, "{rests}");
        assert_eq!(house.host.count(Method::RuntimeStart), 1);
        house.tidy(&["f"]).await;
    });
}

#[test]
fn a_scaler_that_is_stopped_lets_nothing_rest() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &[ZERO]).await;
        house.scaler.stop().await;
        sleep(20 * MINUTE).await;
        assert_eq!(house.phase("f").await, Some(Phase::Ready));
    });
}

#[test]
fn a_time_of_zero_in_the_settings_is_never() {
    simulate(async {
        let never = actord::function::Resting { freeze_after: Some(Duration::ZERO), zero_after: Some(Duration::ZERO) };
        let house = House::start_with(actord::scaler::Settings { resting: never, ..usual() }).await;
        house.serve("f", "good:1", &[ZERO]).await;
        sleep(60 * MINUTE).await;
        assert_eq!(house.phase("f").await, Some(Phase::Ready));
    });
}

#[test]
fn functions_that_were_there_before_the_scaler_rest_too() {
    simulate(async {
        let platform = Platform::start().await;
        for n in 0..20 {
            platform.apply(Mode::Create, &format!("f-{n}"), spec("good:1", &[ZERO])).await.unwrap();
        }
        let house = House::of(platform, usual());
        for n in 0..20 {
            house.until_phase(&format!("f-{n}"), Phase::Idle).await;
        }
    });
}
