//! Instances that are frozen by either version of control groups, while other things happen to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actord::function::{Exit, InstanceId};
use actord::host::containerd::daemon::Daemon;
use actord::host::containerd::instances::{ContainerdRuntime, thaw_all};
use actord::host::{HostError, Runtime, Signal};
use rustix::process::Signal as Sent;
use tokio::time::{sleep, timeout};

use crate::remains::restart;
use crate::support::{World, kill, options, runs};

/// Long enough to see that something does not happen.
const A_WHILE: Duration = Duration::from_millis(300);

/// Which version freezes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// Those that this machine has.
    fn all() -> Vec<Self> {
        let (one, two) = (Self::One.mount(), Self::Two.mount());
        let all = [(Self::One, one.join("release_agent")), (Self::Two, two.join("cgroup.procs"))];
        let all: Vec<_> = all.into_iter().filter(|(_, file)| file.exists()).map(|(version, _)| version).collect();
        assert!(!all.is_empty(), "this machine freezes nothing");
        all
    }

    fn mount(self) -> PathBuf {
        let unified = Path::new("/sys/fs/cgroup/unified");
        match self {
            Self::One => "/sys/fs/cgroup/freezer".into(),
            Self::Two if unified.exists() => unified.to_owned(),
            Self::Two => "/sys/fs/cgroup".into(),
        }
    }

    /// A runtime that freezes so, as another actord on the same machine.
    fn runtime(self, world: &World) -> ContainerdRuntime {
        let new = match self {
            Self::One => ContainerdRuntime::new,
            Self::Two => ContainerdRuntime::freezing_by_version_2,
        };
        new(world.containerd.clone(), world.options.clone()).unwrap()
    }

    /// The group that it freezes.
    fn group(self, world: &World, id: &InstanceId) -> PathBuf {
        self.mount().join(&world.name).join(id.as_str())
    }

    /// Freezes a group as somebody else would.
    fn freeze(self, group: &Path) {
        match self {
            Self::One => fs::write(group.join("freezer.state"), "FROZEN").unwrap(),
            Self::Two => fs::write(group.join("cgroup.freeze"), "1").unwrap(),
        }
    }
}

/// Puts a process into a group that is made below its own, as a program can that may.
fn move_down(group: &Path, pid: i32) -> PathBuf {
    let own = group.join("own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("cgroup.procs"), pid.to_string()).unwrap();
    own
}

/// The cpu time that an instance uses in a while.
async fn work(runtime: &ContainerdRuntime, id: &InstanceId) -> Duration {
    let before = runtime.usage(id).await.unwrap().cpu;
    sleep(A_WHILE).await;
    runtime.usage(id).await.unwrap().cpu - before
}

#[tokio::test]
async fn all_of_its_processes_stand_still_in_groups_of_their_own_too() {
    let world = World::new().await;
    for version in Version::all() {
        let runtime = version.runtime(&world);
        let id = world.up(&world.creation("f", "root", "burn 3")).await;
        let group = version.group(&world, &id);
        let processes = || fs::read_to_string(group.join("cgroup.procs")).unwrap();
        while processes().lines().count() < 4 {
            sleep(Duration::from_millis(5)).await;
        }
        let first = processes().lines().next().unwrap().parse().unwrap();
        move_down(&group, first);
        for _ in 0..3 {
            runtime.freeze(&id).await.unwrap();
            let frozen = work(&runtime, &id).await;
            runtime.thaw(&id).await.unwrap();
            let thawed = work(&runtime, &id).await;
            assert!(frozen * 10 < thawed, "{version:?}: frozen, {frozen:?}; thawed, {thawed:?}");
        }
        runtime.freeze(&id).await.unwrap();
        world.removed(&id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn one_that_is_killed_while_it_is_frozen_has_ended() {
    let world = World::new().await;
    for version in Version::all() {
        let runtime = version.runtime(&world);
        let id = world.up(&world.creation("f", "root", "sleep")).await;
        let pid = world.pid(&id);
        runtime.freeze(&id).await.unwrap();
        kill(pid, Sent::KILL);
        if version == Version::One {
            let waited = timeout(A_WHILE, runtime.wait(&id)).await;
            assert!(waited.is_err(), "version 1 delivers it later, not {waited:?}");
            // By then it has ended, or is about to.
            assert!(matches!(runtime.thaw(&id).await, Ok(()) | Err(HostError::NotFound(_))));
        }
        assert_eq!(world.exit(&id).await.unwrap(), Exit::Signal(9), "{version:?}");
        assert!(matches!(runtime.freeze(&id).await, Err(HostError::NotFound(_))));
        assert!(matches!(runtime.thaw(&id).await, Err(HostError::NotFound(_))));
        world.removed(&id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn a_frozen_instance_outlives_containerd_and_the_next_actord_thaws_and_ends_it() {
    let mut world = World::new().await;
    for version in Version::all() {
        let id = world.up(&world.creation("f", "root", "burn 0")).await;
        let pid = world.pid(&id);
        version.runtime(&world).freeze(&id).await.unwrap();
        restart(&mut world).await;
        let next = version.runtime(&world);
        assert!(next.list().await.unwrap().iter().any(|found| found.id == id && found.running), "{version:?}");
        assert_eq!(world.pid(&id), pid, "the same process");
        let frozen = work(&next, &id).await;
        next.thaw(&id).await.unwrap();
        let thawed = work(&next, &id).await;
        assert!(frozen * 10 < thawed, "{version:?}: frozen, {frozen:?}; thawed, {thawed:?}");
        next.freeze(&id).await.unwrap();
        next.kill(&id, Signal::KILL).await.unwrap();
        assert_eq!(world.exit(&id).await.unwrap(), Exit::Signal(9));
        world.removed(&id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn removing_a_frozen_instance_while_containerd_is_away_ends_its_processes_wherever_they_are() {
    let mut world = World::new().await;
    for version in Version::all() {
        let id = world.up(&world.creation("f", "root", "sleep")).await;
        let pid = world.pid(&id);
        let own = move_down(&version.group(&world, &id), pid);
        let runtime = version.runtime(&world);
        runtime.freeze(&id).await.unwrap();
        // One that is not ours to thaw, unless it is to end.
        version.freeze(&own);
        world.daemon.take().unwrap().stop().await.unwrap();
        let error = runtime.remove(&id).await.unwrap_err();
        assert!(matches!(&error, HostError::Failed(text) if text.contains("containerd can't be reached")), "{error:?}");
        assert!(!runs(pid), "{version:?}");
        start(&mut world).await;
        world.removed(&id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn all_are_thawed_at_once_without_containerd() {
    let mut world = World::new().await;
    for version in Version::all() {
        let runtime = version.runtime(&world);
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(world.up(&world.creation("f", "root", "burn 0")).await);
        }
        for id in &ids[1..] {
            runtime.freeze(id).await.unwrap();
        }
        world.daemon.take().unwrap().stop().await.unwrap();
        assert_eq!(thaw_all(&world.options.cgroup_parent).unwrap(), 2, "{version:?}");
        assert_eq!(thaw_all(&world.options.cgroup_parent).unwrap(), 0);
        assert_eq!(thaw_all("/nobody-made-this").unwrap(), 0);
        for id in &ids {
            assert!(work(&runtime, id).await > Duration::ZERO, "{version:?}");
        }
        start(&mut world).await;
        for id in &ids {
            world.removed(id).await;
        }
    }
    world.finish().await;
}

/// Starts a containerd where there is none.
async fn start(world: &mut World) {
    world.daemon = Some(Daemon::adopt_or_start(options(world.base())).await.unwrap());
}
