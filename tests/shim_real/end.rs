//! The end of a server, and of the containerd that it serves.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::support::{Wanted, World, kill, runs, signal, until, zygote_of};

#[tokio::test]
async fn a_server_that_is_killed_takes_its_containers_along_and_the_next_create_works() {
    let world = World::new().await;
    let mut pids = Vec::new();
    for id in ["f-1", "f-2", "f-3"] {
        pids.push(world.run(id, &Wanted::new("s", "sleep")).await);
    }
    let other = world.run("g-1", &Wanted::new("t", "sleep")).await;
    world.create("f-4", &Wanted::new("s", "sleep")).await.unwrap();
    kill(world.servers()["s"]);
    until(|| !pids.iter().any(|pid| runs(*pid)), || world.containerd.log()).await;
    while world.list().await != ["g-1"] {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(runs(other), "another shard's containers run on");
    let fresh = world.run("f-5", &Wanted::new("s", "exit 5")).await;
    assert!(!pids.contains(&fresh));
    assert_eq!(world.wait("f-5").await.unwrap(), 5);
    assert_eq!(world.remove("f-5").await, 5);
    assert_eq!(world.remove("g-1").await, 137);
    for id in ["f-1", "f-2", "f-3", "f-4"] {
        world.delete_container(id).await;
    }
    world.is_tidy().await;
}

#[tokio::test]
async fn a_server_that_can_make_no_more_containers_ends_with_those_it_has_and_the_next_create_gets_another() {
    let world = World::new().await;
    let pid = world.run("f-1", &Wanted::new("s", "sleep")).await;
    let other = world.run("g-1", &Wanted::new("t", "sleep")).await;
    let server = world.servers()["s"];
    kill(zygote_of(server));
    // This one comes while that is noticed: it is made by another server, or refused, and not kept waiting.
    match world.create("f-2", &Wanted::new("s", "sleep")).await {
        Ok(_) => drop(world.remove("f-2").await),
        Err(refused) => {
            let said = refused.message();
            let clear = ["makes containers has ended", "ttrpc: closed", "connection reset", "connection refused"];
            assert!(clear.iter().any(|words| said.contains(words)), "{said}");
            world.delete_container("f-2").await;
        }
    }
    until(|| !runs(server) && !runs(pid), || world.containerd.log()).await;
    assert!(
        world.containerd.log().contains("the process that makes containers has ended"),
        "{}",
        world.containerd.log()
    );
    while world.list().await != ["g-1"] {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(runs(other), "another shard's containers run on");
    world.delete_container("f-1").await;
    world.run("f-3", &Wanted::new("s", "exit 3")).await;
    assert_eq!(world.wait("f-3").await.unwrap(), 3);
    assert_eq!(world.remove("f-3").await, 3);
    assert_eq!(world.remove("g-1").await, 137);
    world.is_tidy().await;
}

#[tokio::test]
async fn a_server_that_is_stopped_is_named_by_the_next_create_and_serves_again_when_it_may_go_on() {
    let world = World::new().await;
    let pid = world.run("f-1", &Wanted::new("s", "sleep")).await;
    let server = world.servers()["s"];
    signal(server, Signal::STOP);
    let refused = world.create("f-2", &Wanted::new("s", "sleep")).await.unwrap_err();
    let said = refused.message();
    assert!(said.contains("/shims/s-") && said.contains("does not answer"), "{said}");
    world.delete_container("f-2").await;
    assert!(runs(pid), "its containers run on");
    assert_eq!(world.servers()["s"], server, "there is no second server of one shard");
    world.run("g-1", &Wanted::new("t", "sleep")).await;
    assert_eq!(world.remove("g-1").await, 137, "another shard's containers come and go");
    signal(server, Signal::CONT);
    // The same one: the reservation that was not answered is its own.
    world.run("f-2", &Wanted::new("s", "exit 2")).await;
    assert_eq!(world.servers()["s"], server);
    assert_eq!(world.wait("f-2").await.unwrap(), 2);
    for (id, status) in [("f-1", 137), ("f-2", 2)] {
        assert_eq!(world.remove(id).await, status);
    }
    world.is_tidy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_that_a_killed_server_took_the_container_along() {
    let world = Arc::new(World::new().await);
    world.run("f-1", &Wanted::new("s", "sleep")).await;
    let waits = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.wait("f-1").await }
    });
    sleep(Duration::from_millis(200)).await;
    kill(world.servers()["s"]);
    assert!(waits.await.unwrap().is_err(), "not with a status: none is known");
    world.delete_container("f-1").await;
    world.is_tidy().await;
}

#[tokio::test]
async fn containers_outlive_a_restart_of_containerd_and_are_waited_for_again() {
    let mut world = World::new().await;
    let pid = world.run("f-1", &Wanted::new("s", "sleep")).await;
    world.run("f-2", &Wanted::new("s", "sleep")).await;
    let server = world.servers()["s"];
    let short = world.run("f-3", &Wanted::new("s", "sleep")).await;
    // One ends while nobody looks.
    world.restart(|| kill(short)).await;
    assert_eq!(world.state("f-1").await.unwrap().1, pid);
    assert_eq!(world.servers()["s"], server);
    assert_eq!(world.wait("f-3").await.unwrap(), 137);
    assert_eq!(world.remove("f-3").await, 137);
    world.run("f-4", &Wanted::new("s", "exit 4")).await;
    assert_eq!(world.wait("f-4").await.unwrap(), 4);
    assert_eq!(world.servers().len(), 1);
    for (id, status) in [("f-1", 137), ("f-2", 137), ("f-4", 4)] {
        assert_eq!(world.remove(id).await, status);
    }
    world.is_tidy().await;
}

#[tokio::test]
async fn a_server_that_dies_while_containerd_is_away_is_cleaned_up_after() {
    let mut world = World::new().await;
    let pid = world.run("f-1", &Wanted::new("s", "sleep")).await;
    let server = world.servers()["s"];
    world.restart(|| kill(server)).await;
    until(|| !runs(pid), || world.containerd.log()).await;
    assert!(world.list().await.is_empty());
    world.delete_container("f-1").await;
    world.run("f-2", &Wanted::new("s", "sleep")).await;
    world.remove("f-2").await;
    world.is_tidy().await;
}

#[tokio::test]
async fn a_container_that_was_announced_and_does_not_come_holds_no_server_back() {
    let world = World::new().await;
    // Announced first, it would be given up before the others.
    for shard in ["waits", "cut-off", "told"] {
        world.shim(&format!("f-{shard}"), &Wanted::new(shard, "sleep"), "start");
    }
    // It answers a second announcement when it is up.
    world.shim("f-told", &Wanted::new("told", "sleep"), "start");
    assert_eq!(world.servers().len(), 3);
    // A start that was cut off: containerd has the container removed.
    world.shim("f-cut-off", &Wanted::new("cut-off", "sleep"), "delete");
    signal(world.servers()["told"], Signal::TERM);
    until(|| world.servers().len() == 1, || format!("{:?}", world.servers())).await;
    let waits = world.servers()["waits"];
    // One that has a container stays with it.
    world.run("f-1", &Wanted::new("waits", "sleep")).await;
    signal(waits, Signal::TERM);
    assert_eq!(world.remove("f-1").await, 137);
    world.is_tidy().await;
}
