//! The life of an instance: started, seen to end, killed, removed.

use std::time::Duration;

use actord::function::{Exit, InstanceId};
use actord::host::containerd::instances::{ContainerdRuntime, Dns, RuntimeOptions};
use actord::host::{HostError, InstanceRecord, Runtime, Signal};
use prost_types::Any;
use tokio::time::timeout;

use crate::oci_runtimes::is_builtin;
use crate::support::{World, kill, runs};

#[tokio::test]
async fn an_exit_code_and_what_was_written_are_seen() {
    let world = World::new().await;
    assert_eq!(world.run(&world.creation("f", "root", "exit 7")).await.0, Exit::Code(7));
    let (exit, log) = world.run(&world.creation("f", "root", "say hello")).await;
    assert_eq!(exit, Exit::Code(0));
    assert!(log.contains("out hello\n") && log.contains("err hello\n"), "{log}");
    world.finish().await;
}

#[tokio::test]
async fn an_end_by_signal_is_seen_by_whoever_waits() {
    let world = World::new().await;
    let id = world.up(&world.creation("f", "root", "sleep")).await;
    let (runtime, waited) = (world.runtime.clone(), id.clone());
    let waiting = tokio::spawn(async move { runtime.wait(&waited).await });
    kill(world.pid(&id), rustix::process::Signal::KILL);
    let exit = timeout(Duration::from_secs(30), waiting).await.expect("in time").unwrap().unwrap();
    assert_eq!(exit, Exit::Signal(9));
    assert_eq!(world.exit(&id).await.unwrap(), Exit::Signal(9), "asked again, it is told again");
    world.runtime.remove(&id).await.unwrap();
    assert_eq!(world.exit(&id).await.unwrap(), Exit::Vanished);
    world.finish().await;
}

#[tokio::test]
async fn a_function_that_runs_sees_it_when_the_hosts_name_servers_change() {
    let world = World::new().await;
    let resolv_conf = world.base().join("resolv.conf");
    std::fs::write(&resolv_conf, "nameserver 10.1.1.1\nsearch a.example\n").unwrap();
    let options = RuntimeOptions { dns: Dns::Like(resolv_conf.clone()), ..world.options.clone() };
    let runtime = ContainerdRuntime::new(world.containerd.clone(), options).unwrap();
    let creation = world.creation("f", "root", "ask nameserver 10.2.2.2");
    runtime.prepare(&creation).await.unwrap();
    runtime.create(&creation.id, &world.at()).await.unwrap();
    runtime.start(&creation.id).await.unwrap();
    // A host between two networks names none.
    for text in ["", "nameserver 10.2.2.2\n"] {
        std::fs::write(&resolv_conf, text).unwrap();
        runtime.follow_name_servers().await.unwrap();
        let of_the_instance = world.options.instances_dir.join(creation.id.as_str()).join("resolv.conf");
        assert!(std::fs::read_to_string(of_the_instance).unwrap().starts_with("nameserver "));
    }
    assert_eq!(world.exit(&creation.id).await.unwrap(), Exit::Code(0));
    world.removed(&creation.id).await;
    world.finish().await;
}

#[tokio::test]
async fn what_is_not_there_has_vanished_and_needs_no_kill_and_no_removal() {
    let world = World::new().await;
    let id = world.creation("f", "root", "").id;
    assert_eq!(world.exit(&id).await.unwrap(), Exit::Vanished);
    world.runtime.kill(&id, Signal::TERM).await.unwrap();
    world.runtime.kill(&id, Signal::KILL).await.unwrap();
    world.runtime.remove(&id).await.unwrap();
    assert!(matches!(world.runtime.log_tail(&id, 100).await, Err(HostError::NotFound(_))));
    assert!(matches!(world.runtime.start(&id).await, Err(HostError::Failed(_))));
    world.finish().await;
}

