//! What dies at the wrong moment: containerd, a shim, actord half-way through a creation.

use std::fs;
use std::time::Duration;

use actord::function::{Exit, InstanceId, SpecDraft};
use actord::host::containerd::daemon::Daemon;
use actord::host::containerd::instances::ContainerdRuntime;
use actord::host::{HostError, Runtime, Signal};
use tokio::time::timeout;

use crate::support::{World, kill, options, runs};

/// Kills containerd and starts another.
pub(crate) async fn restart(world: &mut World) {
    let daemon = world.daemon.take().unwrap();
    kill(daemon.pid(), rustix::process::Signal::KILL);
    while runs(daemon.pid()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.daemon = Some(Daemon::adopt_or_start(options(world.base())).await.unwrap());
}

/// The shim that a process was started by.
fn shim_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_function_outlives_containerd_and_its_end_is_still_seen() {
    let mut world = World::new().await;
    let id = world.up(&world.creation("f", "root", "sleep")).await;
    let pid = world.pid(&id);
    let (runtime, waited) = (world.runtime.clone(), id.clone());
    let waiting = tokio::spawn(async move { runtime.wait(&waited).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    restart(&mut world).await;

    let lost = timeout(Duration::from_secs(30), waiting).await.expect("in time").unwrap();
    assert!(matches!(lost, Err(HostError::Unavailable(_))), "{lost:?}");
    assert!(runs(pid));
    assert_eq!(world.pid(&id), pid, "the same process");
    assert!(world.runtime.list().await.unwrap()[0].running);
    kill(pid, rustix::process::Signal::TERM);
    world.runtime.kill(&id, Signal::KILL).await.unwrap();
    assert_eq!(world.exit(&id).await.unwrap(), Exit::Signal(9));
    world.removed(&id).await;
    world.finish().await;
}

#[tokio::test]
async fn an_end_while_containerd_is_down_is_told_when_it_is_back() {
    let mut world = World::new().await;
    let id = world.up(&world.creation("f", "root", "sleep")).await;
    let pid = world.pid(&id);
    kill(world.daemon.as_ref().unwrap().pid(), rustix::process::Signal::KILL);
    kill(pid, rustix::process::Signal::KILL);
    restart(&mut world).await;
    let exit = world.exit(&id).await.unwrap();
    assert!(matches!(exit, Exit::Signal(9) | Exit::Vanished), "{exit:?}");
    world.removed(&id).await;
    world.finish().await;
}

#[tokio::test]
async fn without_containerd_every_call_says_that_it_can_not_be_reached() {
    let mut world = World::new().await;
    let id = world.up(&world.creation("f", "root", "sleep")).await;
    let daemon = world.daemon.take().unwrap();
    daemon.stop().await.unwrap();
    let other = world.creation("f", "root", "sleep");
    for result in [
        world.create(&other).await,
        world.runtime.start(&id).await,
        world.runtime.kill(&id, Signal::TERM).await,
        world.runtime.wait(&id).await.map(drop),
        world.runtime.list().await.map(drop),
    ] {
        assert!(matches!(result, Err(HostError::Unavailable(_))), "{result:?}");
    }
    world.daemon = Some(Daemon::adopt_or_start(options(world.base())).await.unwrap());
    for id in [&id, &other.id] {
        world.removed(id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn removing_while_containerd_is_away_ends_the_process_and_a_later_removal_does_the_rest() {
    let mut world = World::new().await;
    let id = world.up(&world.creation("f", "root", "sleep")).await;
    let pid = world.pid(&id);
    world.daemon.take().unwrap().stop().await.unwrap();
    let error = world.runtime.remove(&id).await.unwrap_err();
    assert!(matches!(&error, HostError::Failed(reason) if reason.contains("containerd can't be reached")), "{error:?}");
    assert!(!runs(pid));
    world.daemon = Some(Daemon::adopt_or_start(options(world.base())).await.unwrap());
    world.removed(&id).await;
    world.finish().await;
}

#[tokio::test]
async fn a_created_instance_that_was_never_started_is_removed() {
    let world = World::new().await;
    let creation = world.creation("f", "root", "sleep");
    world.create(&creation).await.unwrap();
    let pid = world.pid(&creation.id);
    world.removed(&creation.id).await;
    assert!(!runs(pid));
    world.finish().await;
}

#[tokio::test]
async fn a_container_without_a_task_and_a_lone_snapshot_are_found_and_removed() {
    let world = World::new().await;
    // A container whose task was deleted behind our back.
    let creation = world.creation("f", "root", "sleep");
    let id = world.up(&creation).await;
    world.runtime.kill(&id, Signal::KILL).await.unwrap();
    assert_eq!(world.exit(&id).await.unwrap(), Exit::Signal(9));
    world.ctr(&["tasks", "delete", id.as_str()]);
    let found = world.runtime.list().await.unwrap();
    assert_eq!((found[0].running, found[0].of.is_some()), (false, true));
    assert_eq!(world.exit(&id).await.unwrap(), Exit::Vanished);

    // And then the record too: a snapshot, files and a log are left.
    world.ctr(&["leases", "create", "--id", "guard"]);
    let listed = world.ctr(&["snapshots", "ls"]);
    let committed = listed.lines().find(|line| line.contains("Committed")).expect("the images' layer");
    let parent = committed.split_whitespace().next().unwrap();
    let lone = world.creation("f", "root", "sleep").id;
    world.ctr(&["snapshots", "prepare", lone.as_str(), parent]);
    world.ctr(&["snapshots", "label", lone.as_str(), "actord.dev/owner=host-of-the-test"]);
    let strangers = world.creation("f", "root", "sleep").id;
    world.ctr(&["snapshots", "prepare", strangers.as_str(), parent]);
    let found: Vec<_> =
        world.runtime.list().await.unwrap().into_iter().map(|found| (found.id, found.of.is_some())).collect();
    assert_eq!(found.len(), 2, "not the stranger's: {found:?}");
    assert!(found.contains(&(lone.clone(), false)));

    // A bundle that containerd had renamed and was about to remove.
    let bundles = world.options.containerd_state.join("io.containerd.runtime.v2.task").join(&world.name);
    let renamed = bundles.join(format!(".{id}"));
    fs::create_dir_all(renamed.join("rootfs")).unwrap();

    for id in [&id, &lone] {
        world.removed(id).await;
    }
    assert!(!renamed.exists());
    world.ctr(&["snapshots", "rm", strangers.as_str()]);
    world.ctr(&["leases", "delete", "guard"]);
    world.finish().await;
}

#[tokio::test]
async fn a_killed_shim_ends_its_function_and_is_cleared_away() {
    let world = World::new().await;
    let id = world.up(&world.creation("f", "root", "sleep")).await;
    let pid = world.pid(&id);
    kill(shim_of(pid), rustix::process::Signal::KILL);
    let exit = timeout(Duration::from_secs(30), async {
        loop {
            match world.runtime.wait(&id).await {
                Ok(exit) => break exit,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    })
    .await
    .expect("it is seen");
    assert!(matches!(exit, Exit::Signal(9) | Exit::Vanished), "{exit:?}");
    world.removed(&id).await;
    assert!(!runs(pid));
    world.finish().await;
}

#[tokio::test]
async fn a_shim_and_containerd_killed_together_leave_nothing_after_a_removal() {
    let mut world = World::new().await;
    let id = world.up(&world.creation("f", "root", "sleep")).await;
    let pid = world.pid(&id);
    let shim: i32 = fs::read_to_string(format!("/proc/{pid}/stat"))
        .unwrap()
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kill(world.daemon.as_ref().unwrap().pid(), rustix::process::Signal::KILL);
    kill(shim, rustix::process::Signal::KILL);
    restart(&mut world).await;
    world.removed(&id).await;
    assert!(!runs(pid));
    world.finish().await;
}

/// Removes what containerd knows of a container, without its task.
async fn lose_record(world: &World, id: &InstanceId) {
    use containerd_client::services::v1::{DeleteContainerRequest, containers_client::ContainersClient};
    let request = world.containerd.request(DeleteContainerRequest { id: id.to_string() });
    ContainersClient::new(world.containerd.channel.clone()).delete(request).await.unwrap();
}

/// Runs an instance of the built-in runtime, whichever is tested.
async fn up_in_own_shim(world: &World, function: &str) -> InstanceId {
    let draft = SpecDraft {
        annotations: [("actord.runtime".to_owned(), "builtin".to_owned())].into(),
        env_vars: [("DO".to_owned(), "sleep".to_owned())].into(),
        ..SpecDraft::default()
    };
    world.up(&world.creation_of(function, "root", draft)).await
}

#[tokio::test]
async fn a_shim_of_ours_that_hangs_is_ended_where_nothing_else_reaches_its_container() {
    let world = World::new().await;
    let mut all = Vec::new();
    for function in ["f", "g", "h"] {
        let id = up_in_own_shim(&world, function).await;
        all.push((world.pid(&id), id));
    }
    let [(lost, id), (other, in_another), (beside, in_the_same)] = all.try_into().unwrap();
    assert!(shim_of(lost) == shim_of(beside) && shim_of(lost) != shim_of(other), "two shards");
    lose_record(&world, &id).await;
    kill(shim_of(lost), rustix::process::Signal::STOP);
    world.removed(&id).await;
    assert!(!runs(lost));
    let exit = world.exit(&in_the_same).await.unwrap();
    assert!(matches!(exit, Exit::Signal(9) | Exit::Vanished), "as after a crash of the shim: {exit:?}");
    assert!(
        runs(other) && world.runtime.list().await.unwrap().iter().any(|found| found.id == in_another && found.running)
    );
    for id in [&in_the_same, &in_another] {
        world.removed(id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn a_task_whose_container_record_is_gone_is_ended_all_the_same() {
    let world = World::new().await;
    let id = world.up(&world.creation("f", "root", "sleep")).await;
    let pid = world.pid(&id);
    lose_record(&world, &id).await;
    world.runtime.remove(&id).await.unwrap();
    assert!(!runs(pid));
    assert_eq!(world.traces(id.as_str()), Vec::<String>::new());
    world.finish().await;
}

fn is_stopped(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let state = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
    let stopped = |stat: String| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X']));
    threads.map(state).all(stopped)
}

/// Runs an instance whose process is killed while `silent` is stopped: its end has to be seen all the same, by one who
/// waited before (`adopted`: with nothing known but what containerd keeps).
async fn ends_unsaid(world: &World, adopted: bool, silent: impl Fn(i32) -> i32) {
    let id = world.up(&world.creation("f", "root", "sleep")).await;
    let pid = world.pid(&id);
    let runtime = match adopted {
        true => ContainerdRuntime::new(world.containerd.clone(), world.options.clone()).unwrap(),
        false => world.runtime.clone(),
    };
    let waited = id.clone();
    let waiting = tokio::spawn(async move { runtime.wait(&waited).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let silent = silent(pid);
    kill(silent, rustix::process::Signal::STOP);
    // Its threads stop one after the other: one that still runs may tell of an end.
    while !is_stopped(silent) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!waiting.is_finished(), "it runs");
    kill(pid, rustix::process::Signal::KILL);
    let exit = timeout(Duration::from_secs(30), waiting).await.expect("it is seen").unwrap().unwrap();
    assert_eq!(exit, Exit::Vanished, "how it ended is not made up");
    kill(silent, rustix::process::Signal::CONT);
    assert_eq!(world.exit(&id).await.unwrap(), Exit::Signal(9), "told when it can be");
    world.removed(&id).await;
}

#[tokio::test]
async fn an_end_is_seen_while_the_shim_hangs() {
    let world = World::new().await;
    for adopted in [false, true] {
        ends_unsaid(&world, adopted, shim_of).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn an_end_is_seen_while_containerd_hangs() {
    let world = World::new().await;
    let daemon = world.daemon.as_ref().unwrap().pid();
    for adopted in [false, true] {
        ends_unsaid(&world, adopted, |_| daemon).await;
    }
    world.finish().await;
}
