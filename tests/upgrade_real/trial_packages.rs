//! An upgrade by a Debian package, and back by the one before it: with a dpkg that has a database of its own, so that nothing is
//! installed on this machine but below the test's directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::machine::{Machine, Said};
use crate::manager::until;

const OLD: &str = "0.1.0-1";

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn architecture() -> String {
    output(Command::new("dpkg").arg("--print-architecture"))
}

/// A machine whose program is the package's of version [`OLD`], as far as its dpkg knows.
struct Packaged {
    machine: Machine,
    directory: PathBuf,
}

impl Packaged {
    async fn start() -> Self {
        let machine = Machine::start().await;
        let directory = machine.manager.actord.directory().to_owned();
        let dpkg = directory.join("dpkg");
        for made in ["info", "updates", "triggers"] {
            fs::create_dir_all(dpkg.join(made)).unwrap();
        }
        let control = control(OLD).replace("Maintainer", "Status: install ok installed\nMaintainer");
        for (file, text) in [
            ("status", control),
            ("available", String::new()),
            ("info/format", "1\n".to_owned()),
            ("info/actord.list", format!("/.\n{}\n", machine.program.display())),
        ] {
            fs::write(dpkg.join(file), text).unwrap();
        }
        fs::write(directory.join("dpkg.log"), "").unwrap();
        Self { machine, directory }
    }

    /// A package of this version, with this program in the place of the one that runs.
    fn package(&self, version: &str, program: &Path) -> PathBuf {
        let tree = self.directory.join(format!("tree-{version}"));
        let inside = tree.join(self.machine.program.strip_prefix("/").unwrap());
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        fs::create_dir(tree.join("DEBIAN")).unwrap();
        fs::write(tree.join("DEBIAN/control"), control(version)).unwrap();
        fs::copy(program, &inside).unwrap();
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o755)).unwrap();
        // As the test's directory is: nobody else's.
        let own = self.directory.strip_prefix("/").unwrap();
        fs::set_permissions(tree.join(own), fs::Permissions::from_mode(0o700)).unwrap();
        let deb = self.directory.join(format!("actord_{version}.deb"));
        output(Command::new("dpkg-deb").args(["-Znone", "--build"]).args([&tree, &deb]));
        fs::remove_dir_all(&tree).unwrap();
        deb
    }

    /// Upgrades to this package, where dpkg's files are the test's own.
    async fn upgrade(&self, deb: &Path, more: &[&str]) -> Said {
        let mounts = "mount --bind \"$1/dpkg\" /var/lib/dpkg && \
                      { [ ! -e /var/log/dpkg.log ] || mount --bind \"$1/dpkg.log\" /var/log/dpkg.log; } && \
                      shift && exec \"$@\"";
        let mut command = tokio::process::Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", mounts, "sh"]).arg(&self.directory);
        Said::by(self.machine.command_by(command, more).arg(deb).spawn().unwrap()).await
    }

    /// What its dpkg says of the package.
    fn installed(&self) -> String {
        let mut query = Command::new("dpkg-query");
        query.arg("--admindir").arg(self.directory.join("dpkg"));
        output(query.args(["--showformat", "${Version} ${db:Status-Status}", "--show", "actord"]))
    }
}

