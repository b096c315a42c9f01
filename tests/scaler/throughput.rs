//! What the field's own conformance suite asks of a provider that scales, as situations.

use actord::function::{Phase, Resting};
use actord::host::fake::Method;
use tokio::time::sleep;

use crate::house::{House, MINUTE, SECOND, ZERO, usual};
use crate::platform::simulate;

const MIN: &str = "com.openfaas.scale.min";
const MAX: &str = "com.openfaas.scale.max";

#[test]
fn the_fewest_run_from_the_deploy_on() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &[(MIN, "2"), (MAX, "4")]).await;
        assert_eq!(house.serving_for("f", 5 * MINUTE).await, (2, 2));
    });
}

#[test]
fn what_is_idle_goes_to_zero_and_a_call_brings_it_back() {
    simulate(async {
        let resting = Resting { zero_after: Some(90 * SECOND), ..usual().resting };
        let house = House::start_with(actord::scaler::Settings { resting, ..usual() }).await;
        house.serve("f", "good:1", &[ZERO]).await;
        assert!(house.until_phase("f", Phase::Idle).await < 2 * MINUTE);
        assert_eq!(house.published("f").len(), 0);
        assert!(house.call("f", SECOND).await.unwrap());
        assert_eq!(house.published("f").len(), 1);
    });
}

#[test]
fn two_workers_of_five_calls_a_second_each_bring_a_second_replica_within_a_minute_and_it_goes_again() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &[(MIN, "1"), (MAX, "2")]).await;
        let workers = house.callers_at("f", 2, 5);
        let up = house.until_serving("f", 2).await;
        assert!(up < MINUTE, "{up:?}");
        assert_eq!(house.serving_for("f", 5 * MINUTE).await, (2, 2), "it stays as long as they call");
        workers.end();
        let down = house.until_serving("f", 1).await;
        assert!(down < MINUTE, "{down:?}");
        assert_eq!(house.serving_for("f", 5 * MINUTE).await, (1, 1));
        assert_eq!(house.host.count(Method::RuntimeStart), 2);
    });
}

#[test]
fn after_a_load_it_goes_to_zero_within_two_minutes_where_the_settings_say_so() {
    simulate(async {
        let resting = Resting { zero_after: Some(90 * SECOND), ..usual().resting };
        let house = House::start_with(actord::scaler::Settings { resting, ..usual() }).await;
        house.serve("f", "good:1", &[ZERO, (MIN, "1"), (MAX, "2")]).await;
        let workers = house.callers_at("f", 2, 5);
        house.until_serving("f", 2).await;
        workers.end();
        assert!(house.until_phase("f", Phase::Idle).await < 2 * MINUTE);
    });
}

#[test]
fn equal_bounds_switch_scaling_off() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", "good:1", &[(MIN, "2"), (MAX, "2")]).await;
        let workers = house.callers_at("f", 4, 10);
        assert_eq!(house.serving_for("f", 3 * MINUTE).await, (2, 2));
        workers.end();
        house.scale("f", 3).await.unwrap();
        house.until_serving("f", 3).await;
        sleep(5 * MINUTE).await;
        assert_eq!(house.published("f").len(), 3, "what an operator asks for stays");
    });
}
