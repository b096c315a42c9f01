//! How much an instance may use, as its control groups and the process itself see it.

use std::sync::Arc;
use std::time::Duration;

use actord::function::{Exit, Resources, Spec, SpecDraft};
use actord::host::{HostError, InstanceConfig, Runtime, Signal};
use tokio::time::{Instant, sleep};

use crate::inside::{report, seen};
use crate::oci_runtimes::is_builtin;
use crate::support::World;

fn of(memory: Option<&str>, cpu: Option<&str>) -> Option<Resources> {
    Some(Resources { memory: memory.map(str::to_owned), cpu: cpu.map(str::to_owned), ..Resources::default() })
}

/// An instance that does something, with at most so many processes.
fn crowd(world: &World, todo: &str, pids: &str) -> InstanceConfig {
    let draft = SpecDraft {
        env_vars: [("DO".to_owned(), todo.to_owned())].into(),
        annotations: [("com.openfaas.pids.limit".to_owned(), pids.to_owned())].into(),
        limits: of(None, Some("500m")),
        ..SpecDraft::default()
    };
    world.creation_of("f", "root", draft)
}

#[tokio::test]
async fn limits_and_requests_are_the_control_groups_and_more_memory_is_told_as_out_of_memory() {
    let world = World::new().await;
    let draft = |todo: &str| SpecDraft {
        env_vars: [("DO".to_owned(), todo.to_owned())].into(),
        limits: of(Some("32Mi"), Some("250m")),
        requests: of(Some("16Mi"), Some("500m")),
        ..SpecDraft::default()
    };
    assert_eq!(world.run(&world.creation_of("f", "root", draft("eat"))).await.0, Exit::OutOfMemory);

    let id = world.up(&world.creation_of("f", "root", draft("sleep"))).await;
    let first = |names: &[&str]| world.cgroup_file(&id, names).split_whitespace().next().unwrap_or_default().to_owned();
    assert_eq!(first(&["memory.limit_in_bytes", "memory.max"]), (32 << 20).to_string());
    assert_eq!(first(&["memory.soft_limit_in_bytes", "memory.low"]), (16 << 20).to_string());
    assert_eq!(first(&["cpu.cfs_quota_us", "cpu.max"]), "25000");
    let share = first(&["cpu.shares", "cpu.weight"]);
    assert!(["512", "20"].contains(&share.as_str()), "of 1024, or of 1 to 10000: {share}");
    assert_eq!(first(&["pids.max"]), "4096");
    world.runtime.kill(&id, Signal::KILL).await.unwrap();
    assert_eq!(world.exit(&id).await.unwrap(), Exit::Signal(9), "killed by us, not by its limit");
    world.runtime.remove(&id).await.unwrap();
    world.finish().await;
}

#[tokio::test]
async fn a_function_sees_how_much_cpu_it_has() {
    let world = World::new().await;
    let draft = SpecDraft { limits: of(None, Some("1")), ..SpecDraft::default() };
    let seen = seen(&world, &report(&world, "f", "root", draft)).await;
    assert_eq!(seen["quota"].split(' ').next(), Some("100000"));
    assert_eq!(seen["cores"], "1", "as a language's runtime counts them, which it starts threads by");
    world.finish().await;
}

#[tokio::test]
async fn a_read_only_root_can_not_be_written_and_tmp_can_by_any_user() {
    let world = World::new().await;
    for image in ["root", "named"] {
        let draft = SpecDraft { read_only_root_filesystem: true, ..SpecDraft::default() };
        let seen = seen(&world, &report(&world, "f", image, draft)).await;
        assert_ne!(seen["write-root"], "Ok(())");
        assert_eq!(seen["write-tmp"], "Ok(())");
        assert_eq!(seen["secret"], "s3cret");
    }
    let draft = SpecDraft {
        env_vars: [("DO".to_owned(), "fill".to_owned())].into(),
        limits: of(Some("32Mi"), None),
        read_only_root_filesystem: true,
        ..SpecDraft::default()
    };
    let (exit, log) = world.run(&world.creation_of("f", "root", draft)).await;
    assert_eq!((exit, log.as_str()), (Exit::Code(0), "16 StorageFull\n"), "an error, before the memory is used up");
    world.finish().await;
}

#[tokio::test]
async fn no_more_processes_than_the_limit_can_be_started() {
    let world = World::new().await;
    let (exit, log) = world.run(&crowd(&world, "spawn", "32")).await;
    assert_eq!((exit, log.as_str()), (Exit::Code(0), "32 WouldBlock\n"));
    assert_eq!(world.run(&crowd(&world, "exit 0", "16")).await.0, Exit::Code(0), "the least that can be asked for");
    world.finish().await;
}

#[tokio::test]
async fn a_fork_bomb_is_held_at_its_limit_and_removed_while_it_goes_on() {
    let world = World::new().await;
    let id = world.up(&crowd(&world, "bomb", "64")).await;
    let end = Instant::now() + Duration::from_secs(60);
    while world.cgroup_file(&id, &["pids.events"]).trim() == "max 0" {
        assert!(Instant::now() < end, "it never met its limit");
        sleep(Duration::from_millis(50)).await;
    }
    let processes: u32 = world.cgroup_file(&id, &["pids.current"]).trim().parse().unwrap();
    assert!(processes <= 64, "{processes}");
    world.removed(&id).await;
    world.finish().await;
}

#[tokio::test]
async fn a_memory_limit_in_which_nothing_can_start_is_the_callers_to_mend() {
    let world = World::new().await;
    // Too little for runc to set it, to make the process, and to start it.
    for memory in ["64Ki", "1Mi", "2500Ki"] {
        let limits = of(Some(memory), None);
        let mut creation = world.creation_of("f", "root", SpecDraft::default());
        // A deploy with less than 1Mi is refused; a store of an older actord may have one.
        let draft = SpecDraft { limits, ..SpecDraft::from((*creation.spec).clone()) };
        creation.spec = Arc::new(Spec::accepted_before(draft));
        let error = match world.create(&creation).await {
            Ok(()) => match world.runtime.start(&creation.id).await {
                // It needs less itself than runc does: the process starts, and ends by itself or for its memory.
                Ok(()) if is_builtin() => {
                    let exit = world.exit(&creation.id).await.unwrap();
                    assert!(matches!(exit, Exit::OutOfMemory | Exit::Code(99)), "{memory}: {exit:?}");
                    world.removed(&creation.id).await;
                    continue;
                }
                started => started.expect_err("too little"),
            },
            Err(error) => error,
        };
        assert!(matches!(&error, HostError::Spec(reason) if reason.contains("memory limit")), "{memory}: {error:?}");
        world.removed(&creation.id).await;
    }
    world.finish().await;
}