fn control(version: &str) -> String {
    let architecture = architecture();
    format!(
        "Package: actord\nMaintainer: nobody <nobody@example.org>\nArchitecture: {architecture}\nVersion: {version}\n\
         Description: none\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deb_without_the_one_before_is_refused_in_words() {
    let packaged = Packaged::start().await;
    let machine = &packaged.machine;
    let new = packaged.package("0.2.0-1", &machine.other("good"));
    let refused = packaged.upgrade(&new, &[]).await;
    assert!(!refused.is_good, "{refused:?}");
    for word in [OLD, "not kept", "--before FILE.deb"] {
        assert!(refused.text.contains(word), "{word}: {refused:?}");
    }
    // Nor is one that is not the one before, nor a program in the place of a package's.
    let refused = packaged.upgrade(&new, &["--before", new.to_str().unwrap()]).await;
    assert!(!refused.is_good && refused.text.contains("0.1.0-1 is installed"), "{refused:?}");
    let refused = packaged.upgrade(&machine.other("good"), &[]).await;
    assert!(!refused.is_good && refused.text.contains("--replace-packaged"), "{refused:?}");
    assert_eq!(machine.step(), None);
    assert!(machine.runs_today());
    packaged.machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deb_whose_program_fails_goes_back_by_the_one_before_and_a_good_one_stays() {
    let packaged = Packaged::start().await;
    let machine = &packaged.machine;
    let before = machine.manager.functions();
    // As the package's own scripts keep it.
    let old = packaged.package(OLD, &machine.program);
    let debs = machine.home.join("debs");
    fs::create_dir_all(&debs).unwrap();
    fs::rename(old, debs.join(format!("actord_{OLD}_{}.deb", architecture()))).unwrap();

    let (load, _) = machine.load().await;
    let bad = packaged.package("0.2.0-1", &machine.other("no-start"));
    let said = packaged.upgrade(&bad, &[]).await;
    let (outcome, reason) = machine.outcome().await;
    assert_eq!(outcome, "went-back", "{reason}: {said:?}\n{}", machine.story());
    assert_eq!(packaged.installed(), format!("{OLD} installed"), "{}", machine.story());
    assert!(machine.runs_today(), "{}", machine.story());

    let program = machine.other("good");
    let good = packaged.package("0.3.0-1", &program);
    let said = packaged.upgrade(&good, &[]).await;
    assert_eq!(machine.outcome().await.0, "passed", "{said:?}\n{}", machine.story());
    assert_eq!(packaged.installed(), "0.3.0-1 installed", "{}", machine.story());
    assert!(machine.runs(&program), "{}", machine.story());
    let answered = load.answered();
    load.reaches(answered + 200).await;
    let seen = load.finish().await;
    println!("a package that fails, and one that is good: {seen}");
    assert_eq!(seen.failed, [""; 0], "{}", machine.story());
    assert_eq!(machine.manager.functions(), before, "the function's process was left alone");
    packaged.machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deb_is_refused_while_somebody_else_installs_packages() {
    let packaged = Packaged::start().await;
    let machine = &packaged.machine;
    let old = packaged.package(OLD, &machine.program);
    let new = packaged.package("0.2.0-1", &machine.other("good"));
    let lock = fs::File::create(packaged.directory.join("dpkg/lock-frontend")).unwrap();
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let refused = packaged.upgrade(&new, &["--before", old.to_str().unwrap()]).await;
    let pid = format!("pid {}", std::process::id());
    for word in ["somebody else installs packages now", &pid, "wait"] {
        assert!(!refused.is_good && refused.text.contains(word), "{word}: {refused:?}");
    }
    assert_eq!(machine.step(), None);
    drop(lock);
    assert!(machine.runs_today());
    packaged.machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_installs_by_dpkg_during_a_trial_stays() {
    let packaged = Packaged::start().await;
    let machine = &packaged.machine;
    let before = machine.manager.functions();
    let old = packaged.package(OLD, &machine.program);
    let new = packaged.package("0.2.0-1", &machine.other("good"));
    let program = machine.other("good too");
    let others = packaged.package("0.3.0-1", &program);
    let said = async {
        machine.reaches("trial").await;
        // Where its dpkg has the test's files, as the watcher sees them.
        let watcher = machine.watchers()[0].to_string();
        output(Command::new("nsenter").args(["--mount", "--target", &watcher, "dpkg", "--install"]).arg(&others));
    };
    let more = ["--before", old.to_str().unwrap()];
    let (said, ()) = tokio::join!(packaged.upgrade(&new, &more), said);
    let (outcome, reason) = machine.outcome().await;
    assert_eq!(outcome, "replaced", "{reason}: {said:?}\n{}", machine.story());
    assert!(said.text.contains(&reason) && reason.contains("another version"), "{said:?}");
    assert_eq!(packaged.installed(), "0.3.0-1 installed", "{}", machine.story());
    until("the operator's program runs", async || machine.runs(&program)).await;
    until("the function answers", async || machine.status("GET", "/function/hello/version", "").await == 200).await;
    assert_eq!(machine.manager.functions(), before, "the function's process was left alone");
    packaged.machine.finish().await;
}
