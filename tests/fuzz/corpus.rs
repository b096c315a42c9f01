//! Inputs as files: seeds, which stand for what is sent in earnest, and what was found.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The directory of one kind.
pub(crate) fn directory(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind)
}

/// All inputs of a kind for a target, by name.
pub(crate) fn read(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = directory(kind).join(target);
    let entries = fs::read_dir(&directory).into_iter().flatten().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), fs::read(directory.join(&name)).unwrap())).collect()
}

/// Keeps an input that was found, and tells where.
pub(crate) fn keep(target: &str, input: &[u8]) -> PathBuf {
    let directory = directory("found").join(target);
    fs::create_dir_all(&directory).unwrap();
    let digest = Sha256::digest(input);
    let name: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let path = directory.join(name);
    fs::write(&path, input).unwrap();
    path
}
