//! Hundreds of functions that nothing calls: what they cost does not depend on how many there are.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::platform::{Platform, simulate};

const HOUR: Duration = Duration::from_secs(3600);

/// What an hour takes in which nothing happens.
#[derive(Debug, PartialEq, Eq)]
struct Quiet {
    /// How often a thread woke up.
    wakes: u64,
    /// How often the machine was asked for anything.
    calls: usize,
}

async fn quiet_hour(platform: &Platform) -> Quiet {
    let seen = || (Handle::current().metrics().worker_park_count(0), platform.host.calls().len());
    // What the last deploys left to do is done.
    sleep(HOUR).await;
    let (woken, asked) = seen();
    sleep(HOUR).await;
    let (woken_since, asked_since) = seen();
    Quiet { wakes: woken_since - woken, calls: asked_since - asked }
}

#[test]
fn an_hour_without_a_call_costs_as_much_with_five_hundred_functions_as_with_one() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f0", "good:1").await.unwrap();
        let one = quiet_hour(&platform).await;
        for number in 1..500 {
            platform.deploy(&format!("f{number}"), "good:1").await.unwrap();
        }
        let many = quiet_hour(&platform).await;
        assert_eq!(one.calls, many.calls, "the machine is asked once for all");
        assert!(one.wakes > 0 && many.wakes <= one.wakes + one.wakes / 10, "{one:?} {many:?}");
        let asked = platform.host.calls().len();
        assert_eq!(platform.list().await.len(), 500);
        assert_eq!(platform.host.calls().len(), asked, "a list asks nothing of the machine");
    });
}
