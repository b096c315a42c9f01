//! What can't be made or executed, in the words of either runtime.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::{Value, json};

use super::bundle::Bundle;
use super::runtimes::{by_runc, by_us, with_zygote};

/// What is wrong, the container's command, and how its spec is changed.
type Case = (&'static str, &'static [&'static str], fn(&mut Value));

const WRONG: &[Case] = &[
    ("a command that is not in PATH", &["no-such"], |_| {}),
    ("a command that is not there", &["/no/such"], |_| {}),
    ("a directory as the command", &["/etc"], |_| {}),
    ("a file that may not be executed", &["/etc/passwd"], |_| {}),
    ("a command below a file", &["/etc/passwd/x"], |_| {}),
    ("a command that is a link to itself", &["/round"], |_| {}),
    ("a working directory below a file", &["/bin/true"], |spec| spec["process"]["cwd"] = json!("/etc/passwd/x")),
    ("a working directory that is a file", &["/bin/true"], |spec| spec["process"]["cwd"] = json!("/etc/passwd")),
    ("a user whose number is too great", &["/bin/true"], |spec| {
        spec["process"]["user"]["uid"] = json!(4_000_000_000_u32);
    }),
    ("a place for a file that is a directory", &["/bin/true"], |spec| place(spec, "/srv")),
    ("a place for a file below a file", &["/bin/true"], |spec| place(spec, "/etc/passwd/hosts")),
    ("a place that leads round", &["/bin/true"], |spec| place(spec, "/round/hosts")),
    ("a place in /proc", &["/bin/true"], |spec| place(spec, "/proc/sys/kernel/x")),
    ("a source that is not there", &["/bin/true"], |spec| spec["mounts"][8]["source"] = json!("/no/such/source")),
    ("a quota that the kernel refuses", &["/bin/true"], |spec| spec["linux"]["resources"]["cpu"]["quota"] = json!(1)),
];

fn place(spec: &mut Value, at: &str) {
    spec["mounts"][8]["destination"] = json!(at);
}

/// A bundle with what the cases need.
fn bundle() -> Bundle {
    let bundle = Bundle::new();
    let root = bundle.rootfs();
    symlink("round", root.join("round")).unwrap();
    for (name, text) in
        [("script", "#!/no/such/interpreter\n"), ("text", "echo never\n"), ("elf", "\x7fELF and no more")]
    {
        fs::write(root.join(name), text).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    bundle
}

/// Where it was, and what the kernel said: the words between may differ.
fn gist(told: &str) -> (String, String) {
    let said = told.split("unable to start container process: ").nth(1).unwrap_or(told).trim();
    let said = said.split("\" level=").next().unwrap_or(said);
    let said = said.split(['\n']).next().unwrap_or(said).trim_end_matches(['"', '}']);
    let said = said.split("\",\"").next().unwrap_or(said);
    let said = said.trim_start_matches("error during container init: ");
    let stage = said.split([' ', ':']).next().unwrap_or_default();
    // A path may be named as it is inside, or on the host.
    let last = said.rsplit(": ").next().unwrap_or_default();
    (stage.to_owned(), last.rsplit("\" ").next().unwrap_or_default().to_owned())
}

#[test]
fn what_is_wrong_with_an_image_or_a_spec_is_told_as_runc_tells_it() {
    let bundle = bundle();
    with_zygote(async |zygote| {
        let mut differ = Vec::new();
        for (what, command, change) in WRONG {
            let theirs = by_runc(&bundle, command, change).expect_err(what);
            let ours = by_us(zygote, &bundle, command, change).await.expect_err(what);
            if gist(&theirs) != gist(&ours) {
                differ.push(format!("{what}:\n  runc: {theirs}\n  ours: {ours}"));
            }
        }
        assert!(differ.is_empty(), "{}", differ.join("\n"));
    });
}

#[test]
fn a_command_that_can_not_be_executed_ends_as_in_a_shell_and_says_what_runc_says() {
    let bundle = bundle();
    with_zygote(async |zygote| {
        for (command, status) in [("/script", 127), ("/text", 126), ("/elf", 126)] {
            let theirs = by_runc(&bundle, &[command], |_| {}).unwrap();
            let ours = by_us(zygote, &bundle, &[command], |_| {}).await.unwrap();
            assert_eq!((ours.status, theirs.status), (status, 1), "{command}");
            assert!(ours.wrote.starts_with(&format!("exec {command}: ")), "{}", ours.wrote);
            assert_eq!(ours.wrote, theirs.wrote);
        }
    });
}

#[test]
fn too_little_memory_is_told_as_such_or_does() {
    let bundle = bundle();
    with_zygote(async |zygote| {
        let little = |spec: &mut Value| spec["linux"]["resources"]["memory"] = json!({"limit": 65_536});
        match by_us(zygote, &bundle, &["/bin/true"], little).await {
            Err(told) => assert!(told.contains("OOM-killed") || told.contains("cannot allocate memory"), "{told}"),
            Ok(ended) => assert_eq!(ended.status, 128 + 9),
        }
    });
}
