//! A bundle comes out as it went in, or nothing does.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::layout::{self, MANIFEST, MANIFEST_SUM};
use super::read::{Wrong, read};
use super::*;

fn draft(files: &[(&str, &str)]) -> Draft {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), Content::Bytes((*text).into()))).collect();
    Draft { architecture: "amd64".to_owned(), files, ..Draft::default() }
}

/// All that there can be in one, with files of no byte, of a block and of more.
fn whole() -> Draft {
    let digest = format!("sha256:{}", "7".repeat(64));
    let blob = "b".repeat(1300);
    let image = archive(&digest);
    let mut draft = draft(&[
        ("install", "#!/bin/sh\n"),
        ("actord", &"x".repeat(512)),
        ("actord.deb", "deb"),
        ("debs/runc_1.1.5+ds1-1~b_amd64.deb", "runc"),
        (&image, &blob),
        ("stacks/env/db.yml", ""),
        ("stacks/shop.yml", "functions: {}\n"),
    ]);
    draft.package = Some(Package { version: "0.1.0-1".to_owned(), system: "debian 12".to_owned() });
    draft.images.insert("me/hello:1".to_owned(), digest);
    draft
}

fn bytes_of(draft: Draft) -> (TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.tar");
    write(&path, draft).unwrap();
    let bytes = fs::read(path).unwrap();
    (dir, bytes)
}

/// Unpacks bytes into a directory that lies in another: what is in that one afterwards, and what came of it.
fn unpacked(bytes: &[u8]) -> (Vec<String>, Result<Manifest, BundleError>) {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("b.tar");
    fs::write(&bundle, bytes).unwrap();
    let staging = Staging::make(dir.path()).unwrap();
    let done = unpack(&bundle, staging.path());
    drop(staging);
    let left = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    (left.collect(), done)
}

