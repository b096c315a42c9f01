//! A list in a file that is replaced whole, with a checksum: so that a bit that flips on a disk lets nobody do more.
//!
//! ```text
//! { "version": 1, "checksum": "<SHA-256 of the list as JSON>", "<key>": [...] }
//! ```

use std::path::Path;
use std::{fs, io};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::digest::Digest;
use crate::data_dir::{DataDirError, write_atomically};

/// What the items mean, as far as a file goes: a later one may mean something that this actord would misread.
pub(super) const VERSION: u64 = 1;

/// What was found in the place of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// There is no such file.
    Nothing,
    /// A newer actord wrote it, perhaps in another form.
    Newer,
    /// It is not what was written, and why.
    Damaged(String),
    /// As it was written, also with what this actord does not know of its items.
    Whole(Vec<T>),
}

/// Reads the list of this key.
///
/// # Errors
/// When the file is there and the system won't give it.
pub(super) fn read<T: DeserializeOwned>(path: &Path, key: &str) -> Result<Found<T>, DataDirError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(DataDirError::Io(path.to_owned(), error)),
    };
    Ok(parse(&text, key).unwrap_or_else(Found::Damaged))
}

fn parse<T: DeserializeOwned>(text: &[u8], key: &str) -> Result<Found<T>, String> {
    let mut content: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match content["version"].as_u64() {
        Some(version) if version > VERSION => return Ok(Found::Newer),
        Some(VERSION) => {}
        _ => return Err("its version is missing".to_owned()),
    }
    let items = content[key].take();
    if content["checksum"] != json!(checksum(&items)) {
        return Err("its checksum is another".to_owned());
    }
    serde_json::from_value(items).map(Found::Whole).map_err(|error| error.to_string())
}

/// The same for the same content, however it is laid out.
fn checksum(items: &Value) -> Digest {
    Digest::of(items.to_string().as_bytes())
}

/// Makes this the list of the key. It is on the disk when this returns, and root alone reads it.
///
/// # Errors
/// When it can't be written; the file is then as it was.
pub(super) fn write<T: Serialize>(path: &Path, key: &str, items: &[T]) -> Result<(), DataDirError> {
    let failed = |error: serde_json::Error| DataDirError::Io(path.to_owned(), error.into());
    let items = serde_json::to_value(items).map_err(failed)?;
    let content = json!({ "version": VERSION, "checksum": checksum(&items), key: items });
    let bytes = serde_json::to_vec_pretty(&content).map_err(failed)?;
    write_atomically(path, &bytes, 0o600)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_only_root_can() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("list.json");
        assert_eq!(read::<u8>(&path, "all").unwrap(), Found::Nothing);
        for list in [&[1_u8][..], &[], &[1, 2]] {
            write(&path, "all", list).unwrap();
            assert_eq!(read(&path, "all").unwrap(), Found::Whole(list.to_vec()));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(read::<u8>(&path, "others").unwrap(), Found::Damaged(_)), "another key is another file");
    }

    #[test]
    fn what_is_not_what_was_written_is_damaged_and_what_a_later_one_wrote_is_newer() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("list.json");
        write(&path, "all", &[17_u8]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for (from, to) in [("17", "18"), ("{", ""), ("version", "session"), ("\"version\": 1", "\"version\": 0")] {
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            assert!(matches!(read::<u8>(&path, "all").unwrap(), Found::Damaged(_)), "{from} {to}");
        }
        for newer in [text.replacen("\"version\": 1", "\"version\": 2", 1), r#"{"version":3,"of":{}}"#.to_owned()] {
            fs::write(&path, newer).unwrap();
            assert_eq!(read::<u8>(&path, "all").unwrap(), Found::Newer);
        }
    }
}
