//! What an instance writes to the machine's disk is counted, whatever it does to its files.

use std::time::Duration;

use actord::function::SpecDraft;
use actord::host::Runtime as _;
use tokio::time::sleep;

use crate::support::World;

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn what_an_instance_wrote_counts_and_its_image_does_not_nor_does_a_file_without_a_name_hide() {
    let world = World::new().await;
    for runtime in ["builtin", "runc"] {
        for (todo, least, most) in
            [("sleep", 0, MIB), ("write 8", 8 * MIB, 10 * MIB), ("write-nameless 8", 8 * MIB, 10 * MIB)]
        {
            let annotations = [("actord.runtime".to_owned(), runtime.to_owned())].into();
            let env_vars = [("DO".to_owned(), todo.to_owned())].into();
            let draft = SpecDraft { annotations, env_vars, ..SpecDraft::default() };
            let id = world.up(&world.creation_of("f", "root", draft)).await;
            while todo != "sleep" && !world.runtime.log_tail(&id, 100).await.unwrap().contains("written") {
                sleep(Duration::from_millis(10)).await;
            }
            let wrote = world.runtime.written(&id, u64::MAX).await.unwrap();
            assert!((least..most).contains(&wrote), "{runtime}, {todo}: {wrote}");
            world.runtime.remove(&id).await.unwrap();
        }
    }
    world.finish().await;
}