/// A tar of these files behind a manifest that says so of them, with sums that are right.
fn forged(names: &[&str]) -> Vec<u8> {
    let sum = layout::hex(Sha256::digest(b"evil").as_slice());
    let members: Vec<_> =
        names.iter().map(|name| serde_json::json!({"name": name, "size": 4, "sha256": sum})).collect();
    let manifest =
        serde_json::json!({"format": 1, "architecture": "amd64", "images": {}, "members": members}).to_string();
    let line = layout::sum_line(manifest.as_bytes());
    let mut bytes = Vec::new();
    let own = [(MANIFEST, manifest.as_str()), (MANIFEST_SUM, line.as_str())];
    for (name, text) in own.into_iter().chain(names.iter().map(|name| (*name, "evil"))) {
        let mut header = layout::header("x", text.len() as u64).unwrap();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

#[test]
fn what_went_in_comes_out_with_its_modes_and_any_tar_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, bytes) = bytes_of(whole());
    let into = dir.path().join("into");
    let manifest = unpack(&dir.path().join("b.tar"), &into).unwrap();
    assert_eq!(manifest.package.as_ref().unwrap().version, "0.1.0-1");
    let mut expected: Vec<_> = whole().files.into_keys().collect();
    expected.sort();
    let mut names: Vec<_> = manifest.members.iter().map(|member| member.name.clone()).collect();
    names.sort();
    assert_eq!(names, expected);
    for (name, content) in whole().files {
        let Content::Bytes(content) = content else { panic!("{name}") };
        assert_eq!(fs::read(into.join(&name)).unwrap(), content, "{name}");
        let mode = if ["install", "actord"].contains(&name.as_str()) { 0o700 } else { 0o600 };
        assert_eq!(fs::metadata(into.join(&name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    let mut tar = tar::Archive::new(bytes.as_slice());
    let found: Vec<_> =
        tar.entries().unwrap().map(|file| file.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(found[..5], ["manifest.json", "manifest.sha256", "install", "actord", "actord.deb"]);
    assert_eq!(found.len(), 2 + expected.len());
}

#[test]
fn the_same_content_becomes_the_same_bytes_and_their_sum_is_told() {
    let (dir, bytes) = bytes_of(whole());
    let file = dir.path().join("shop.yml");
    fs::write(&file, "functions: {}\n").unwrap();
    let mut again = whole();
    again.files.insert("stacks/shop.yml".to_owned(), Content::File(file));
    let path = dir.path().join("again.tar");
    let (_, sum) = write(&path, again).unwrap();
    assert_eq!(fs::read(path).unwrap(), bytes);
    assert_eq!(sum, layout::hex(Sha256::digest(&bytes).as_slice()));
}

#[test]
fn a_file_that_can_not_be_in_a_bundle_is_refused_where_it_is_made_and_no_bundle_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.tar");
    for name in ["stacks/my stack.yml", "stacks/../x.yml", "secrets/db", "stacks/.hidden.yml"] {
        let refused = write(&path, draft(&[(name, "")])).unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("rename"), "{refused}");
    }
    let mut missing = draft(&[]);
    missing.files.insert("stacks/a.yml".to_owned(), Content::File(dir.path().join("none")));
    assert!(write(&path, missing).unwrap_err().to_string().contains("none"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_name_that_climbs_out_of_the_directory_is_refused_though_its_sums_are_right() {
    let (_, done) = unpacked(&forged(&["stacks/a.yml", "stacks/b.yml"]));
    done.unwrap();
    for name in ["../evil", "/evil", "stacks/../../evil", "stacks/../evil", "stacks//evil", "etc/evil", "stacks/.evil"]
    {
        let (left, done) = unpacked(&forged(&[name]));
        let refused = done.unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("nothing was changed"), "{refused}");
        assert_eq!(left, ["b.tar"], "{name}");
    }
}

#[test]
fn what_the_tar_says_beside_the_manifest_is_refused() {
    let (_, bytes) = bytes_of(draft(&[("stacks/a.yml", "one")]));
    // Its header, its only block, the end.
    let at = bytes.len() - 3 * 512 - 512;
    let changed = |change: &dyn Fn(&mut tar::Header)| {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes().copy_from_slice(&bytes[at..at + 512]);
        change(&mut header);
        header.set_cksum();
        let mut bytes = bytes.clone();
        bytes[at..at + 512].copy_from_slice(header.as_bytes());
        unpacked(&bytes).1
    };
    changed(&|_| {}).unwrap();
    let links: [&dyn Fn(&mut tar::Header); 5] = [
        &|header| header.set_entry_type(tar::EntryType::Symlink),
        &|header| header.set_entry_type(tar::EntryType::Link),
        &|header| header.set_entry_type(tar::EntryType::GNULongName),
        &|header| header.set_mode(0o4755),
        &|header| header.set_size(0),
    ];
    for change in links {
        let refused = changed(change).unwrap_err().to_string();
        assert!(refused.contains("stacks/a.yml"), "{refused}");
    }
}

#[test]
fn a_whole_one_is_taken() {
    assert_eq!(looked_at(&WHOLE).unwrap().members.len(), whole().files.len());
}

#[test]
fn what_is_no_bundle_is_told_from_one_that_was_damaged() {
    for (bytes, expected) in [
        (Vec::new(), "cut short"),
        (vec![0; 5000], "does not begin with manifest.json"),
        (b"functions:\n".repeat(100), "does not begin with manifest.json"),
        ([bytes_of(whole()).1, vec![0; 512]].concat(), "longer than"),
    ] {
        let refused = unpacked(&bytes).1.unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
    let missing = unpack(Path::new("/no/such/bundle.tar"), Path::new("/no")).unwrap_err().to_string();
    assert!(missing.contains("/no/such/bundle.tar"), "{missing}");
}

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| bytes_of(whole()).1);

fn looked_at(bytes: &[u8]) -> Result<Manifest, Wrong> {
    read(&mut &*bytes, bytes.len() as u64, &mut |_: &Member| Ok(io::sink()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever place it is: manifest, header, content, what fills a block, the end.
    #[test]
    fn one_byte_that_is_changed_is_found(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = WHOLE.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let found = looked_at(&bytes);
        prop_assert!(matches!(found, Err(Wrong::Content(_) | Wrong::Input(_))), "byte {}: {:?}", at, found);
    }

    #[test]
    fn one_that_is_cut_short_is_found(left in any::<prop::sample::Index>()) {
        let refused = looked_at(&WHOLE[..left.index(WHOLE.len())]);
        prop_assert!(
            match &refused {
                Err(Wrong::Content(why)) => why.contains("cut short"),
                Err(Wrong::Input(error)) => error.kind() == io::ErrorKind::UnexpectedEof,
                _ => false,
            },
            "{:?}",
            refused
        );
    }
}
