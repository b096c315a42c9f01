//! What the runtime refuses for good: each in words to its caller, or as the exit code of a shell that can't execute a
//! command, and nothing of it is left.

use actord::function::{Exit, SpecDraft};
use actord::host::{HostError, Runtime as _};
use serde_json::{Value, json};

use crate::images::{Node, Recipe, program_with};
use crate::oci_runtimes::is_builtin;
use crate::support::World;

/// How an image is refused.
enum Refused {
    /// When it is made, in these words.
    AtOnce(&'static str),
    /// Its process ends with this code before it ran, and these words are its log.
    Exits(u32, &'static str),
}
use Refused::{AtOnce, Exits};

/// A 64-bit program for `machine` that wants an interpreter which is not there.
fn program_without_loader(machine: u16) -> &'static [u8] {
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2_u16, machine].iter().flat_map(|number| number.to_le_bytes()));
    elf.extend(1_u32.to_le_bytes());
    elf.extend([0x40_0000_u64, 64, 0].iter().flat_map(|number| number.to_le_bytes()));
    elf.extend(0_u32.to_le_bytes());
    elf.extend([64_u16, 56, 1, 0, 0, 0].iter().flat_map(|number| number.to_le_bytes()));
    let interpreter = b"/lib/no-such.so\0";
    let length = interpreter.len() as u64;
    elf.extend([3_u32, 4].iter().flat_map(|number| number.to_le_bytes()));
    elf.extend([64 + 56, 0, 0, length, length, 1].iter().flat_map(|number: &u64| number.to_le_bytes()));
    elf.extend(interpreter);
    elf.leak()
}

fn table() -> Vec<(Recipe, Refused)> {
    let (ours, foreign) = if cfg!(target_arch = "aarch64") { (183, 62) } else { (62, 183) };
    let long = format!("/{}", "n".repeat(300));
    let file = |bytes| Node::File(bytes, 0o755);
    let directory = || Node::Directory(0o755, 0, 0);
    let runs = |name: &str, config: Value, refused| (Recipe::new(name, program_with(&config)), refused);
    let holds = |name: &str, path: &'static str, node: Node, refused| {
        (Recipe::new(name, program_with(&json!({}))).with(&[(path, node)]), refused)
    };
    let starts = |name: &str, path: &'static str, node: Node, refused| {
        let config = json!({ "Entrypoint": [format!("/{path}")] });
        (Recipe::new(name, program_with(&config)).with(&[(path, node)]), refused)
    };
    vec![
        runs("no-such-file", json!({ "Entrypoint": ["/nope"] }), AtOnce("/nope")),
        runs("not-in-path", json!({ "Entrypoint": ["nope"] }), AtOnce("nope")),
        runs("relative", json!({ "Entrypoint": ["./nope"] }), AtOnce("./nope")),
        runs("not-executable", json!({ "Entrypoint": ["/not-executable"] }), AtOnce("may not be executed")),
        runs("a-directory", json!({ "Entrypoint": ["/etc"] }), AtOnce("is a directory")),
        runs("below-a-file", json!({ "Entrypoint": ["/etc/passwd/x"] }), AtOnce("leads to no file")),
        runs("long-name", json!({ "Entrypoint": [long] }), AtOnce("leads to no file")),
        runs("nul-in-command", json!({ "Entrypoint": ["/pro\0gram"] }), AtOnce("is not a path")),
        runs("nothing", json!({ "Entrypoint": [] }), AtOnce("no entrypoint")),
        starts("loop", "loop", Node::Link("/loop"), AtOnce("leads to no file")),
        starts("no-interpreter", "script", file(b"#!/no/such/sh\n"), Exits(127, "no such file")),
        starts("forbidden-interpreter", "script", file(b"#!/not-executable\n"), Exits(126, "permission denied")),
        starts("no-loader", "elf", file(program_without_loader(ours)), Exits(127, "no such file")),
        starts("foreign", "elf", file(program_without_loader(foreign)), Exits(126, "exec format error")),
        starts("garbage", "elf", file(b"\x7fnot an ELF"), Exits(126, "exec format error")),
        starts("empty-file", "elf", file(b""), Exits(126, "exec format error")),
        // runc has handed over to the process when it finds out.
        runs(
            "nul-in-argument",
            json!({ "Cmd": ["x\0y"] }),
            if is_builtin() { AtOnce("null byte") } else { Exits(126, "invalid argument") },
        ),
        runs("long-variable", json!({ "Env": [format!("A={}", "x".repeat(200_000))] }), Exits(126, "too long")),
        runs("workdir-is-a-file", json!({ "WorkingDir": "/etc/passwd" }), AtOnce("WORKDIR")),
        runs("workdir-below-a-file", json!({ "WorkingDir": "/etc/passwd/x" }), AtOnce("WORKDIR")),
        runs("workdir-with-nul", json!({ "WorkingDir": "/x\0y" }), AtOnce("WORKDIR")),
        runs("workdir-too-long", json!({ "WorkingDir": long }), AtOnce("WORKDIR")),
        runs("unknown-user", json!({ "User": "nobody-knows" }), AtOnce("nobody-knows")),
        runs("unknown-group", json!({ "User": "0:nobody-knows" }), AtOnce("nobody-knows")),
        runs("negative-user", json!({ "User": "-1" }), AtOnce("-1")),
        runs("user-beyond-the-kernels", json!({ "User": "4294967295" }), AtOnce("4294967295")),
        runs("user-beyond-runcs", json!({ "User": "4294967294:4294967294" }), AtOnce("4294967294")),
        holds("hosts-is-a-directory", "etc/hosts", directory(), AtOnce("/etc/hosts")),
        holds("hosts-in-proc", "etc/hosts", Node::Link("/proc/1/environ"), AtOnce("/etc/hosts")),
        holds("hosts-loops", "etc/hosts", Node::Link("hosts"), AtOnce("/etc/hosts")),
        holds("resolv-conf-is-a-directory", "etc/resolv.conf", directory(), AtOnce("/etc/resolv.conf")),
        holds("proc-is-a-file", "proc", file(b"x"), AtOnce("/proc")),
        holds("proc-is-a-link", "proc", Node::Link("/../../../../tmp"), AtOnce("/proc")),
        holds("sys-is-a-link", "sys", Node::Link("/etc"), AtOnce("/sys")),
        holds("dev-is-a-file", "dev", file(b"x"), AtOnce("/dev")),
        holds("tmp-is-a-file", "tmp", file(b"x"), AtOnce("/tmp")),
        holds("secrets-below-a-file", "var", file(b"x"), AtOnce("/var/openfaas/secrets")),
    ]
}

