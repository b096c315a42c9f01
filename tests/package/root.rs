//! A machine for the package's scripts: a root directory, and stand-ins for what would reach the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each stand-in writes down how it was called. `asked` answers for a unit that an operator disabled: no.
const STAND_IN: &str = "#!/bin/sh
echo \"${0##*/} $*\" >>\"$DPKG_ROOT/calls\"
case \"$*\" in *was-enabled*) [ ! -e \"$DPKG_ROOT/disabled\" ] ;; esac
";

/// The program that is installed: it ends as `$DPKG_ROOT/ends` says.
const ACTORD: &str = "#!/bin/sh
echo \"actord $*\" >>\"$DPKG_ROOT/calls\"
exit \"$(cat \"$DPKG_ROOT/ends\" 2>/dev/null || echo 0)\"
";

/// A root directory; what is left of it goes with this value.
pub(crate) struct Root {
    directory: tempfile::TempDir,
}

impl Root {
    /// A machine on which the package's files lie, and systemd runs.
    pub(crate) fn installed() -> Self {
        let root = Self { directory: tempfile::tempdir().unwrap() };
        for name in ["deb-systemd-helper", "deb-systemd-invoke", "systemctl"] {
            root.put(&format!("bin/{name}"), STAND_IN, 0o755);
        }
        root.put("usr/bin/actord", ACTORD, 0o755);
        root.put("etc/actord/actord.toml", "# as it came\n", 0o644);
        fs::create_dir_all(root.path("run/systemd/system")).unwrap();
        root
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The names in a directory, in order.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs a script of the package as dpkg does; returns what it says.
    pub(crate) fn run(&self, script: &str, arguments: &[&str]) -> String {
        self.run_below(script, arguments, &[])
    }

    /// The same, below a process whose command line has these words at its end, as dpkg's has the packages.
    pub(crate) fn run_below(&self, script: &str, arguments: &[&str], words: &[&Path]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/debian").join(script);
        let line = format!("/bin/sh {} {}; exit $?", script.display(), arguments.join(" "));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &line, "dpkg"]).args(words).current_dir(self.directory.path());
        command.env("DPKG_ROOT", self.directory.path());
        command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("bin").display()));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {}: {said}", output.status);
        said.into_owned()
    }

    /// What the stand-ins were asked for since this was last looked at.
    pub(crate) fn asked(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.path("calls"));
        calls.lines().map(str::to_owned).collect()
    }
}
