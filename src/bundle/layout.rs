//! How a bundle lies in a tar: blocks, and what its names may be. Pure.

use std::io;

use sha2::{Digest as _, Sha256};

use super::{DEBS, IMAGES, INSTALL, PACKAGE, PROGRAM, STACKS};

/// The unit of a tar.
pub(super) const BLOCK: u64 = 512;
/// What ends it.
pub(super) const END: u64 = 2 * BLOCK;
/// What comes first, and what must be its sum.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const MANIFEST_SUM: &str = "manifest.sha256";
/// More than any manifest has: there is a line for each image and package.
pub(super) const MANIFEST_MAX: u64 = 4 << 20;
/// As long as a name fits into one block of a tar.
const NAME_MAX: usize = 100;

/// The block before a file. The same name, size and kind always make the same one.
pub(super) fn header(name: &str, size: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_mode(if is_program(name) { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

/// What fills the last block of a file.
pub(super) fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

/// All blocks of a file; none where no number says it.
pub(super) fn blocks(size: u64) -> Option<u64> {
    size.checked_add(padding(size))?.checked_add(BLOCK)
}

/// The line that says what a manifest's sum is, as `sha256sum` writes it.
pub(super) fn sum_line(manifest: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", hex(Sha256::digest(manifest).as_slice()))
}

/// A finished hash, as it is written.
pub(super) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a file of this name is run.
pub(super) fn is_program(name: &str) -> bool {
    matches!(name, INSTALL | PROGRAM)
}

/// Where a file of a bundle comes in it; none: no bundle has a file of that name.
///
/// A name leads to a place inside of a directory and nowhere else: plain words, none of them hidden, and no word that a
/// command could take for a flag.
pub(super) fn place(name: &str) -> Option<usize> {
    if name.len() > NAME_MAX {
        return None;
    }
    let words: Vec<&str> = name.split('/').collect();
    if !words.iter().all(|word| is_plain(word)) {
        return None;
    }
    match words.as_slice() {
        [INSTALL] => Some(0),
        [PROGRAM] => Some(1),
        [PACKAGE] => Some(2),
        [DEBS, file] if file.ends_with(".deb") => Some(3),
        [IMAGES, file] if file.ends_with(".tar") => Some(4),
        [STACKS, _, ..] => Some(5),
        _ => None,
    }
}

fn is_plain(word: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~%@=-".contains(&byte);
    !word.is_empty() && !word.starts_with(['.', '-']) && word.bytes().all(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_but_into_the_folders_of_a_bundle() {
        let names =
            ["install", "actord", "actord.deb", "debs/a_1%3a2~x+b.deb", "images/sha256-1.tar", "stacks/e/v.yml"];
        assert_eq!(names.map(place), [0, 1, 2, 3, 4, 5].map(Some));
        let long = format!("stacks/{}", "a".repeat(NAME_MAX));
        for name in [
            "",
            "/",
            "/etc/passwd",
            "stacks",
            "stacks/",
            "stacks//a",
            "stacks/../a",
            "stacks/..",
            "../a",
            "./install",
            "stacks/.hidden",
            "stacks/-rf",
            "stacks/a b",
            "stacks/a\nb",
            "stacks/\u{e9}",
            "debs/a.sh",
            "debs/x/a.deb",
            "images/a.deb",
            "manifest.json",
            "etc/passwd",
            &long,
        ] {
            assert_eq!(place(name), None, "{name:?}");
        }
    }

    #[test]
    fn files_fill_whole_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
        assert_eq!([0, 1, 512, 513].map(blocks), [512, 1024, 1024, 1536].map(Some));
        assert_eq!(blocks(u64::MAX), None);
    }
}
