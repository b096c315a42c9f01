//! The files: one that is written, and a few that are full, so many bytes in all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// So many there are, with the one that is written.
const FILES: u64 = 4;

/// Writes lines. They are opened when there is something to write, and anew after every error, and where the one that is
/// written was moved or removed.
pub(super) struct Files {
    directory: PathBuf,
    /// The most bytes of one.
    most: u64,
    open: Option<(File, u64)>,
}

impl Files {
    /// Of a directory, of at most `space` bytes together.
    pub(super) fn new(directory: &Path, space: u64) -> Self {
        Self { directory: directory.to_owned(), most: space / FILES, open: None }
    }

    /// Writes a whole line or nothing.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let (mut file, mut length) = match self.open.take() {
            Some((file, length)) if self.is_in_place(&file) => (file, length),
            _ => self.open()?,
        };
        if length > 0 && length + line.len() as u64 > self.most {
            drop(file);
            self.turn_over()?;
            (file, length) = self.open()?;
        }
        if let Err(error) = file.write_all(line) {
            // Half a line would spoil the next.
            let _ = file.set_len(length);
            return Err(error);
        }
        self.open = Some((file, length + line.len() as u64));
        Ok(())
    }

    /// Returns when what was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |(file, _)| file.sync_data())
    }

    fn path(&self, age: u64) -> PathBuf {
        self.directory.join(if age == 0 { "audit.log".to_owned() } else { format!("audit.log.{age}") })
    }

    /// Whether this is the file that people look for.
    fn is_in_place(&self, file: &File) -> bool {
        let id = |of: fs::Metadata| (of.dev(), of.ino());
        file.metadata().map(id).ok().is_some_and(|open| fs::metadata(self.path(0)).map(id).ok() == Some(open))
    }

    /// The file to go on with, and its length. A power cut may have left it with half a line.
    fn open(&self) -> io::Result<(File, u64)> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(self.path(0))?;
        let mut length = file.metadata()?.len();
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                length += 1;
            }
        }
        Ok((file, length))
    }

    /// Makes room for a new one; the oldest goes.
    fn turn_over(&self) -> io::Result<()> {
        for age in (0..FILES - 1).rev() {
            match fs::rename(self.path(age), self.path(age + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn text(files: &Files, age: u64) -> String {
        fs::read_to_string(files.path(age)).unwrap_or_default()
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes() {
        let home = tempfile::tempdir().unwrap();
        let mut files = Files::new(&home.path().join("audit"), 40);
        for n in 0..12 {
            files.write(format!("{n:04}\n").as_bytes()).unwrap();
        }
        let all: Vec<String> = (0..FILES).map(|age| text(&files, age)).collect();
        assert_eq!(all, ["0010\n0011\n", "0008\n0009\n", "0006\n0007\n", "0004\n0005\n"]);
        assert_eq!(fs::read_dir(home.path().join("audit")).unwrap().count() as u64, FILES);
        for (path, mode) in [(files.path(0), 0o600), (home.path().join("audit"), 0o700)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    #[test]
    fn a_line_that_is_longer_than_a_file_is_written_all_the_same() {
        let home = tempfile::tempdir().unwrap();
        let mut files = Files::new(home.path(), 40);
        files.write(b"a\n").unwrap();
        files.write(b"a long line of text\n").unwrap();
        assert_eq!((text(&files, 0).as_str(), text(&files, 1).as_str()), ("a long line of text\n", "a\n"));
    }

    #[test]
    fn what_comes_after_half_a_line_is_a_line_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("audit.log"), "{\"time\"").unwrap();
        Files::new(home.path(), 4096).write(b"{}\n").unwrap();
        assert_eq!(fs::read_to_string(home.path().join("audit.log")).unwrap(), "{\"time\"\n{}\n");
    }

    #[test]
    fn a_disk_that_was_full_is_written_to_again_as_soon_as_it_has_room() {
        let home = tempfile::tempdir().unwrap();
        let mut files = Files::new(home.path(), 4096);
        symlink("/dev/full", files.path(0)).unwrap();
        assert_eq!(files.write(b"{}\n").unwrap_err().kind(), ErrorKind::StorageFull);
        fs::remove_file(files.path(0)).unwrap();
        files.write(b"{}\n").unwrap();
        assert_eq!(text(&files, 0), "{}\n");
    }

    #[test]
    fn after_the_file_was_moved_or_removed_there_is_another() {
        let home = tempfile::tempdir().unwrap();
        let mut files = Files::new(home.path(), 4096);
        files.write(b"1\n").unwrap();
        fs::rename(files.path(0), home.path().join("kept")).unwrap();
        files.write(b"2\n").unwrap();
        fs::remove_file(files.path(0)).unwrap();
        files.write(b"3\n").unwrap();
        assert_eq!(
            (fs::read_to_string(home.path().join("kept")).unwrap().as_str(), text(&files, 0).as_str()),
            ("1\n", "3\n")
        );
    }
}
