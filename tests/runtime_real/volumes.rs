//! The volumes that images declare, as the process finds them.

use actord::function::{Exit, Resources, SpecDraft};
use actord::host::{HostError, InstanceConfig};
use serde_json::{Map, Value, json};

use crate::images::{Node, Recipe, program_with};
use crate::support::World;

fn recipe(name: &str, user: &str, volumes: &[&str]) -> Recipe {
    let volumes: Map<String, Value> = volumes.iter().map(|path| ((*path).to_owned(), json!({}))).collect();
    Recipe::new(name, program_with(&json!({ "User": user, "Volumes": volumes })))
}

fn creation(world: &World, image: &str, todo: &str, read_only: bool, memory: Option<&str>) -> InstanceConfig {
    let memory = memory.map(str::to_owned);
    let draft = SpecDraft {
        env_vars: [("DO".to_owned(), todo.to_owned())].into(),
        read_only_root_filesystem: read_only,
        limits: memory.map(|memory| Resources { memory: Some(memory), ..Resources::default() }),
        secrets: vec!["db".parse().unwrap()],
        ..SpecDraft::default()
    };
    let mut creation = world.creation_of("f", image, draft);
    creation.secrets = [("db".parse().unwrap(), b"s3cret".to_vec())].into();
    creation
}

/// What runc makes while it copies an image's files into a volume.
fn remains_of_copying() -> usize {
    let names = std::fs::read_dir("/tmp").unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("runctmpdir")).count()
}

#[tokio::test]
async fn a_declared_volume_is_there_and_can_be_written_to_as_the_image_says() {
    let kept = [
        ("kept", Node::Directory(0o1770, 1000, 1001)),
        ("kept/file", Node::File(b"of the image", 0o600)),
        ("kept/link", Node::Link("/etc/passwd")),
        ("empty", Node::Directory(0o750, 1000, 1001)),
        ("to-kept", Node::Link("kept")),
    ];
    let before = remains_of_copying();
    let recipes = [
        recipe("by-root", "", &["/data"]),
        recipe("by-name", "app", &["/data", "/deep/er/data"]),
        recipe("by-number", "4242:4343", &["relative/", "/a/../../data"]),
        recipe("with-files", "app", &["/kept", "/empty"]).with(&kept),
        recipe("through-a-link", "app", &["/to-kept"]).with(&kept),
        recipe("nested", "app", &["/data/inner/most", "/data", "/data/inner"]),
        recipe("around-ours", "0:0", &["/etc", "/var"]),
        recipe("in-tmp", "app", &["/tmp", "/tmp/inner"]),
    ];
    let world = World::with_images(&recipes).await;
    // The path that is looked at, and its owner, mode and names.
    for (image, looked_at) in [
        ("by-root", &[("/data", "0:0 755", "[]")][..]),
        ("by-name", &[("/data", "1000:1001 755", "[]"), ("/deep/er/data", "1000:1001 755", "[]")]),
        ("by-number", &[("/relative", "4242:4343 755", "[]"), ("/data", "4242:4343 755", "[]")]),
        ("with-files", &[("/kept", "1000:1001 1770", "[file,link]"), ("/empty", "1000:1001 750", "[]")]),
        ("through-a-link", &[("/kept", "1000:1001 1770", "[file,link]")]),
        (
            "nested",
            &[
                ("/data/inner/most", "1000:1001 755", "[]"),
                ("/data/inner", "1000:1001 755", "[most]"),
                ("/data", "1000:1001 755", "[inner]"),
            ],
        ),
        ("around-ours", &[("/etc", "0:0 755", "[group,hosts,passwd,resolv.conf]"), ("/var", "0:0 755", "[openfaas]")]),
    ] {
        for (read_only, place) in [(false, "disk"), (true, "memory")] {
            let paths: Vec<_> = looked_at.iter().map(|(path, ..)| *path).collect();
            let todo = format!("volumes {}", paths.join(" "));
            let (exit, log) = world.run(&creation(&world, image, &todo, read_only, None)).await;
            let expected: Vec<_> =
                looked_at.iter().map(|(path, owner, names)| format!("{path} {owner} {place} {names} Ok(())")).collect();
            assert_eq!(
                (exit, log.lines().collect::<Vec<_>>()),
                (Exit::Code(0), expected.iter().map(String::as_str).collect()),
                "{image}"
            );
        }
    }
    // In the place of the /tmp that a read-only root has.
    let (exit, log) = world.run(&creation(&world, "in-tmp", "volumes /tmp/inner /tmp", true, None)).await;
    assert_eq!(exit, Exit::Code(0));
    assert!(
        log.contains("/tmp/inner 1000:1001 755 memory [] Ok(())\n/tmp 1000:1001 755 memory [inner] Ok(())"),
        "{log}"
    );
    assert_eq!(remains_of_copying(), before);
    world.finish().await;
}

