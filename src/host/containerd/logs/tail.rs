//! The end of a log, for a message about its instance.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The last whole lines of a file, at most `bytes` of them; of a longer line, its end.
pub(super) fn read(path: &Path, bytes: usize) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(bytes as u64);
    // One byte more: whether the first line is whole.
    file.seek(SeekFrom::Start(skipped.saturating_sub(1)))?;
    let mut read = Vec::new();
    file.take(bytes as u64 + u64::from(skipped > 0)).read_to_end(&mut read)?;
    let cut = match read.iter().position(|byte| *byte == b'\n') {
        Some(end) if skipped > 0 && end + 1 < read.len() => end + 1,
        _ => usize::from(skipped > 0).min(read.len()),
    };
    Ok(String::from_utf8_lossy(&read[cut..]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_begins_with_a_whole_line() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("f-1.log");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        for (bytes, tail) in
            [(100, "one\ntwo\nthree\n"), (14, "one\ntwo\nthree\n"), (10, "two\nthree\n"), (9, "three\n")]
        {
            assert_eq!(read(&path, bytes).unwrap(), tail, "{bytes}");
        }
        assert_eq!(read(&path, 3).unwrap(), "ee\n", "of a longer line, its end");
        assert_eq!(read(&path, 0).unwrap(), "");
    }
}
