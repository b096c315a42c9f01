//! Names that a test's actord looks up. What it asks is the C library; before that stands a library of the test's, which
//! answers names below `test.` from a file: `names/preload.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::actord::Actord;

/// See the module.
pub(crate) struct Names {
    library: PathBuf,
    file: PathBuf,
}

impl Names {
    /// Builds the library into this directory.
    pub(crate) fn new(directory: &Path) -> Self {
        let (library, file) = (directory.join("names.so"), directory.join("names"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/names/preload.rs");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let flags = ["--edition", "2024", "--crate-type", "cdylib", "-C", "panic=abort", "-o"];
        let built = Command::new(rustc).args(flags).args([&library, &source]).status().unwrap();
        assert!(built.success(), "{built}");
        fs::write(&file, "").unwrap();
        Self { library, file }
    }

    /// From its next life on it looks names up here.
    pub(crate) fn serve(&self, actord: &mut Actord) {
        actord.set_variable("LD_PRELOAD", self.library.to_str().unwrap());
        actord.set_variable("TEST_NAMES", self.file.to_str().unwrap());
    }

    /// What is known from now on: lines of a name and its answers, of which each look-up gets the next.
    pub(crate) fn are(&self, lines: &str) {
        fs::write(&self.file, lines).unwrap();
    }
}
