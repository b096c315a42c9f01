//! What the load does not decide alone: operators, alerts, and the machine.

use actord::host::HostError;
use actord::host::fake::{Fault, Method, Rule};
use tokio::time::sleep;

use crate::house::{House, MINUTE, SECOND};
use crate::platform::simulate;

/// One request in flight for each replica, at most eight.
const CAPACITY: [(&str, &str); 4] = [
    ("com.openfaas.scale.type", "capacity"),
    ("com.openfaas.scale.target", "1"),
    ("com.openfaas.scale.target-proportion", "1"),
    ("com.openfaas.scale.max", "8"),
];

#[test]
fn a_number_by_hand_or_by_an_alert_holds_for_the_window_and_the_load_goes_on_from_there() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &CAPACITY).await;
        let callers = house.callers("f", 3, SECOND);
        house.until_serving("f", 3).await;
        for by_hand in [6, 1] {
            house.scale("f", by_hand).await.unwrap();
            house.until_serving("f", by_hand as usize).await;
            let (least, most) = house.serving_for("f", 55 * SECOND).await;
            assert_eq!((least, most), (by_hand as usize, by_hand as usize));
            house.until("the load counts again", async |p| p.published("f").len() == 3).await;
        }
        callers.end();
    });
}

#[test]
fn a_zero_by_hand_is_not_undone_by_the_scaler_but_by_a_call() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &CAPACITY).await;
        house.scale("f", 0).await.unwrap();
        assert_eq!(house.serving_for("f", 5 * MINUTE).await.1, 0);
        assert!(house.call("f", SECOND).await.unwrap());
        assert_eq!(house.published("f").len(), 1);
        house.keep_down("f", true).await.unwrap();
        assert_eq!(house.serving_for("f", 5 * MINUTE).await.1, 0);
    });
}

#[test]
fn replicas_that_the_machine_can_not_carry_take_nothing_from_those_that_serve_and_are_tried_later() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &CAPACITY).await;
        let two = house.callers("f", 2, SECOND);
        house.until_serving("f", 2).await;
        let full = Fault::Error(HostError::Failed("cannot allocate memory".into()));
        house.host.fault(Rule::on(Method::RuntimeStart, full).always());
        let before = house.host.count(Method::RuntimeStart);
        let more = house.callers("f", 4, SECOND);
        house.until("the limit is known", async |_| house.has_reason("f", "limit")).await;
        let (least, most) = house.serving_for("f", 10 * MINUTE).await;
        assert_eq!((least, most), (2, 2), "what serves goes on");
        let desired = house.view("f").await.unwrap().status.desired.unwrap();
        let reason = desired.adjusted.unwrap().reason;
        assert!(reason.contains("cannot allocate memory") || reason.contains("tried again"), "{reason}");
        let tries = house.host.count(Method::RuntimeStart) - before;
        assert!((3..60).contains(&tries), "{tries} tries in ten minutes");
        house.host.clear_faults();
        house.until_serving("f", 6).await;
        assert!(!house.has_reason("f", "limit"));
        [two, more].into_iter().for_each(crate::house::Callers::end);
        sleep(SECOND).await;
        house.tidy(&["f"]).await;
    });
}