#[tokio::test]
async fn what_the_runtime_refuses_for_good_is_told_as_the_callers_at_once_and_leaves_nothing() {
    let table = table();
    let world = World::with_images(&table.iter().map(|(recipe, _)| recipe.clone()).collect::<Vec<_>>()).await;
    let mut wrong = Vec::new();
    for (recipe, refused) in &table {
        let draft = SpecDraft {
            env_vars: [("DO".to_owned(), "exit 0".to_owned())].into(),
            read_only_root_filesystem: recipe.name == "tmp-is-a-file",
            secrets: vec!["db".parse().unwrap()],
            ..SpecDraft::default()
        };
        let mut creation = world.creation_of("f", &recipe.name, draft);
        creation.secrets = [("db".parse().unwrap(), b"s3cret".to_vec())].into();
        let id = &creation.id;
        let made = match world.create(&creation).await {
            Ok(()) => world.runtime.start(id).await,
            refused => refused,
        };
        let told = match made {
            Ok(()) => {
                let (exit, log) = world.ended(id).await;
                (Ok(exit), log)
            }
            Err(HostError::Spec(words)) => (Err("the caller's"), words),
            Err(other) => (Err("the machine's"), other.to_string()),
        };
        let expected = match (refused, &told) {
            (AtOnce(part), (Err("the caller's"), words)) => words.contains(part) && words.len() < 700,
            (Exits(code, part), (Ok(exit), log)) => *exit == Exit::Code(*code) && log.contains(part),
            _ => false,
        };
        if !expected {
            wrong.push(format!("{}: {told:?}", recipe.name));
        }
        world.removed(id).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.finish().await;
}
