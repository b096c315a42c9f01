//! What a function sees from inside.

use std::collections::BTreeMap;

use actord::function::{Exit, SpecDraft};
use actord::host::{HostError, InstanceConfig, Runtime};

use crate::support::World;

pub(crate) fn report(world: &World, function: &str, image: &str, draft: SpecDraft) -> InstanceConfig {
    let mut creation = world.creation_of(
        function,
        image,
        SpecDraft {
            env_vars: draft.env_vars.into_iter().chain([("DO".to_owned(), "report".to_owned())]).collect(),
            secrets: vec!["db".parse().unwrap()],
            ..draft
        },
    );
    creation.secrets = [("db".parse().unwrap(), b"s3cret".to_vec())].into();
    creation
}

pub(crate) async fn seen(world: &World, creation: &InstanceConfig) -> BTreeMap<String, String> {
    let (exit, log) = world.run(creation).await;
    assert_eq!(exit, Exit::Code(0), "{log}");
    log.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[tokio::test]
async fn root_sees_its_name_servers_and_secrets_and_no_more_of_the_host_than_it_should() {
    let world = World::new().await;
    let draft = SpecDraft { env_process: "cat -".into(), ..SpecDraft::default() };
    let seen = seen(&world, &report(&world, "my-name", "root", draft)).await;
    assert_eq!(seen["hostname"], "my-name");
    assert_eq!(seen["fprocess"], "cat -", "over the image's own");
    assert!(seen["path"].starts_with("/usr/local/sbin:"));
    assert_eq!(seen["resolv"], "nameserver 10.9.8.7");
    let hosts = &seen["hosts"];
    assert!(hosts.contains("localhost") && hosts.contains("10.62.0.9\tmy-name"), "its own address: {hosts}");
    assert_eq!(seen["Uid"], "0 0 0 0");
    assert_eq!(seen["NoNewPrivs"], "1");
    assert_eq!(seen["Seccomp"], "2");
    assert_eq!(seen["secret"], "s3cret");
    assert_eq!(seen["secret-mode"], "Ok(\"400 0 0\")");
    assert_eq!(seen["write-secret"], "Err(ReadOnlyFilesystem)");
    assert_eq!(seen["write-resolv"], "Err(ReadOnlyFilesystem)");
    assert_eq!(seen["write-root"], "Ok(())");
    assert_eq!(seen["write-proc"], "Err(ReadOnlyFilesystem)");
    assert_eq!(seen["masked"], "Ok(0)", "the host's timers are the host's");
    assert_eq!(seen["pids"], "1", "its own process alone");
    assert_eq!(seen["fds"], "4", "its streams and the directory it reads");
    assert_has_capabilities(&seen, 0);
    assert_eq!(seen["chown"], "Err(PermissionDenied)");
    assert_eq!(seen["low-port"], "Ok(())", "port 80 needs no capability");
    let cores: Vec<_> = seen["cores-dumped"].split_whitespace().skip(4).take(2).collect();
    assert_eq!(cores, ["0", "0"], "nothing of its memory is left on a disk");
    let files: u64 = seen["limits"].split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!((1_024..=65_536).contains(&files), "{files}");
    world.finish().await;
}

/// That each set of the process holds these, as the kernel numbers them.
fn assert_has_capabilities(seen: &BTreeMap<String, String>, set: u64) {
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(seen[name], format!("{set:016x}"), "{name}");
    }
}

