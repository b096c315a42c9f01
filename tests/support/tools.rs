//! Programs that `config/setup` unpacks or installs for the tests.

use std::path::{Path, PathBuf};

/// A program below `target/tools`, which `config/setup` with this flag has put there.
pub(crate) fn tool(path: &str, flag: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("tools").join(path);
    assert!(program.exists(), "{} is not there: config/setup {flag} puts it there", program.display());
    program
}
