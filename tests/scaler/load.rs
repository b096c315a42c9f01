//! Functions that follow their load.

use actord::engine::Mode;
use actord::function::Phase;
use actord::host::fake::{Behaviour, FakeHost, Method};
use tokio::time::sleep;

use crate::house::{House, MINUTE, SECOND, ZERO, spec};
use crate::platform::simulate;

const MAX: &str = "com.openfaas.scale.max";
const TYPE: &str = "com.openfaas.scale.type";
const TARGET: &str = "com.openfaas.scale.target";
const PROPORTION: &str = "com.openfaas.scale.target-proportion";

/// One request in flight for each replica, at most twelve.
const CAPACITY: [(&str, &str); 4] = [(TYPE, "capacity"), (TARGET, "1"), (PROPORTION, "1"), (MAX, "12")];

#[test]
fn replicas_follow_a_ramp_of_requests_in_flight_up_at_once_and_down_over_the_window() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &CAPACITY).await;
        let mut callers = Vec::new();
        for step in 1..=5 {
            callers.push(house.callers("f", 3, SECOND));
            let wanted = (3 * step).min(12);
            let up = house.until_serving("f", wanted).await;
            assert!(up < 15 * SECOND, "{wanted} after {up:?}");
        }
        let (least, most) = house.serving_for("f", 2 * MINUTE).await;
        assert_eq!((least, most), (12, 12));
        assert!(house.has_reason("f", "bounds") || house.has_reason("f", "load"), "15 would be needed");
        callers.drain(..).for_each(crate::house::Callers::end);
        let (least, _) = house.serving_for("f", 50 * SECOND).await;
        assert_eq!(least, 12, "a load that comes back finds its replicas");
        let down = house.until_serving("f", 1).await;
        assert!(down < 30 * SECOND, "{down:?}");
        house.tidy(&["f"]).await;
        let changes = |way| house.metric("actord_scaler_changes_total", &[("direction", way)]).unwrap();
        assert!(changes("up") <= 11.0 && changes("down") <= 11.0, "{} {}", changes("up"), changes("down"));
        assert_eq!(house.metric("actord_scaler_wanted", &[("function_name", "f.openfaas-fn")]), Some(1.0));
        house.delete("f").await.unwrap();
        house.until("its series are gone", async |_| house.metric("actord_scaler_wanted", &[]).is_none()).await;
    });
}

#[test]
fn what_was_decided_and_why_is_in_the_status() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &CAPACITY).await;
        let callers = house.callers("f", 4, SECOND);
        house.until_serving("f", 4).await;
        let desired = house.view("f").await.unwrap().status.desired.unwrap();
        let adjusted = desired.adjusted.clone().unwrap();
        assert_eq!((desired.replicas, adjusted.replicas, desired.running_replicas()), (1, 4, 4));
        assert!(adjusted.reason.contains("requests in flight"), "{}", adjusted.reason);
        callers.end();
    });
}

#[test]
fn replicas_follow_the_cpu_that_they_use() {
    simulate(async {
        let house = House::start().await;
        let cpu = [(TYPE, "cpu"), (TARGET, "500"), (MAX, "4")];
        house.serve_as("busy", Behaviour::new().uses(900, 1), &cpu).await;
        house.serve_as("calm", Behaviour::new().uses(100, 1), &cpu).await;
        let up = house.until_serving("busy", 4).await;
        assert!(up < 2 * MINUTE, "{up:?}");
        assert_eq!(house.serving_for("busy", 3 * MINUTE).await, (4, 4));
        assert_eq!(house.published("calm").len(), 1);
        let reads = house.host.count(Method::RuntimeUsage);
        sleep(MINUTE).await;
        let reads = house.host.count(Method::RuntimeUsage) - reads;
        assert!(reads <= 31 * 5, "every two seconds, of five instances: {reads}");
    });
}

#[test]
fn an_update_under_load_keeps_the_number_and_the_load_is_followed_meanwhile() {
    simulate(async {
        let house = House::start().await;
        house.host.publish_image("slow:2", Behaviour::new().ready_after(20 * SECOND));
        house.serve("f", "good:1", &CAPACITY).await;
        let callers = house.callers("f", 4, SECOND);
        house.until_serving("f", 4).await;
        let updating = house.platform();
        let update =
            actix::spawn(async move { updating.apply(Mode::Update, "f", spec("slow:2", &CAPACITY)).await.unwrap() });
        sleep(5 * SECOND).await;
        let more = house.callers("f", 3, SECOND);
        house
            .until("the load is followed", async |p| {
                p.view("f").await.unwrap().status.desired.unwrap().running_replicas() == 7
            })
            .await;
        update.await.unwrap();
        house
            .until("all are new", async |p| {
                let status = p.view("f").await.unwrap().status;
                status.phase == Phase::Ready && status.ready == 7 && status.serving.map(|it| it.0) == Some(2)
            })
            .await;
        [callers, more].into_iter().for_each(crate::house::Callers::end);
    });
}

#[test]
fn a_restart_goes_on_with_the_number_that_runs() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &CAPACITY).await;
        let callers = house.callers("f", 5, SECOND);
        house.until_serving("f", 5).await;
        sleep(SECOND).await;
        drop(callers);
        let house = house.restarted().await;
        house.until_serving("f", 5).await;
        assert_eq!(house.serving_for("f", 50 * SECOND).await, (5, 5), "as if it had been needed until now");
        assert_eq!(house.host.count(Method::RuntimeStart), 5);
        house.until_serving("f", 1).await;
    });
}

#[test]
fn after_a_reboot_all_callers_at_once_are_answered_and_no_function_has_more_than_its_most() {
    simulate(async {
        let house = House::start().await;
        let names: Vec<String> = (0..20).map(|n| format!("f-{n}")).collect();
        for name in &names {
            house.serve(name, "good:1", &[ZERO, (TYPE, "capacity"), (TARGET, "4"), (MAX, "3")]).await;
        }
        for name in &names {
            house.until_phase(name, Phase::Idle).await;
        }
        let house = house.rebooted_to(FakeHost::reboot).await;
        let before = house.host.count(Method::RuntimeStart);
        sleep(MINUTE).await;
        assert_eq!(house.host.count(Method::RuntimeStart), before, "what is idle waits for its calls");
        let calls: Vec<_> = names.iter().flat_map(|name| (0..20).map(|_| house.call(name, SECOND))).collect();
        for call in calls {
            assert!(call.await.unwrap());
        }
        for name in &names {
            assert!(house.published(name).len() <= 3);
        }
        for name in &names {
            house.until_phase(name, Phase::Idle).await;
        }
        let starts = house.host.count(Method::RuntimeStart);
        assert!(starts - before <= 20 * 3, "{starts} starts");
        house.tidy(&[]).await;
    });
}
