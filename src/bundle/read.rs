//! Reading a bundle: each block is compared with the one that [`write()`](super::write()) would have written there.
//!
//! Names are taken from the manifest, which is checked, never from the tar: so there is no other path, kind of file or size
//! that a header could bring in.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::BundleError;
use super::layout::{self, BLOCK, END, MANIFEST, MANIFEST_MAX, MANIFEST_SUM};
use super::manifest::{Manifest, Member};

/// Looks at all of a bundle, and puts its files below a directory meanwhile.
///
/// # Errors
/// [`BundleError::Broken`] at the first byte that is not as it was written; what was put below the directory is void then.
pub fn unpack(bundle: &Path, into: &Path) -> Result<Manifest, BundleError> {
    let file = File::open(bundle).map_err(BundleError::io("read", bundle))?;
    let length = file.metadata().map_err(BundleError::io("read", bundle))?.len();
    let mut place = |member: &Member| {
        let path = into.join(&member.name);
        make(&path, layout::is_program(&member.name)).map_err(|error| unwritten(member, &error))
    };
    read(&mut BufReader::with_capacity(1 << 16, file), length, &mut place).map_err(|wrong| match wrong {
        Wrong::Content(why) => BundleError::broken(bundle, why),
        Wrong::Input(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            BundleError::broken(bundle, "it is cut short: copy it again")
        }
        Wrong::Input(source) => BundleError::Io { what: "read", path: bundle.to_owned(), source },
        Wrong::Output(error) => error,
    })
}

fn make(path: &Path, is_program: bool) -> io::Result<BufWriter<File>> {
    DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(path))?;
    let mode = if is_program { 0o700 } else { 0o600 };
    Ok(BufWriter::new(OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?))
}

fn unwritten(member: &Member, error: &io::Error) -> BundleError {
    BundleError::Program {
        what: format!("unpack {}", member.name),
        why: format!("{error}; --work-dir names another directory to unpack into, nothing else was changed"),
    }
}

/// Why a bundle is not taken.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It differs from what was written.
    Content(String),
    /// It can't be read.
    Input(io::Error),
    /// What comes out of it can't be written.
    Output(BundleError),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

/// Reads a bundle that is so many bytes long.
pub(super) fn read<W: Write>(
    from: &mut dyn Read,
    length: u64,
    place: &mut dyn FnMut(&Member) -> Result<W, BundleError>,
) -> Result<Manifest, Wrong> {
    let bytes = manifest_bytes(from)?;
    let sum = layout::sum_line(&bytes);
    begin(from, MANIFEST_SUM, sum.len() as u64)?;
    if take(from, sum.len() as u64)? != sum.as_bytes() {
        return Err(Wrong::Content(format!("{MANIFEST} is not as it was written: copy it again")));
    }
    pad(from, MANIFEST_SUM, sum.len() as u64)?;
    let manifest = Manifest::read(&bytes).map_err(Wrong::Content)?;
    match manifest.bundle_size(&bytes) {
        Some(expected) if expected == length => {}
        Some(expected) if expected > length => {
            return Err(Wrong::Content(format!("it is cut short, {length} of {expected} bytes: copy it again")));
        }
        _ => return Err(Wrong::Content("it is longer than what it says that it has: copy it again".to_owned())),
    }
    for member in &manifest.members {
        begin(from, &member.name, member.size)?;
        let mut to = place(member).map_err(Wrong::Output)?;
        copy(from, member, &mut to)?;
        pad(from, &member.name, member.size)?;
    }
    if take(from, END)?.iter().any(|byte| *byte != 0) {
        return Err(Wrong::Content("its end is not as it was written: copy it again".to_owned()));
    }
    Ok(manifest)
}

fn manifest_bytes(from: &mut dyn Read) -> Result<Vec<u8>, Wrong> {
    let mut header = tar::Header::new_gnu();
    from.read_exact(header.as_mut_bytes())?;
    let none = || Wrong::Content(format!("it does not begin with {MANIFEST}: `actord bundle create` makes bundles"));
    let size = header.entry_size().map_err(|_| none())?;
    let expected = layout::header(MANIFEST, size)?;
    if size > MANIFEST_MAX || header.as_bytes() != expected.as_bytes() {
        return Err(none());
    }
    let bytes = take(from, size)?;
    pad(from, MANIFEST, size)?;
    Ok(bytes)
}

fn begin(from: &mut dyn Read, name: &str, size: u64) -> Result<(), Wrong> {
    if take(from, BLOCK)? == layout::header(name, size)?.as_bytes() {
        return Ok(());
    }
    Err(Wrong::Content(format!("where {name} should begin is something else: copy it again")))
}

fn pad(from: &mut dyn Read, name: &str, size: u64) -> Result<(), Wrong> {
    if take(from, layout::padding(size))?.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    Err(Wrong::Content(format!("what follows {name} is not as it was written: copy it again")))
}

/// So many bytes, which are few.
fn take(from: &mut dyn Read, size: u64) -> Result<Vec<u8>, Wrong> {
    let mut bytes = Vec::new();
    if from.take(size).read_to_end(&mut bytes)? as u64 == size {
        return Ok(bytes);
    }
    Err(Wrong::Input(io::ErrorKind::UnexpectedEof.into()))
}

fn copy(from: &mut dyn Read, member: &Member, to: &mut dyn Write) -> Result<(), Wrong> {
    let (mut hash, mut left) = (Sha256::new(), member.size);
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = from.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(Wrong::Input(io::ErrorKind::UnexpectedEof.into()));
        }
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read]).map_err(|error| Wrong::Output(unwritten(member, &error)))?;
        left -= read as u64;
    }
    to.flush().map_err(|error| Wrong::Output(unwritten(member, &error)))?;
    if layout::hex(hash.finalize().as_slice()) != member.sha256 {
        return Err(Wrong::Content(format!("{} is not as it was written: copy it again", member.name)));
    }
    Ok(())
}
