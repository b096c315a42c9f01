use std::time::Duration;

use actord::function::Phase;
use actord::host::HostError;
use actord::host::fake::{Fault, Method, Rule};
use tokio::time::sleep;

use crate::platform::{Platform, simulate};

#[test]
fn a_panic_in_an_adapter_is_one_failed_start_and_nothing_more() {
    simulate(async {
        let platform = Platform::start().await;
        for method in [Method::ImagesEnsure, Method::NetworkAttach, Method::RuntimeCreate, Method::RuntimeStart] {
            platform.host.fault(Rule::on(method, Fault::Panic).times(1));
        }
        platform.deploy("f", "good:1").await.unwrap();
        platform.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_call_that_hangs_holds_up_its_own_function_and_no_other() {
    simulate(async {
        let platform = Platform::start().await;
        let stuck = "stuck".parse().unwrap();
        platform.host.fault(Rule::on(Method::RuntimeCreate, Fault::Hang).only_function(&stuck).times(1));
        platform.deploy("stuck", "good:1").await.unwrap();
        assert_eq!(platform.phase("stuck").await, Some(Phase::Starting));
        platform.deploy("other", "good:1").await.unwrap();
        assert_eq!(platform.phase("other").await, Some(Phase::Ready));
        platform.until("the stuck one serves, too", async |p| p.phase("stuck").await == Some(Phase::Ready)).await;
        platform.tidy(&["stuck", "other"]).await;
    });
}

#[test]
fn a_function_is_deleted_although_its_start_hangs() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.fault(Rule::on(Method::NetworkAttach, Fault::Hang).times(1));
        platform.deploy("f", "good:1").await.unwrap();
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn waiting_for_a_process_goes_on_after_the_host_was_away() {
    simulate(async {
        let platform = Platform::start().await;
        let away = Fault::Error(HostError::Unavailable("containerd is away".into()));
        platform.host.fault(Rule::on(Method::RuntimeWait, away).times(5));
        platform.deploy("f", "good:1").await.unwrap();
        sleep(Duration::from_secs(60)).await;
        let crashed = platform.published("f").remove(0);
        platform.host.exit(&crashed, actord::function::Exit::Code(1));
        platform.until("another one serves", async |p| p.published("f").iter().any(|id| *id != crashed)).await;
        platform.tidy(&["f"]).await;
    });
}
