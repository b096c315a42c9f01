//! Many containers of one shard, side by side.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::support::{Wanted, World};

/// How many short-lived processes talk, and how many at once.
const TALKERS: usize = 500;
const AT_ONCE: usize = 8;

#[tokio::test]
async fn containers_of_one_shard_share_a_server_and_end_with_their_own_status() {
    let world = World::new().await;
    for (id, shard, arguments) in [("f-1", "s", "exit 7"), ("f-2", "s", "exit 0"), ("f-3", "t", "sleep")] {
        world.run(id, &Wanted::new(shard, arguments)).await;
    }
    assert_eq!(world.servers().into_keys().collect::<Vec<_>>(), ["s", "t"]);
    for (id, status) in [("f-1", 7), ("f-2", 0)] {
        assert_eq!(world.wait(id).await.unwrap(), status);
    }
    for (id, status) in [("f-1", 7), ("f-2", 0), ("f-3", 137)] {
        assert_eq!(world.remove(id).await, status);
    }
    world.is_tidy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_creates_at_once_find_one_server() {
    let world = Arc::new(World::new().await);
    for round in 0..3 {
        let mut creates = JoinSet::new();
        for number in 0..16 {
            let world = Arc::clone(&world);
            creates.spawn(async move {
                let id = format!("f-{round}-{number}");
                world.run(&id, &Wanted::new("s", "sleep")).await;
                id
            });
        }
        let ids = creates.join_all().await;
        assert_eq!(world.servers().len(), 1);
        assert_eq!(world.list().await.len(), 16);
        // The last to go takes the server along; the next round comes while it ends.
        let mut removals = JoinSet::new();
        for id in ids {
            let world = Arc::clone(&world);
            removals.spawn(async move { assert_eq!(world.remove(&id).await, 137) });
        }
        removals.join_all().await;
    }
    world.is_tidy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_last_word_of_a_short_life_is_lost() {
    let world = Arc::new(World::new().await);
    let mut lives = JoinSet::new();
    for number in 0..TALKERS {
        if lives.len() >= AT_ONCE {
            lives.join_next().await.unwrap().unwrap();
        }
        let world = Arc::clone(&world);
        lives.spawn(async move {
            let id = format!("f-{number}");
            world.run(&id, &Wanted::new("s", &format!("talk 20 {id}"))).await;
            assert_eq!(world.wait(&id).await.unwrap(), 0);
            let said: String = (0..20).map(|line| format!("{id} line {line}\n")).collect();
            assert_eq!(world.log(&id), said);
            world.remove(&id).await;
        });
    }
    lives.join_all().await;
    world.is_tidy().await;
}