#[tokio::test]
async fn an_instance_ends_by_the_signal_that_its_image_names_also_when_another_actord_asks_it_to() {
    let world = World::new().await;
    for (image, number) in [
        ("root", 15),
        ("stops-by-quit", 3),
        ("stops-by-short-name", 12),
        ("stops-by-number", 10),
        ("stops-by-real-time", 37),
        ("stops-by-nonsense", 15),
    ] {
        let creation = world.creation("f", image, "signals");
        let id = world.up(&creation).await;
        while !world.runtime.log_tail(&id, 100).await.unwrap().contains("listening") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // As after a restart: nothing is known but what containerd keeps.
        let later = ContainerdRuntime::new(world.containerd.clone(), world.options.clone()).unwrap();
        let signal = later.termination(&id).await.unwrap().signal;
        assert_eq!(signal.number(), number, "{image}");
        later.kill(&id, signal).await.unwrap();
        // It ends with the number of the signal that it got.
        assert_eq!(world.exit(&id).await.unwrap(), Exit::Code(number), "{image}");
        world.removed(&id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn a_running_instance_is_listed_as_running_with_its_function_and_removed_twice_without_a_trace() {
    let world = World::new().await;
    // A name that containerd would not take as it is.
    let creation = world.creation("a--b", "root", "sleep");
    let of = Some(("a--b".parse().unwrap(), creation.generation));
    world.create(&creation).await.unwrap();
    let id = creation.id.clone();
    assert_eq!(
        world.runtime.list().await.unwrap(),
        [InstanceRecord { id: id.clone(), of: of.clone(), running: false }]
    );
    world.runtime.start(&id).await.unwrap();
    assert_eq!(world.runtime.list().await.unwrap(), [InstanceRecord { id: id.clone(), of, running: true }]);
    assert!(world.has_shim_socket(&id), "else the check for its absence says nothing");
    let of_runc = world.options.runc_root.join(&world.name).join(id.as_str());
    assert_eq!(of_runc.exists(), !is_builtin(), "the built-in runtime keeps what it knows in the bundle");
    assert!(!std::path::Path::new("/run/containerd/runc").join(&world.name).exists(), "shared by the whole machine");
    assert!(world.traces(id.as_str()).len() > if is_builtin() { 6 } else { 8 }, "{:#?}", world.traces(id.as_str()));
    assert_eq!(world.ctr(&["leases", "ls", "-q"]), "", "what is made is kept without one");
    world.collect_garbage();
    assert!(world.ctr(&["snapshots", "ls"]).contains(id.as_str()));
    let pid = world.pid(&id);
    for _ in 0..2 {
        world.removed(&id).await;
        assert!(!runs(pid));
    }
    world.finish().await;
}

#[tokio::test]
async fn containers_are_listed_also_where_all_of_them_are_more_than_one_message_takes() {
    use containerd_client::services::v1::container::Runtime as ContainerRuntime;
    use containerd_client::services::v1::containers_client::ContainersClient;
    use containerd_client::services::v1::{Container, CreateContainerRequest};

    let world = World::new().await;
    // Five with a megabyte each, as 500 functions have 9 KB each: the limit is 4 MiB.
    let ids: Vec<InstanceId> = (0..5).map(|number| format!("large-{number}").parse().unwrap()).collect();
    for id in &ids {
        let container = Container {
            id: id.to_string(),
            labels: [("actord.dev/owner".to_owned(), "host-of-the-test".to_owned())].into(),
            runtime: Some(ContainerRuntime { name: "io.containerd.runc.v2".into(), options: None }),
            spec: Some(Any { type_url: "large".into(), value: vec![7; 1 << 20] }),
            ..Container::default()
        };
        let request = world.containerd.request(CreateContainerRequest { container: Some(container) });
        ContainersClient::new(world.containerd.channel.clone()).create(request).await.unwrap();
    }
    let listed = world.runtime.list().await.unwrap();
    assert_eq!(listed.into_iter().map(|found| found.id).collect::<Vec<_>>(), ids);
    for id in &ids {
        world.removed(id).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn an_instance_that_has_ended_takes_further_signals_without_complaint() {
    let world = World::new().await;
    let id = world.up(&world.creation("f", "root", "exit 0")).await;
    assert_eq!(world.exit(&id).await.unwrap(), Exit::Code(0));
    world.runtime.kill(&id, Signal::TERM).await.unwrap();
    world.runtime.kill(&id, Signal::KILL).await.unwrap();
    assert!(!world.runtime.list().await.unwrap()[0].running);
    world.runtime.remove(&id).await.unwrap();
    world.finish().await;
}

#[tokio::test]
async fn a_caller_who_goes_away_in_the_middle_leaves_a_whole_instance_that_can_be_removed() {
    let world = World::new().await;
    for patience in [0, 1, 5, 20, 60] {
        let creation = world.creation("f", "root", "sleep");
        let _ = timeout(Duration::from_millis(patience), world.create(&creation)).await;
        world.removed(&creation.id).await;
    }
    world.finish().await;
}
