//! The program as it is called: verbs, errors and exit codes.

#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use std::path::Path;
use std::process::{Command, Output};

fn actord(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_actord")).args(arguments).env_remove("RUST_LOG").output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_says_its_version_and_its_verbs() {
    let version = format!("actord {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(actord(&["version"]).stdout).unwrap(), version);
    let help = String::from_utf8(actord(&["--help"]).stdout).unwrap();
    for verb in ["up", "down", "image", "version"] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} is not in:\n{help}");
    }
}

#[test]
fn a_wrong_setting_ends_with_2_and_a_sentence_before_anything_starts() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_actord"))
        .args(["up", "--data-dir", data.to_str().unwrap()])
        .env("ACTORD_CNI_SUBNET", "10.62.0.1/16")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean 10.62.0.0/16?"), "{}", stderr(&output));
    assert!(!data.exists());
}

#[test]
fn the_environment_beats_the_file() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let file = home.path().join("actord.toml");
    std::fs::write(&file, format!("state-dir = \"{}/run\"\n", data.display())).unwrap();
    // It gets no further than this lock, which it tries after its settings were accepted.
    let _held = actord::data_dir::DataDir::open(&data).unwrap();
    let up = |state_dir: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_actord"));
        command.args(["up", "--data-dir", data.to_str().unwrap()]).env("ACTORD_CONFIG", &file);
        if let Some(state_dir) = state_dir {
            command.env("ACTORD_STATE_DIR", state_dir);
        }
        command.output().unwrap()
    };
    assert!(stderr(&up(None)).contains("one inside the other"), "{}", stderr(&up(None)));
    let accepted = up(Some(&home.path().join("state")));
    assert!(stderr(&accepted).contains("running actord"), "{}", stderr(&accepted));
}

#[test]
fn a_second_actord_on_the_same_data_is_kept_out_by_name() {
    let home = tempfile::tempdir().unwrap();
    let held = actord::data_dir::DataDir::open(home.path()).unwrap();
    for verb in ["up", "down"] {
        let output = actord(&[verb, "--data-dir", home.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&format!("pid {}", std::process::id())), "{}", stderr(&output));
    }
    drop(held);
}

#[test]
fn pack_writes_an_archive_that_is_the_same_each_time() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("hello.txt");
    std::fs::write(&source, "hello").unwrap();
    let pack = |output: &Path| {
        let file = format!("{}:/etc/hello.txt:644", source.display());
        let done = actord(&[
            "image",
            "pack",
            "--reference",
            "docker.io/actord/hello:1",
            "--file",
            &file,
            "--entrypoint",
            "/hello",
            "--cmd",
            "-v",
            "--env",
            "A=1",
            "--label",
            "b=2",
            "--port",
            "8080/tcp",
            "--output",
            output.to_str().unwrap(),
        ]);
        assert!(done.status.success(), "{}", stderr(&done));
        std::fs::read(output).unwrap()
    };
    let first = pack(&home.path().join("1.tar"));
    assert!(first == pack(&home.path().join("2.tar")));
    let names: Vec<_> = tar::Archive::new(first.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(names.iter().any(|name| name == "index.json"), "{names:?}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 3, "nothing unfinished is left");
}

#[test]
fn pack_names_the_file_that_it_can_not_read() {
    let output =
        actord(&["image", "pack", "--reference", "hello:1", "--file", "/nonexistent:/hello", "--output", "/dev/null"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent"), "{}", stderr(&output));
}
