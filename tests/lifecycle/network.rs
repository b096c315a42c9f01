//! The network that all instances share.

use actord::engine::Engine as _;
use actord::function::Phase;

use crate::platform::{Platform, simulate};

#[test]
fn while_the_network_is_broken_the_status_says_so_and_nothing_is_replaced() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let running = platform.host.running();
        platform.host.break_network(Some("bridge actord0 is down: it is being put back"));
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.ready, status.restarts), (Phase::Unready, 0, 0));
        assert!(status.failure.unwrap().reason.contains("bridge actord0 is down"));
        let listed = platform.engine.list(&"openfaas-fn".parse().unwrap()).await.unwrap();
        assert_eq!(listed[0].status.ready, 0, "the list says the same");

        platform.host.break_network(None);
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.ready, status.failure), (Phase::Ready, 1, None));
        assert_eq!(platform.host.running(), running);
        platform.tidy(&["f"]).await;
    });
}
