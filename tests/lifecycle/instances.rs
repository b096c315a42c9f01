//! What is told of the instances of a function, while they come and go.

use std::time::Duration;

use actord::engine::{Engine as _, InstanceView};
use actord::function::{Generation, InstancePhase, Tier};
use actord::host::fake::Behaviour;

use crate::platform::{Platform, id, simulate};

const SECOND: Duration = Duration::from_secs(1);

fn instances(platform: &Platform) -> Vec<(Generation, InstancePhase, bool)> {
    let shown = |one: InstanceView| (one.generation, one.phase, one.address.is_some());
    let mut all: Vec<_> = platform.engine.instances(&id("f")).into_iter().map(shown).collect();
    all.sort_by_key(|(generation, ..)| *generation);
    all
}

async fn until(platform: &Platform, expected: &[(u64, InstancePhase, bool)]) {
    let expected: Vec<_> =
        expected.iter().map(|(generation, phase, listens)| (Generation(*generation), *phase, *listens)).collect();
    platform.until("they stand so", async |p| instances(p) == expected).await;
}

#[test]
fn an_update_shows_the_old_and_the_new_one_side_by_side_and_then_the_new_one() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("slow:2", Behaviour::new().pulls_in(5 * SECOND).ready_after(5 * SECOND));
        platform.deploy("f", "good:1").await.unwrap();
        let named: Vec<_> = platform.engine.instances(&id("f")).into_iter().map(|one| one.id).collect();
        assert_eq!(named, platform.published("f"), "logs call it so");
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        let updating = platform.clone();
        let update = actix::spawn(async move { updating.update("f", "slow:2").await });
        until(&platform, &[(1, InstancePhase::Ready, true), (2, InstancePhase::Starting, false)]).await;
        update.await.unwrap().unwrap();
        until(&platform, &[(1, InstancePhase::Draining, true), (2, InstancePhase::Ready, true)]).await;
        drop(lease);
        until(&platform, &[(2, InstancePhase::Ready, true)]).await;
        platform.rest("f", Tier::Frozen).await.unwrap();
        until(&platform, &[(2, InstancePhase::Frozen, true)]).await;
        platform.delete("f").await.unwrap();
        until(&platform, &[]).await;
        platform.tidy(&[]).await;
    });
}
