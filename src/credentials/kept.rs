//! The file of tokens: replaced whole, with a checksum, so that a bit that flips on a disk makes no token reach further.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::Digest;
use super::token::Token;
use crate::data_dir::{DataDirError, write_atomically};

const FILE: &str = "tokens.json";
/// Where a file goes that can't be read.
const DAMAGED: &str = "tokens.json.damaged";

/// What a token means, as far as the file goes: a later one may mean something that this actord would misread.
const VERSION: u32 = 1;

/// What a file of any version says, also one that an actord to come lays out in another way.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    version: u32,
    /// Of `tokens` as they stand in the file, with what this actord does not know of them.
    checksum: Digest,
    tokens: Value,
}

/// The tokens of a directory. Of a file that is damaged none holds any more: it is put aside, and an error is logged.
///
/// # Errors
/// When the file is there and the system won't give it, or a newer actord wrote it.
pub(super) fn read(directory: &Path) -> Result<Vec<Token>, DataDirError> {
    let path = directory.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DataDirError::Io(path, error)),
    };
    if serde_json::from_slice(&text).is_ok_and(|Versioned { version }| version > VERSION) {
        let newer = "is of a newer actord: start that one, or move the file away to go on without its tokens";
        return Err(DataDirError::Content(path, newer));
    }
    parse(&text).and_then(|content| tokens(content.tokens)).or_else(|reason| {
        let aside = directory.join(DAMAGED);
        fs::rename(&path, &aside).map_err(|error| DataDirError::Io(aside.clone(), error))?;
        tracing::error!(
            reason, aside = %aside.display(),
            "the file of tokens is damaged: it is put aside, and no token holds. Make new ones with `actord token create`"
        );
        Ok(Vec::new())
    })
}

fn parse(text: &[u8]) -> Result<Content, String> {
    let content: Content = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let is_whole = checksum(&content.tokens) == content.checksum;
    is_whole.then_some(content).ok_or_else(|| "its checksum is another".to_owned())
}

fn tokens(value: Value) -> Result<Vec<Token>, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// The same for the same content, however it is laid out.
fn checksum(tokens: &Value) -> Digest {
    Digest::of(tokens.to_string().as_bytes())
}

/// Makes these the tokens of the directory. They are on the disk when this returns.
///
/// # Errors
/// When they can't be written; the file is then as it was.
pub(super) fn write(directory: &Path, tokens: &[Token]) -> Result<(), DataDirError> {
    let path = directory.join(FILE);
    let failed = |error: serde_json::Error| DataDirError::Io(path.clone(), error.into());
    let tokens = serde_json::to_value(tokens).map_err(failed)?;
    let content = Content { version: VERSION, checksum: checksum(&tokens), tokens };
    let bytes = serde_json::to_vec_pretty(&content).map_err(failed)?;
    write_atomically(&path, &bytes, 0o600)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use jiff::Timestamp;

    use super::*;
    use crate::credentials::{Reach, Scope};

    fn tokens() -> Vec<Token> {
        let reach = Reach::try_from(vec!["dev".to_owned()]).unwrap();
        let make = |id: &str| {
            Token::make(id.into(), reach.clone(), [Scope::Read].into(), None, "CI".into(), Timestamp::UNIX_EPOCH)
        };
        vec![make("t-1").unwrap().0, make("t-2").unwrap().0]
    }

    #[test]
    fn tokens_are_read_as_they_were_written_and_only_root_can() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(read(home.path()).unwrap(), []);
        write(home.path(), &tokens()[..1]).unwrap();
        let two = tokens();
        write(home.path(), &two).unwrap();
        assert_eq!(read(home.path()).unwrap(), two);
        assert_eq!(fs::metadata(home.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn of_a_file_that_was_changed_no_token_holds_and_it_is_kept_aside() {
        for change in [("dev", "def"), ("read", "write"), ("{", "")] {
            let home = tempfile::tempdir().unwrap();
            write(home.path(), &tokens()).unwrap();
            let text = fs::read_to_string(home.path().join(FILE)).unwrap();
            fs::write(home.path().join(FILE), text.replacen(change.0, change.1, 1)).unwrap();
            assert_eq!(read(home.path()).unwrap(), [], "{change:?}");
            assert!(home.path().join(DAMAGED).exists() && !home.path().join(FILE).exists());
            assert_eq!(read(home.path()).unwrap(), []);
        }
    }

    #[test]
    fn what_a_later_actord_says_of_a_token_is_left_out_and_a_file_of_another_version_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(FILE);
        let mut known = serde_json::to_value(tokens()).unwrap();
        known[0]["last_used"] = "yesterday".into();
        let rewrite = |version: u32| {
            let content = Content { version, checksum: checksum(&known), tokens: known.clone() };
            fs::write(&file, serde_json::to_vec(&content).unwrap()).unwrap();
        };
        rewrite(VERSION);
        assert_eq!(read(home.path()).unwrap().len(), 2);
        rewrite(VERSION + 1);
        let refused = read(home.path()).unwrap_err().to_string();
        assert!(refused.contains(FILE) && refused.contains("newer actord"), "{refused}");
        fs::write(&file, r#"{"version":2,"sum":"blake3:00","of":{}}"#).unwrap();
        let refused = read(home.path()).unwrap_err().to_string();
        assert!(refused.contains("newer actord"), "also where all else is laid out in another way: {refused}");
        assert!(file.exists());
    }
}
