//! What runs at installs, upgrades, removals and purges.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::root::Root;

const START: &str = "deb-systemd-invoke start actord.socket actord.service";
const TAKE_OVER: &str = "deb-systemd-invoke try-restart actord.service";
const STOP: &str = "deb-systemd-invoke stop actord.socket actord.service";
const KEPT: &str = "var/lib/actord-upgrade/debs";

/// What the package asks of systemd to run, without how units are enabled.
fn invoked(root: &Root) -> Vec<String> {
    root.asked().into_iter().filter(|call| call.starts_with("deb-systemd-invoke")).collect()
}

#[test]
fn a_first_install_enables_and_starts_and_an_upgrade_restarts_the_service_alone() {
    let root = Root::installed();
    assert_eq!(root.run("postinst", &["configure"]), "");
    let asked = root.asked();
    for unit in ["actord.socket", "actord.service", "actord-upgrade.service"] {
        assert!(asked.contains(&format!("deb-systemd-helper enable {unit}")), "{asked:?}");
    }
    assert_eq!(asked.last().unwrap(), START);
    assert_eq!(asked[asked.len() - 2], "systemctl --system daemon-reload");

    assert_eq!(root.run("prerm", &["upgrade", "0.2.0-1"]), "");
    assert_eq!(root.asked(), [""; 0], "the old actord goes on until the new program is there");
    root.run("postrm", &["upgrade", "0.2.0-1"]);
    assert_eq!(root.asked(), [""; 0]);
    assert_eq!(root.run("postinst", &["configure", "0.1.0-1"]), "");
    assert_eq!(invoked(&root), [TAKE_OVER], "the sockets are held all the while");
}

