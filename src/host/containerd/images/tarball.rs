//! Reading a tar archive, plain or compressed by gzip or zstd, on a thread of its own: files come out in parts, none of them held whole.
//!
//! Nothing is written to the file system here, and still a path that points outside of the archive ends the reading:
//! who sends one means no good.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc;

use super::digest::digest_name;
use super::ingest::CHUNK;
use super::zstd::{self, Frames};

/// More entries than any image archive has.
const MOST_ENTRIES: usize = 100_000;

/// What comes out of an archive, in its order.
#[derive(Debug)]
pub(crate) enum Part {
    /// A file begins.
    Begin {
        /// Its path inside the archive, without `./`.
        path: String,
        /// Bytes.
        size: u64,
    },
    /// The next bytes of the file.
    Bytes(Vec<u8>),
    /// The file has ended, as long as it said.
    End {
        /// The digest of its bytes.
        digest: String,
    },
    /// A link, with the path inside the archive that it stands for.
    Link {
        /// Its path.
        path: String,
        /// What it stands for.
        target: String,
    },
}

/// Reads an archive. The reading ends when the receiver is dropped, or with an error that says what is wrong.
pub(crate) fn read(archive: &Path) -> mpsc::Receiver<Result<Part, String>> {
    let (parts, receiver) = mpsc::channel(2);
    let archive = archive.to_owned();
    tokio::task::spawn_blocking(move || {
        if let Err(Ended::Broken(why)) = read_all(&archive, &parts) {
            let _ = parts.blocking_send(Err(why));
        }
    });
    receiver
}

/// Why the reading ended early.
enum Ended {
    /// The archive can't be read further.
    Broken(String),
    /// The reader wants no more.
    Unwanted,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        let cut = error.kind() == io::ErrorKind::UnexpectedEof;
        Self::Broken(if cut { "it ends early: copy it again".to_owned() } else { format!("it can't be read: {error}") })
    }
}

type Parts = mpsc::Sender<Result<Part, String>>;

fn send(parts: &Parts, part: Part) -> Result<(), Ended> {
    parts.blocking_send(Ok(part)).map_err(|_| Ended::Unwanted)
}

fn read_all(path: &Path, parts: &Parts) -> Result<(), Ended> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Ended::Broken("it is not a regular file".to_owned()));
    }
    let mut file = BufReader::with_capacity(CHUNK, File::open(path)?);
    match file.fill_buf()? {
        [] => Err(Ended::Broken("it is empty".to_owned())),
        [0x1f, 0x8b, ..] => read_tar(MultiGzDecoder::new(file), parts),
        start if is_zstd(start) => read_tar(Frames::new(file), parts),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(compressed("xz")),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(compressed("bzip2")),
        _ => read_tar(file, parts),
    }
}

/// Whether a file is zstd's: its first frame may be one to skip, as parallel compressors write it.
fn is_zstd(start: &[u8]) -> bool {
    start.starts_with(&zstd::MAGIC) || matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

fn compressed(how: &str) -> Ended {
    Ended::Broken(format!("it is compressed with {how}: decompress it first, or use gzip or zstd"))
}

fn read_tar(reader: impl Read, parts: &Parts) -> Result<(), Ended> {
    let mut archive = Archive::new(reader);
    for (count, entry) in archive.entries()?.enumerate() {
        if count >= MOST_ENTRIES {
            return Err(Ended::Broken(format!("it has more than {MOST_ENTRIES} entries")));
        }
        read_entry(entry.map_err(|error| if count == 0 { no_tar(error) } else { error.into() })?, parts)?;
    }
    Ok(())
}

/// What it means that the first entry can't be read. The words of the tar crate quote the file's bytes.
fn no_tar(error: io::Error) -> Ended {
    match error.kind() {
        io::ErrorKind::Other => Ended::Broken("it is no tar archive: export the image with `docker save`".to_owned()),
        _ => error.into(),
    }
}

fn read_entry(mut entry: Entry<'_, impl Read>, parts: &Parts) -> Result<(), Ended> {
    let name = entry.path()?.into_owned();
    let path = inside(&name).ok_or_else(|| outside(&name))?;
    match entry.header().entry_type() {
        EntryType::Directory | EntryType::XGlobalHeader => Ok(()),
        EntryType::Regular | EntryType::Continuous => read_file(&mut entry, &path, parts),
        kind @ (EntryType::Symlink | EntryType::Link) => {
            let link = entry.link_name()?.unwrap_or_default().into_owned();
            // A symbolic link starts from its own directory, a hard link from the archive's root.
            let from = if kind == EntryType::Symlink { name.parent().unwrap_or(Path::new("")) } else { Path::new("") };
            let target = inside(&from.join(&link)).ok_or_else(|| outside(&link))?;
            send(parts, Part::Link { path, target })
        }
        other => Err(Ended::Broken(format!("{path} is neither file nor directory ({other:?})"))),
    }
}

fn read_file(entry: &mut Entry<'_, impl Read>, path: &str, parts: &Parts) -> Result<(), Ended> {
    let size = entry.size();
    send(parts, Part::Begin { path: path.to_owned(), size })?;
    let mut hash = Sha256::new();
    let mut left = size;
    while left > 0 {
        let mut bytes = Vec::with_capacity(CHUNK);
        entry.take(CHUNK as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Err(Ended::Broken(format!("it ends early, in {path}: copy it again")));
        }
        left = left.saturating_sub(bytes.len() as u64);
        hash.update(&bytes);
        send(parts, Part::Bytes(bytes))?;
    }
    send(parts, Part::End { digest: digest_name(hash.finalize().as_slice()) })
}

fn outside(path: &Path) -> Ended {
    Ended::Broken(format!("{} points outside of it", path.display()))
}

/// A path without `.` and `..`; None when it is not inside the archive, or not text.
pub(crate) fn inside(path: &Path) -> Option<String> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    clean.into_os_string().into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_of_the_archive() {
        assert_eq!(inside(Path::new("./blobs/sha256/x")).as_deref(), Some("blobs/sha256/x"));
        assert_eq!(inside(Path::new("a/../b")).as_deref(), Some("b"));
        for path in ["../x", "a/../../x", "/etc/passwd"] {
            assert_eq!(inside(Path::new(path)), None, "{path}");
        }
    }

    #[tokio::test]
    async fn files_come_with_their_digests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, "dir/file", &b"abc"[..]).unwrap();
        builder.finish().unwrap();
        let mut parts = read(&path);
        assert!(matches!(parts.recv().await, Some(Ok(Part::Begin { path, size: 3 })) if path == "dir/file"));
        assert!(matches!(parts.recv().await, Some(Ok(Part::Bytes(bytes))) if bytes == b"abc"));
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(matches!(parts.recv().await, Some(Ok(Part::End { digest })) if digest == abc));
        assert!(parts.recv().await.is_none());
    }
}
