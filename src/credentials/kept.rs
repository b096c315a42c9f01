//! The file of tokens: replaced whole, with a checksum, so that a bit that flips on a disk makes no token reach further.

use std::fs;
use std::path::Path;

use super::checked::{self, Found};
use super::token::Token;
use crate::data_dir::DataDirError;

const FILE: &str = "tokens.json";
/// Where a file goes that can't be read.
const DAMAGED: &str = "tokens.json.damaged";
/// What the list is called in it.
const KEY: &str = "tokens";

/// The tokens of a directory. Of a file that is damaged none holds any more: it is put aside, and an error is logged.
///
/// # Errors
/// When the file is there and the system won't give it, or a newer actord wrote it.
pub(super) fn read(directory: &Path) -> Result<Vec<Token>, DataDirError> {
    let path = directory.join(FILE);
    match checked::read(&path, KEY)? {
        Found::Nothing => Ok(Vec::new()),
        Found::Whole(tokens) => Ok(tokens),
        Found::Newer => {
            let newer = "is of a newer actord: start that one, or move the file away to go on without its tokens";
            Err(DataDirError::Content(path, newer))
        }
        Found::Damaged(reason) => {
            let aside = directory.join(DAMAGED);
            fs::rename(&path, &aside).map_err(|error| DataDirError::Io(aside.clone(), error))?;
            tracing::error!(
                reason, aside = %aside.display(),
                "the file of tokens is damaged: it is put aside, and no token holds. Make new ones with `actord token create`"
            );
            Ok(Vec::new())
        }
    }
}

/// Makes these the tokens of the directory. They are on the disk when this returns.
///
/// # Errors
/// When they can't be written; the file is then as it was.
pub(super) fn write(directory: &Path, tokens: &[Token]) -> Result<(), DataDirError> {
    checked::write(&directory.join(FILE), KEY, tokens)
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
        checked::write(&file, KEY, known.as_array().unwrap()).unwrap();
        assert_eq!(read(home.path()).unwrap().len(), 2);
        let newer = fs::read_to_string(&file).unwrap().replacen("\"version\": 1", "\"version\": 2", 1);
        for text in [newer.as_str(), r#"{"version":2,"sum":"blake3:00","of":{}}"#] {
            fs::write(&file, text).unwrap();
            let refused = read(home.path()).unwrap_err().to_string();
            assert!(refused.contains(FILE) && refused.contains("newer actord"), "{refused}");
            assert!(file.exists());
        }
    }

    #[test]
    fn tokens_that_an_earlier_actord_wrote_are_read() {
        let home = tempfile::tempdir().unwrap();
        let all = tokens();
        let list = serde_json::to_value(&all).unwrap().to_string();
        let sum = String::from(crate::credentials::Digest::of(list.as_bytes()));
        let text = format!(r#"{{"version":1,"checksum":"{sum}","tokens":{list}}}"#);
        fs::write(home.path().join(FILE), text).unwrap();
        assert_eq!(read(home.path()).unwrap(), all);
    }
}
