//! One container, from its create to its delete.

use containerd_client::tonic::Code;

use crate::support::{Wanted, World, runs};

const CREATED: i32 = 1;
const RUNNING: i32 = 2;
const STOPPED: i32 = 3;

#[tokio::test]
async fn a_container_lives_from_its_create_to_its_delete_and_leaves_nothing() {
    let world = World::new().await;
    let pid = world.create("f-1", &Wanted::new("s", "sleep")).await.unwrap();
    assert_eq!(world.state("f-1").await.unwrap(), (CREATED, pid));
    assert_eq!(world.start("f-1").await.unwrap(), pid);
    assert_eq!(world.state("f-1").await.unwrap(), (RUNNING, pid));
    assert_eq!(world.list().await, ["f-1"]);
    let busy = world.delete_task("f-1").await.unwrap_err();
    assert_eq!(busy.code(), Code::FailedPrecondition, "{busy}");
    world.kill("f-1", false).await.unwrap();
    assert_eq!(world.wait("f-1").await.unwrap(), 137);
    assert_eq!(world.state("f-1").await.unwrap(), (STOPPED, pid));
    assert!(!runs(pid));
    assert_eq!(world.wait("f-1").await.unwrap(), 137, "its status is kept until its delete");
    let late = world.kill("f-1", false).await.unwrap_err();
    assert_eq!(late.code(), Code::NotFound, "{late}");
    assert_eq!(world.delete_task("f-1").await.unwrap().exit_status, 137);
    assert_eq!(world.state("f-1").await.unwrap_err().code(), Code::NotFound);
    world.delete_container("f-1").await;
    world.is_tidy().await;
}

#[tokio::test]
async fn a_container_that_was_never_started_can_be_deleted() {
    let world = World::new().await;
    let pid = world.create("f-1", &Wanted::new("s", "sleep")).await.unwrap();
    world.delete_task("f-1").await.unwrap();
    assert!(!runs(pid));
    world.is_tidy().await;
}

#[tokio::test]
async fn a_process_has_three_descriptors_and_signals_as_the_kernel_gives_them() {
    let world = World::new().await;
    world.run("f-1", &Wanted { user: 1_000, ..Wanted::new("s", "about") }).await;
    assert_eq!(world.wait("f-1").await.unwrap(), 0, "{}", world.log("f-1"));
    let log = world.log("f-1");
    let set = |name: &str| {
        let found = log.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {log}"));
        // Up to 31: the next two are the C library's, which lets nobody change them.
        u64::from_str_radix(found.trim_start_matches([':', '\t']), 16).unwrap() & 0x7fff_ffff
    };
    // Rust's own start ignores SIGPIPE, number 13, in the program itself.
    assert_eq!((set("SigIgn"), set("SigBlk")), (1 << 12, 0));
    for line in ["open 0 1 2", "reopened stdout", "reopened stderr"] {
        assert!(log.lines().any(|found| found == line), "{line:?} in {log}");
    }
    world.remove("f-1").await;
    world.is_tidy().await;
}

#[tokio::test]
async fn processes_that_a_container_leaves_end_with_it_and_hold_nothing_up() {
    let world = World::new().await;
    world.run("f-1", &Wanted::new("s", "leave")).await;
    assert_eq!(world.wait("f-1").await.unwrap(), 3);
    assert!(world.log("f-1").starts_with("parent\n"));
    world.remove("f-1").await;
    world.is_tidy().await;
}

#[tokio::test]
async fn a_command_that_is_not_there_is_told_and_leaves_nothing() {
    let world = World::new().await;
    let mut wanted = Wanted::new("s", "sleep");
    wanted.arguments.clear();
    std::fs::remove_file(world.containerd.directory().join("image/program")).unwrap();
    let refused = match world.create("f-1", &wanted).await {
        Err(refused) => refused,
        Ok(_) => {
            let refused = world.start("f-1").await.unwrap_err();
            world.delete_task("f-1").await.unwrap();
            refused
        }
    };
    assert!(refused.message().contains("no such file or directory"), "{refused}");
    world.delete_container("f-1").await;
    world.is_tidy().await;
}

#[tokio::test]
async fn what_the_shim_does_not_do_is_refused_in_words() {
    let world = World::new().await;
    world.run("f-1", &Wanted::new("s", "sleep")).await;
    let refused =
        world.containerd.ctr("shim-test", &["task", "exec", "--exec-id", "x", "f-1", "/program"]).unwrap_err();
    assert!(refused.contains("not done by actord's shim"), "{refused}");
    let pids = world.containerd.ctr("shim-test", &["task", "ps", "f-1"]).unwrap();
    assert_eq!(pids.lines().count(), 2, "{pids}");
    let metrics = world.containerd.ctr("shim-test", &["task", "metrics", "f-1"]).unwrap();
    assert!(metrics.contains("memory.usage_in_bytes"), "{metrics}");
    world.containerd.ctr("shim-test", &["task", "pause", "f-1"]).unwrap();
    assert!(world.containerd.ctr("shim-test", &["task", "ls"]).unwrap().contains("PAUSED"));
    world.containerd.ctr("shim-test", &["task", "resume", "f-1"]).unwrap();
    assert_eq!(world.state("f-1").await.unwrap().0, RUNNING);
    world.containerd.ctr("shim-test", &["task", "pause", "f-1"]).unwrap();
    assert_eq!(world.remove("f-1").await, 137, "one that is frozen can be killed");
    world.is_tidy().await;
}
