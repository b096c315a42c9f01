//! Which OCI runtime a test's containers have: `ACTORD_TEST_RUNTIME`, which is `builtin`, `runc` or `NAME=PATH`; actord's own
//! where it is not set. Tests that say which one they mean are not asked.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't be set up has failed")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use actord::function::{RuntimeName, RuntimeNames};
use actord::host::containerd::instances::{BUILTIN_SHIM, Runtimes};

/// The runtimes of a machine whose default is the one that is tested, and beside it those that are listed. `directory` is
/// for the link to the built-in one's shim.
pub fn runtimes(directory: &Path, listed: &[(&str, &Path)]) -> Runtimes {
    let chosen = std::env::var("ACTORD_TEST_RUNTIME").unwrap_or_default();
    let (default, path) = chosen.split_once('=').unwrap_or((&chosen, ""));
    let name = |text: &str| text.parse::<RuntimeName>().unwrap();
    let default = if default.is_empty() { RuntimeName::default() } else { name(default) };
    let own = (!path.is_empty()).then(|| (default.clone(), PathBuf::from(path)));
    let listed = listed.iter().map(|(text, path)| (name(text), path.to_path_buf()));
    let programs = own.into_iter().chain(listed).collect::<std::collections::BTreeMap<_, _>>();
    let names =
        RuntimeNames::new(default, programs.keys().cloned().chain([RuntimeName::RUNC, RuntimeName::BUILTIN].map(name)));
    Runtimes { names, programs, builtin_shim: shim(directory), shards: 2 }
}

/// The link by which containerd starts actord as a shim.
pub fn shim(directory: &Path) -> PathBuf {
    let link = directory.join("bin").join(BUILTIN_SHIM);
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_actord"), &link).unwrap();
    }
    link
}

/// Whether the tests' default is the built-in runtime.
pub fn is_builtin() -> bool {
    std::env::var("ACTORD_TEST_RUNTIME").map_or(true, |chosen| chosen.is_empty() || chosen == RuntimeName::BUILTIN)
}

/// Debian's gVisor, installed or unpacked by `config/setup --test`, as a program in `directory`. It is from before Linux 6.11,
/// where its own network stack does not start: it uses the kernel's, in the network namespace that the container is given.
pub fn runsc(directory: &Path) -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/usr/bin/runsc");
    let tools = std::env::var_os("CARGO_TARGET_DIR").map(|target| Path::new(&target).join("tools/usr/bin/runsc"));
    let known = tools.into_iter().chain([unpacked, "/usr/bin/runsc".into()]);
    let program = known.into_iter().find(|path| path.exists()).expect("runsc: config/setup --test brings it");
    let script = directory.join("runsc");
    fs::write(&script, format!("#!/bin/sh\nexec {} --network=host \"$@\"\n", program.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}
