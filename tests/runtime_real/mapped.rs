//! Instances in user namespaces of their own: as without, seen from inside, and nobody, seen from the machine. All other tests
//! are run so, too, where `ACTORD_TEST_USER_NAMESPACES` is set.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use actord::function::{InstanceId, SpecDraft};
use actord::host::{HostError, IdMapping, InstanceConfig, Runtime as _};
use serde_json::json;

use crate::images::{Node, Recipe, program_with};
use crate::inside::{report, seen};
use crate::support::{MAPPING, World};

const RUNTIMES: [&str; 2] = ["builtin", "runc"];

fn mapping() -> Option<IdMapping> {
    MAPPING.parse().ok()
}

fn user(name: &str, user: &str) -> Recipe {
    Recipe::new(name, program_with(&json!({ "User": user, "WorkingDir": "/work" })))
}

fn under(runtime: &str, todo: &str) -> SpecDraft {
    SpecDraft {
        annotations: [("actord.runtime".to_owned(), runtime.to_owned())].into(),
        env_vars: [("DO".to_owned(), todo.to_owned())].into(),
        ..SpecDraft::default()
    }
}

/// The first number of each of `Uid` and `Gid` that the machine shows of a process, and how its users are mapped.
fn on_the_machine(pid: i32) -> (u32, u32, String) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let number = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        let numbers: Vec<u32> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
        assert!(numbers.iter().all(|number| *number == numbers[0]), "{line}");
        numbers[0]
    };
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    (number("Uid:"), number("Gid:"), map.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn an_image_of_any_user_sees_the_same_in_a_user_namespace_as_without() {
    let recipes = [
        user("none", ""),
        user("name", "app"),
        user("number", "1000"),
        user("numbers", "4242:4343"),
        user("name-and-group", "app:extra"),
        user("name-and-number", "app:7"),
        user("unknown-number", "54321"),
        user("root-by-number", "0:0"),
    ];
    let mut world = World::with_images(&recipes).await;
    for runtime in RUNTIMES {
        let mut views = Vec::new();
        for ids in [None, mapping()] {
            world.map_users(ids).await;
            let mut view: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
            for Recipe { name, .. } in &recipes {
                view.insert(name.clone(), seen(&world, &report(&world, "f", name, under(runtime, ""))).await);
            }
            views.push(view);
        }
        let [without, with] = views.try_into().unwrap();
        for (image, seen) in &without {
            assert_eq!(seen["secret"], "s3cret", "{image}");
            // What is read-only and the machine's root's is refused for the one or the other.
            let but = |seen: &BTreeMap<String, String>| {
                seen.iter()
                    .filter(|(key, _)| *key != "write-proc")
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect::<BTreeMap<_, _>>()
            };
            assert_eq!(but(&with[image]), but(seen), "{runtime} {image}");
        }
        assert_eq!(without["name-and-group"]["Gid"], "44 44 44 44");
        assert_eq!(without["unknown-number"]["Uid"], "54321 54321 54321 54321");
    }
    world.finish().await;
}

impl World {
    /// Where the machine has a file that this instance wrote into its own layer. That of one that was removed a moment ago may still
    /// be beside it.
    fn written(&self, id: &InstanceId, name: &str) -> PathBuf {
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", self.pid(id))).unwrap();
        let root = mounts.lines().find(|mount| mount.split(' ').nth(4) == Some("/")).unwrap();
        let (_, layer) = root.split_once("upperdir=").unwrap_or_else(|| panic!("{root}"));
        let layer = Path::new(layer.split(',').next().unwrap());
        assert!(layer.starts_with(&self.options.containerd_root), "{root}");
        layer.join(name)
    }

    async fn says(&self, id: &InstanceId, line: &str) {
        for _ in 0..600 {
            if self.runtime.log_tail(id, 10_000).await.unwrap().lines().any(|said| said == line) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{id} does not say {line:?}");
    }
}

#[tokio::test]
async fn root_in_an_instance_and_all_that_it_makes_is_nobodys_on_the_machine() {
    let mut world = World::with_images(&[user("root", ""), user("numbered", "4242:4343")]).await;
    world.map_users(mapping()).await;
    for runtime in RUNTIMES {
        let creation = world.creation_of("f", "root", under(runtime, "write 3"));
        let id = world.up(&creation).await;
        world.says(&id, "written").await;
        assert_eq!(on_the_machine(world.pid(&id)), (300_000, 300_000, "0 300000 65536".to_owned()), "{runtime}");
        let about = fs::metadata(world.written(&id, "written")).unwrap();
        assert_eq!((about.uid(), about.gid()), (300_000, 300_000), "{runtime}");
        let counted = world.runtime.written(&id, u64::MAX).await.unwrap();
        assert!((3 << 20..4 << 20).contains(&counted), "{runtime}: {counted}");
        // Its own network is the machine's to rule.
        let namespace = |kind: &str| fs::read_link(format!("/proc/{}/ns/{kind}", world.pid(&id))).unwrap();
        assert_ne!(namespace("user"), fs::read_link("/proc/self/ns/user").unwrap());
        world.runtime.freeze(&id).await.unwrap();
        world.runtime.thaw(&id).await.unwrap();
        world.removed(&id).await;

        let creation = world.creation_of("f", "numbered", under(runtime, "sleep"));
        let id = world.up(&creation).await;
        assert_eq!(on_the_machine(world.pid(&id)), (304_242, 304_343, "0 300000 65536".to_owned()), "{runtime}");
        world.removed(&id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn what_is_made_in_the_tree_of_an_instance_is_its_roots() {
    let mut world = World::with_images(&[user("named", "app")]).await;
    for ids in [None, mapping()] {
        world.map_users(ids).await;
        for runtime in RUNTIMES {
            let creation =
                world.creation_of("f", "named", under(runtime, "volumes /work /dev /dev/shm /etc /var/openfaas"));
            let (_, log) = world.run(&creation).await;
            let owners: Vec<_> = log.lines().filter_map(|line| line.split(' ').nth(1)).collect();
            assert_eq!(owners, ["0:0", "0:0", "0:0", "0:0", "missing"], "{ids:?} {runtime}: {log}");
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn two_instances_have_two_namespaces_of_users() {
    let mut world = World::with_images(&[user("root", "")]).await;
    world.map_users(mapping()).await;
    for runtime in RUNTIMES {
        let mut namespaces = Vec::new();
        for _ in 0..2 {
            let id = world.up(&world.creation_of("f", "root", under(runtime, "sleep"))).await;
            namespaces.push((fs::read_link(format!("/proc/{}/ns/user", world.pid(&id))).unwrap(), id));
        }
        assert_ne!(namespaces[0].0, namespaces[1].0, "{runtime}");
        for (_, id) in namespaces {
            world.removed(&id).await;
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn an_instance_of_an_earlier_setting_goes_on_beside_those_of_the_new_one() {
    let mut world = World::with_images(&[user("root", "")]).await;
    for runtime in RUNTIMES {
        let mut up = Vec::new();
        for (ids, uid) in [(None, 0), (mapping(), 300_000), ("500000:70000".parse().ok(), 500_000), (None, 0)] {
            world.map_users(ids).await;
            up.push((world.up(&world.creation_of("f", "root", under(runtime, "sleep"))).await, uid));
            world.images(ids).recover().await.unwrap();
            world.collect_garbage();
            for (id, uid) in &up {
                let pid = world.pid(id);
                assert_eq!(on_the_machine(pid).0, *uid, "{runtime}");
                assert!(fs::metadata(format!("/proc/{pid}/root/program")).is_ok_and(|about| about.uid() == *uid));
            }
        }
        for (id, _) in up {
            world.removed(&id).await;
        }
        world.collect_garbage();
        let snapshots = world.ctr(&["snapshots", "ls"]);
        assert!(!snapshots.contains('@'), "no copy is kept for a setting that is over: {snapshots}");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_user_that_is_not_mapped_is_the_callers_to_mend_and_leaves_nothing() {
    let recipes = [
        user("user", "70000:0"),
        user("group", "0:65536"),
        user("member", "far").with(&[
            ("etc/passwd", Node::File(b"far:x:5:6::/:/\n", 0o644)),
            ("etc/group", Node::File(b"away:x:70000:far\n", 0o644)),
        ]),
    ];
    let mut world = World::with_images(&recipes).await;
    world.map_users(mapping()).await;
    for (image, told) in [("user", "user 70000"), ("group", "group 65536"), ("member", "group 70000")] {
        let creation: InstanceConfig = world.creation("f", image, "exit 0");
        let refused = world.create(&creation).await.unwrap_err();
        assert!(
            matches!(&refused, HostError::Spec(why) if why.contains(told) && why.contains("user-namespace-ids (300000:65536)")),
            "{refused:?}"
        );
        world.removed(&creation.id).await;
    }
    world.finish().await;
}