#[tokio::test]
async fn a_function_has_the_capabilities_that_it_asks_for_and_those_alone_whoever_its_user_is() {
    let world = World::new().await;
    for runtime in ["builtin", "runc"] {
        for image in ["root", "named"] {
            let asks = |text: &str| {
                let annotations = [("actord.capabilities", text), ("actord.runtime", runtime)];
                let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
                report(&world, "f", image, SpecDraft { annotations, ..SpecDraft::default() })
            };
            let seen = seen(&world, &asks("CAP_CHOWN,net_raw")).await;
            // The first and the fourteenth.
            assert_has_capabilities(&seen, 0x2001);
            assert_eq!(seen["chown"], "Ok(())", "{runtime} {image}");
            let refused = world.runtime.prepare(&asks("CHOWN,SYS_ADMIN")).await.unwrap_err();
            let told = "does not grant SYS_ADMIN, it grants CHOWN, NET_RAW, SYS_CHROOT";
            assert!(matches!(&refused, HostError::Spec(why) if why.contains(told)), "{refused:?}");
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn an_fprocess_among_the_variables_wins() {
    let world = World::new().await;
    let draft = SpecDraft {
        env_process: "loses".into(),
        env_vars: [("fprocess".to_owned(), "wins".to_owned())].into(),
        ..SpecDraft::default()
    };
    assert_eq!(seen(&world, &report(&world, "f", "root", draft)).await["fprocess"], "wins");
    assert_eq!(seen(&world, &report(&world, "f", "root", SpecDraft::default())).await["fprocess"], "of-the-image");
    world.finish().await;
}

#[tokio::test]
async fn an_entry_of_an_images_environment_that_is_no_variable_fails_no_start() {
    let world = World::new().await;
    let seen = seen(&world, &report(&world, "f", "odd-env", SpecDraft::default())).await;
    assert_eq!(seen["fprocess"], "2", "the last of one name");
    let names: Vec<_> = seen["env"].split(' ').collect();
    assert_eq!(names, ["PATH", "fprocess", "DO", "HOME"], "HOME is runc's");
    world.finish().await;
}

#[tokio::test]
async fn an_entrypoint_that_an_image_emptied_leaves_the_command() {
    let world = World::new().await;
    assert_eq!(world.run(&world.creation("f", "empty-entrypoint", "exit 3")).await.0, Exit::Code(3));
    world.finish().await;
}

#[tokio::test]
async fn an_images_user_reads_its_secrets_and_has_no_capability() {
    let world = World::new().await;
    let named = seen(&world, &report(&world, "f", "named", SpecDraft::default())).await;
    assert_eq!((named["Uid"].as_str(), named["Gid"].as_str()), ("1000 1000 1000 1000", "1001 1001 1001 1001"));
    assert!(named["Groups"].split(' ').any(|group| group == "44"), "{}", named["Groups"]);
    assert_eq!(named["cwd"], "/work");
    assert_eq!((named["secret"].as_str(), named["secret-mode"].as_str()), ("s3cret", "Ok(\"400 1000 1001\")"));
    assert_eq!(named["write-secret"], "Err(ReadOnlyFilesystem)");
    assert_has_capabilities(&named, 0);
    assert_eq!(named["low-port"], "Ok(())", "port 80 needs no capability");

    let numbered = seen(&world, &report(&world, "f", "numbered", SpecDraft::default())).await;
    assert_eq!(numbered["Uid"], "4242 4242 4242 4242");
    assert_eq!(numbered["secret-mode"], "Ok(\"400 4242 4343\")");
    world.finish().await;
}

#[tokio::test]
async fn an_image_that_can_not_run_is_the_callers_to_mend_and_leaves_nothing() {
    let world = World::new().await;
    for (image, says) in [
        ("stranger", "nobody-knows"),
        ("missing", "/nope"),
        ("not-in-path", "nope"),
        ("denied", "/not-executable"),
        ("empty", "no entrypoint"),
    ] {
        let creation = world.creation("f", image, "exit 0");
        let error = match world.create(&creation).await {
            Ok(()) => world.runtime.start(&creation.id).await.expect_err(image),
            Err(error) => error,
        };
        assert!(matches!(&error, HostError::Spec(reason) if reason.contains(says)), "{image}: {error:?}");
        if image != "empty" {
            world.collect_garbage();
            let found = world.runtime.list().await.unwrap();
            assert!(found.iter().any(|one| one.id == creation.id), "a removal has to find it: {found:?}");
        }
        world.removed(&creation.id).await;
    }
    // The kernel finds out only after runc has handed over: it ends at once, and its log says why.
    let creation = world.creation("f", "garbage", "exit 0");
    world.create(&creation).await.unwrap();
    match world.runtime.start(&creation.id).await {
        Ok(()) => {
            let (exit, log) = world.ended(&creation.id).await;
            assert_ne!(exit, Exit::Code(0));
            assert!(log.contains("exec format error"), "{log}");
        }
        Err(error) => assert!(matches!(&error, HostError::Spec(reason) if reason.contains("format")), "{error:?}"),
    }
    world.runtime.remove(&creation.id).await.unwrap();
    world.finish().await;
}

#[tokio::test]
async fn a_label_that_is_too_long_for_containerd_does_not_fail_the_deploy() {
    let world = World::new().await;
    let draft = SpecDraft {
        annotations: [("long".to_owned(), "x".repeat(10_000)), ("short".to_owned(), "y".to_owned())].into(),
        env_vars: [("DO".to_owned(), "exit 0".to_owned())].into(),
        ..SpecDraft::default()
    };
    let creation = world.creation_of("f", "root", draft);
    world.up(&creation).await;
    assert!(world.ctr(&["containers", "info", creation.id.as_str()]).contains("com.openfaas.annotations.short"));
    world.runtime.remove(&creation.id).await.unwrap();
    world.finish().await;
}