#[test]
fn while_an_upgrade_by_actord_is_on_trial_its_watcher_alone_starts_and_ends_programs() {
    let root = Root::installed();
    for file in ["trial.json", "trial.lock"] {
        root.put(&format!("var/lib/actord-upgrade/{file}"), "{}", 0o600);
    }
    let watched = File::open(root.path("var/lib/actord-upgrade/trial.lock")).unwrap();
    rustix::fs::flock(&watched, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(root.run("postinst", &["configure", "0.1.0-1"]), "");
    let asked = root.asked();
    assert_eq!(asked.last().unwrap(), "systemctl --system daemon-reload", "it finds the new units");
    assert!(!asked.iter().any(|call| call.starts_with("deb-systemd-invoke")), "{asked:?}");
}

#[test]
fn what_is_left_of_an_upgrade_that_nobody_watches_holds_up_no_other() {
    let root = Root::installed();
    root.put("bin/sleep", "#!/bin/sh\necho \"sleep $*\" >>\"$DPKG_ROOT/calls\"\n", 0o755);
    root.put("var/lib/actord-upgrade/trial.json", "{", 0o600);
    for lock in [None, Some("trial.lock")] {
        if let Some(lock) = lock {
            root.put(&format!("var/lib/actord-upgrade/{lock}"), "7", 0o600);
        }
        let said = root.run("postinst", &["configure", "0.1.0-1"]);
        assert!(said.contains("nobody watches") && said.contains("trial.json"), "{said}");
        let asked = root.asked();
        assert_eq!(asked.last().unwrap(), TAKE_OVER, "{asked:?}");
        let waited = asked.iter().filter(|call| *call == "sleep 1").count();
        assert!(waited > 5, "a watcher that was killed is started again within seconds: {asked:?}");
    }
}

#[test]
fn what_an_operator_disabled_is_not_enabled_by_an_upgrade() {
    let root = Root::installed();
    root.put("disabled", "", 0o644);
    root.run("postinst", &["configure", "0.1.0-1"]);
    let asked = root.asked();
    assert!(asked.contains(&"deb-systemd-helper update-state actord.service".to_owned()), "{asked:?}");
    assert!(!asked.iter().any(|call| call.contains(" enable ")), "{asked:?}");
}

#[test]
fn without_systemd_nothing_is_started_or_stopped() {
    let root = Root::installed();
    fs::remove_dir(root.path("run/systemd/system")).unwrap();
    for (script, arguments) in [("postinst", ["configure"]), ("prerm", ["remove"]), ("postrm", ["remove"])] {
        root.run(script, &arguments);
    }
    let asked = root.asked();
    assert!(asked.iter().all(|call| call.starts_with("deb-systemd-helper")), "{asked:?}");
}

#[test]
fn a_unit_of_make_install_is_named_because_it_goes_before_the_one_of_the_package() {
    let root = Root::installed();
    root.put("etc/systemd/system/actord.service", "", 0o644);
    let said = root.run("postinst", &["configure"]);
    assert!(said.contains("/etc/systemd/system/actord.service") && said.contains("/usr/local/bin/actord"), "{said}");
}

#[test]
fn a_removal_stops_actord_alone_and_an_install_after_it_starts_it_again() {
    let root = Root::installed();
    root.run("prerm", &["remove"]);
    assert_eq!(root.asked(), [STOP], "functions go on: their actord is not asked to remove them");
    assert_eq!(root.names("var/lib/actord-upgrade/removed"), ["actord", "actord.toml"]);
    root.run("postrm", &["remove"]);
    root.asked();

    root.run("postinst", &["configure", "0.1.0-1"]);
    assert_eq!(invoked(&root), [START]);
    assert!(!root.has("var/lib/actord-upgrade/removed"));
}

#[test]
fn a_removal_that_dpkg_takes_back_starts_actord_again() {
    let root = Root::installed();
    root.run("prerm", &["remove"]);
    root.asked();
    root.run("postinst", &["abort-remove"]);
    assert_eq!(invoked(&root), [START]);
}

/// Has the package removed, with a data directory in which an actord worked and some settings.
fn removed(data: &str, settings: &str) -> Root {
    let root = Root::installed();
    root.put("etc/actord/actord.toml", settings, 0o644);
    for name in ["host-id", "last-run.json", "actord.db", "auth/basic-auth-password"] {
        root.put(&format!("{data}/{name}"), "0", 0o600);
    }
    root.put(&format!("{KEPT}/actord_0.1.0-1_amd64.deb"), "", 0o600);
    root.run("prerm", &["remove"]);
    root.run("postrm", &["remove"]);
    root.asked();
    // As dpkg removes them before the last script runs.
    fs::remove_file(root.path("usr/bin/actord")).unwrap();
    fs::remove_file(root.path("etc/actord/actord.toml")).unwrap();
    root
}

/// How the program that was kept is asked to remove all functions.
fn down(root: &Root) -> String {
    format!("actord down --config {}", root.path("var/lib/actord-upgrade/removed/actord.toml").display())
}

#[test]
fn a_purge_removes_the_functions_by_the_settings_of_the_removed_actord_and_then_all_that_it_had() {
    let settings = "# data-dir = \"/var/lib/elsewhere\"\n  data-dir=\"/srv/functions\" # on the large disk\nlog-level = \"warn\"\n";
    for (data, settings) in [("var/lib/actord", "#data-dir = \"/srv\"\n"), ("srv/functions", settings)] {
        let root = removed(data, settings);
        root.put("run/actord/containerd.pid", "1", 0o600);
        assert_eq!(root.run("postrm", &["purge"]), "");
        let asked = root.asked();
        assert_eq!(
            asked,
            ["deb-systemd-helper purge actord.socket actord.service actord-upgrade.service", &down(&root)]
        );
        for gone in [data, "run/actord", "var/lib/actord-upgrade", "etc/actord"] {
            assert!(!root.has(gone), "{gone} is left");
        }
    }
}

#[test]
fn a_purge_that_can_not_remove_the_functions_leaves_them_their_data_and_says_how_to_end_it() {
    let root = removed("var/lib/actord", "");
    root.put("ends", "1", 0o644);
    let said = root.run("postrm", &["purge"]);
    assert!(
        said.contains("containerd") && said.contains(&down(&root).replace("actord down", "removed/actord down")),
        "{said}"
    );
    assert!(root.has("var/lib/actord/actord.db") && root.has("var/lib/actord-upgrade/removed/actord"));
}

#[test]
fn a_purge_asks_for_nothing_where_nothing_ran_and_leaves_what_no_actord_had() {
    let root = removed("var/lib/actord", "");
    fs::remove_file(root.path("var/lib/actord/last-run.json")).unwrap();
    root.run("postrm", &["purge"]);
    assert!(!root.asked().iter().any(|call| call.starts_with("actord")), "actord down was called before");
    assert!(!root.has("var/lib/actord"));

    let root = removed("var/lib/actord", "data-dir = \"/home/ann\"\n");
    root.put("home/ann/letter", "", 0o644);
    root.put("etc/actord/team.pub", "a key", 0o644);
    root.run("postrm", &["purge"]);
    assert!(root.has("home/ann/letter") && root.has("etc/actord/team.pub"));
}

/// A package with nothing in it.
fn package(directory: &Path, name: &str, version: &str) -> PathBuf {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir(tree.path().join("DEBIAN")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: ann <ann@localhost>\nDescription: none\n"
    );
    fs::write(tree.path().join("DEBIAN/control"), control).unwrap();
    let file = directory.join(format!("{name}-{version}.deb"));
    let made = Command::new("dpkg-deb").args(["-Znone", "--build"]).args([tree.path(), &file]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    file
}

#[test]
fn the_package_that_is_installed_is_kept_beside_the_one_before_it_and_no_other() {
    let root = Root::installed();
    let packages = tempfile::tempdir().unwrap();
    let other = package(packages.path(), "other", "9-1");
    for (n, version) in ["0.1.0-1", "0.1.1-1", "0.2.0-1"].into_iter().enumerate() {
        let file = package(packages.path(), "actord", version);
        assert_eq!(root.run_below("preinst", &["upgrade", "0.1.0-1"], &[&other, &file]), "");
        let kept = root.path(&format!("{KEPT}/actord_{version}_amd64.deb"));
        assert_eq!(fs::read(&kept).unwrap(), fs::read(&file).unwrap());
        // Which is older must not hang on how fast this is.
        let when = SystemTime::UNIX_EPOCH + Duration::from_secs(n as u64 + 1);
        File::options().write(true).open(&kept).unwrap().set_modified(when).unwrap();
    }
    assert_eq!(root.names(KEPT), ["actord_0.1.1-1_amd64.deb", "actord_0.2.0-1_amd64.deb"]);
}

#[test]
fn a_package_is_found_in_the_folder_of_apt_and_by_a_path_from_where_dpkg_runs() {
    let root = Root::installed();
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), "actord", "0.1.0-1");
    let words = ["--unpack", "--recursive"].map(Path::new);
    assert_eq!(root.run_below("preinst", &["install"], &[words[0], words[1], folder.path()]), "");
    assert_eq!(root.names(KEPT), ["actord_0.1.0-1_amd64.deb"]);

    package(&root.path(""), "actord", "0.1.1-1");
    assert_eq!(root.run_below("preinst", &["install"], &[Path::new("actord-0.1.1-1.deb")]), "");
    assert_eq!(root.names(KEPT).len(), 2);
}

#[test]
fn an_install_of_a_package_whose_file_is_not_to_be_found_goes_on_and_says_so() {
    let root = Root::installed();
    let said = root.run("preinst", &["install"]);
    assert!(said.contains("keep it yourself"), "{said}");
    assert_eq!(root.names(KEPT), [""; 0]);
}