#[tokio::test]
async fn a_volume_in_memory_counts_towards_the_limit_and_a_full_one_is_told_as_full() {
    let world = World::with_images(&[recipe("data", "app", &["/data"])]).await;
    let (exit, log) = world.run(&creation(&world, "data", "fill-volume /data", true, Some("32Mi"))).await;
    assert_eq!((exit, log.trim()), (Exit::Code(0), "16 StorageFull"));
    world.finish().await;
}

#[tokio::test]
async fn hostile_volumes_change_nothing_of_the_kernels_the_hosts_or_ours_and_fail_no_start() {
    let hostile = [
        "",
        "/",
        "/..",
        "/../../..",
        "/proc",
        "/proc/1/x",
        "/sys/fs/cgroup/x",
        "/dev",
        "/dev/shm/x",
        "/etc/hosts",
        "/etc/hosts/x",
        "/etc/resolv.conf",
        "/var/openfaas/secrets",
        "/var/openfaas/secrets/x",
        "/to-root",
        "/to-proc",
        "/to-hosts",
        "/to-nothing",
        "/../../tmp/actord-volume-escaped",
        "/up/actord-volume-escaped",
        "/host/actord-volume-escaped",
    ];
    let links = [
        ("to-root", Node::Link("/")),
        ("to-proc", Node::Link("/proc/self/root")),
        ("to-hosts", Node::Link("etc/hosts")),
        ("to-nothing", Node::Link("/not/there")),
        ("up", Node::Link("../../../../../../../../../../../tmp")),
        ("host", Node::Link("/tmp")),
    ];
    let many: Vec<_> = (0..300).map(|at| format!("/many/{at}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let recipes = [recipe("hostile", "app", &hostile).with(&links), recipe("many", "app", &many)];
    let world = World::with_images(&recipes).await;
    for read_only in [false, true] {
        let (exit, log) = world.run(&creation(&world, "hostile", "report", read_only, None)).await;
        assert_eq!(exit, Exit::Code(0), "{log}");
        assert!(log.contains("secret=s3cret") && log.contains("localhost"), "{log}");
        assert!(log.contains("write-resolv=Err(") && log.contains("write-secret=Err("), "{log}");
        assert!(!std::path::Path::new("/tmp/actord-volume-escaped").exists());
        let (exit, log) = world.run(&creation(&world, "many", "volumes /many/0 /many/299", read_only, None)).await;
        assert_eq!((exit, log.matches("Ok(())").count()), (Exit::Code(0), 2), "{log}");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_volume_over_a_file_is_the_callers_to_mend_and_leaves_nothing() {
    let recipes = [recipe("over-a-file", "", &["/etc/passwd"]), recipe("below-a-file", "", &["/program/x"])];
    let world = World::with_images(&recipes).await;
    for (image, path) in [("over-a-file", "/etc/passwd"), ("below-a-file", "/program")] {
        let creation = creation(&world, image, "exit 0", false, None);
        let refused = world.create(&creation).await;
        assert!(matches!(&refused, Err(HostError::Spec(why)) if why.contains(path)), "{refused:?}");
        world.removed(&creation.id).await;
    }
    world.finish().await;
}
