//! Other runtimes than the usual one, by Debian's gVisor and a second path to runc.

use std::path::PathBuf;
use std::time::Duration;

use actord::function::{Exit, SpecDraft};
use actord::host::containerd::instances::{ContainerdRuntime, RuntimeOptions};
use actord::host::{HostError, InstanceConfig, Runtime, Signal};
use tokio::time::timeout;

use crate::oci_runtimes::{runsc, runtimes};
use crate::support::World;

/// A machine where functions may choose `gvisor` and `second`.
async fn world() -> World {
    let mut world = World::new().await;
    let second = world.base().join("another-runc/runc");
    std::fs::create_dir(second.parent().unwrap()).unwrap();
    let runc = actord::host::containerd::daemon::find_program("runc".as_ref()).unwrap();
    std::os::unix::fs::symlink(runc, &second).unwrap();
    let listed: [(&str, PathBuf); 2] = [("gvisor", runsc(second.parent().unwrap())), ("second", second)];
    let listed = listed.each_ref().map(|(name, path)| (*name, path.as_path()));
    world.options.runtimes = runtimes(&world.base().join("state"), &listed);
    world.runtime = ContainerdRuntime::new(world.containerd.clone(), world.options.clone()).unwrap();
    world
}

fn creation(world: &World, runtime: &str, todo: &str) -> InstanceConfig {
    let draft = SpecDraft {
        env_vars: [("DO".into(), todo.into())].into(),
        annotations: [("actord.runtime".into(), runtime.into())].into(),
        ..SpecDraft::default()
    };
    world.creation_of("f", "root", draft)
}

#[tokio::test]
async fn a_function_of_another_runtime_lives_and_ends_as_any_other_and_leaves_nothing() {
    let world = world().await;
    for name in ["second", "gvisor"] {
        let (exit, log) = world.run(&creation(&world, name, "say hello")).await;
        assert_eq!(exit, Exit::Code(0), "{name}: {log}");
        assert!(log.contains("out hello\n") && log.contains("err hello\n"), "{name}: {log}");
        assert_eq!(world.run(&creation(&world, name, "exit 7")).await.0, Exit::Code(7), "{name}");

        let id = world.up(&creation(&world, name, "sleep")).await;
        assert!(world.runtime.list().await.unwrap()[0].running, "{name}");
        assert!(world.runtime.usage(&id).await.unwrap().memory_bytes > 0, "{name}");
        // A sandbox's network is not the kernel's: what listens there is not known, instead of nothing.
        let listening = world.runtime.listening(&id).await.unwrap();
        assert_eq!(listening, if name == "gvisor" { None } else { Some(Vec::new()) }, "{name}");
        world.runtime.freeze(&id).await.unwrap();
        world.runtime.thaw(&id).await.unwrap();
        assert!(timeout(Duration::from_millis(200), world.runtime.wait(&id)).await.is_err(), "{name} goes on");
        world.runtime.freeze(&id).await.unwrap();
        world.runtime.kill(&id, Signal::KILL).await.unwrap();
        assert_eq!(world.exit(&id).await.unwrap(), Exit::Signal(9), "{name}");
        world.removed(&id).await;

        // Removed while it runs, and while it was never started.
        let id = world.up(&creation(&world, name, "sleep")).await;
        world.removed(&id).await;
        let made = creation(&world, name, "sleep");
        world.create(&made).await.unwrap();
        world.removed(&made.id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn what_can_not_run_under_another_runtime_is_refused_and_leaves_nothing() {
    let world = world().await;
    for name in ["second", "gvisor"] {
        let InstanceConfig { mut image, .. } = creation(&world, name, "sleep");
        let mut config = serde_json::to_value(image.config.as_ref()).unwrap();
        config["config"]["Entrypoint"] = serde_json::json!(["/no-such-program"]);
        image.config = serde_json::from_value(config).map(std::sync::Arc::new).unwrap();
        let creation = InstanceConfig { image, ..creation(&world, name, "sleep") };
        let made = world.create(&creation).await;
        let refused = match made {
            Err(refused) => Err(refused),
            Ok(()) => world.runtime.start(&creation.id).await,
        };
        assert!(matches!(refused, Err(HostError::Spec(_) | HostError::Failed(_))), "{name}: {refused:?}");
        world.removed(&creation.id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn a_runtime_that_is_not_listed_any_more_keeps_what_runs_and_starts_nothing() {
    let world = world().await;
    let id = world.up(&creation(&world, "second", "sleep")).await;
    let runtimes = runtimes(&world.base().join("state"), &[]);
    let options = RuntimeOptions { runtimes, ..world.options.clone() };
    let later = ContainerdRuntime::new(world.containerd.clone(), options).unwrap();
    assert!(later.list().await.unwrap()[0].running);
    let next = creation(&world, "second", "sleep");
    let refused = later.prepare(&next).await.unwrap_err();
    assert!(matches!(&refused, HostError::Spec(why) if why.contains("actord.runtime=second")), "{refused:?}");
    later.kill(&id, Signal::KILL).await.unwrap();
    assert_eq!(timeout(Duration::from_secs(30), later.wait(&id)).await.unwrap().unwrap(), Exit::Signal(9));
    for id in [&id, &next.id] {
        later.remove(id).await.unwrap();
        assert_eq!(world.traces(id.as_str()), Vec::<String>::new());
    }
    world.finish().await;
}

#[test]
fn both_sides_of_the_built_in_runtime_call_it_and_its_directory_the_same() {
    use actord::host::containerd::instances::{BUILTIN_SHIM, BUILTIN_SOCKETS};
    // Neither room may know the other: containerd is between them.
    assert_eq!((BUILTIN_SHIM, BUILTIN_SOCKETS), (actord::shim::PROGRAM, actord::shim::SOCKETS));
}
