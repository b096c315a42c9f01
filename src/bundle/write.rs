//! Writing a bundle: the same content always becomes the same bytes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::layout::{self, END, MANIFEST, MANIFEST_SUM};
use super::manifest::{Manifest, Member, Package};
use super::{BundleError, Collected, DEBS, INSTALL, INSTALL_SCRIPT, PACKAGE, PROGRAM};
use crate::durable;

/// What is to become a file of a bundle.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What this file has.
    File(PathBuf),
}

/// A bundle that is to be written.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// As [`Manifest::architecture`].
    pub architecture: String,
    /// As [`Manifest::package`].
    pub package: Option<Package>,
    /// As [`Manifest::images`].
    pub images: BTreeMap<String, String>,
    /// Its files, by their names.
    pub files: BTreeMap<String, Content>,
}

impl Draft {
    /// Adds actord's package, and what was collected for it.
    pub fn add_packages(&mut self, deb: PathBuf, Collected { package, program, debs }: Collected) {
        self.package = Some(package);
        let mut add = |name: &str, content| drop(self.files.insert(name.to_owned(), content));
        add(INSTALL, Content::Bytes(INSTALL_SCRIPT.into()));
        add(PROGRAM, Content::File(program));
        add(PACKAGE, Content::File(deb));
        for deb in debs {
            let file = deb.file_name().unwrap_or_default().to_string_lossy().into_owned();
            add(&format!("{DEBS}/{file}"), Content::File(deb));
        }
    }
}

/// Writes a bundle, whole or not at all. Returns its manifest, and the SHA-256 of all of it in hex.
///
/// # Errors
/// [`BundleError`] with the file that can't be read or written, or that can't be in a bundle under its name.
pub fn write(bundle: &Path, draft: Draft) -> Result<(Manifest, String), BundleError> {
    let Draft { architecture, package, images, files } = draft;
    let mut placed = Vec::new();
    for (name, content) in files {
        let place = layout::place(&name).ok_or_else(|| {
            BundleError::Unfit(format!(
                "{name:?} can't be a name in a bundle: rename it to ASCII letters and digits with . _ + ~ % @ = or - between \
                 them, not more than 100 with its folder"
            ))
        })?;
        placed.push((place, name, content));
    }
    placed.sort_by(|(place, name, _), (other, others, _)| (place, name).cmp(&(other, others)));
    let members = placed.iter().map(|(_, name, content)| look(name, content)).collect::<Result<Vec<_>, _>>()?;
    let manifest = Manifest::new(architecture, package, images, members);
    let bytes = manifest.bytes().map_err(|error| BundleError::io("write", bundle)(error.into()))?;
    // What is refused where it is applied is refused here already.
    Manifest::read(&bytes).map_err(BundleError::Unfit)?;

    let unfinished = durable::draft(bundle);
    let contents = placed.iter().map(|(_, _, content)| content);
    let written = fill(&unfinished, &manifest, &bytes, contents).and_then(|sum| {
        durable::put(&unfinished, bundle).map_err(BundleError::io("write", bundle))?;
        Ok(sum)
    });
    // Room is what may be short.
    let sum = written.inspect_err(|_| drop(std::fs::remove_file(&unfinished)))?;
    Ok((manifest, sum))
}

fn fill<'a>(
    path: &Path,
    manifest: &Manifest,
    bytes: &[u8],
    contents: impl Iterator<Item = &'a Content>,
) -> Result<String, BundleError> {
    let failed = || BundleError::io("write", path);
    // What functions are given by variables may be nobody else's business.
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed())?;
    let mut out = Out { file: BufWriter::new(file), hash: Sha256::new() };
    let own = [(MANIFEST, bytes), (MANIFEST_SUM, layout::sum_line(bytes).as_bytes())]
        .map(|(name, bytes)| (name, bytes.to_vec()));
    for (name, bytes) in own {
        out.begin(name, bytes.len() as u64).and_then(|()| out.write_all(&bytes)).map_err(failed())?;
        out.pad(bytes.len() as u64).map_err(failed())?;
    }
    for (member, content) in manifest.members.iter().zip(contents) {
        out.begin(&member.name, member.size).map_err(failed())?;
        let (size, sum) = copy(&member.name, content, &mut out)?;
        if (size, &sum) != (member.size, &member.sha256) {
            return Err(BundleError::Unfit(format!("{} changed while it was read: try again", member.name)));
        }
        out.pad(size).map_err(failed())?;
    }
    out.zeros(END).and_then(|()| out.file.flush()).map_err(failed())?;
    Ok(layout::hex(out.hash.finalize().as_slice()))
}

fn look(name: &str, content: &Content) -> Result<Member, BundleError> {
    let (size, sha256) = copy(name, content, &mut io::sink())?;
    Ok(Member { name: name.to_owned(), size, sha256 })
}

/// Copies what is to become the file of this name. Returns its size and sum.
fn copy(name: &str, content: &Content, to: &mut dyn Write) -> Result<(u64, String), BundleError> {
    let (mut from, path): (Box<dyn Read + '_>, &Path) = match content {
        Content::Bytes(bytes) => (Box::new(bytes.as_slice()), Path::new(name)),
        Content::File(path) => (Box::new(File::open(path).map_err(BundleError::io("read", path))?), path),
    };
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer).map_err(BundleError::io("read", path))?;
        if read == 0 {
            return Ok((size, layout::hex(hash.finalize().as_slice())));
        }
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read]).map_err(BundleError::io("copy", path))?;
        size += read as u64;
    }
}

/// The tar as it is written, with the sum of what was.
struct Out {
    file: BufWriter<File>,
    hash: Sha256,
}

impl Out {
    fn begin(&mut self, name: &str, size: u64) -> io::Result<()> {
        let header = layout::header(name, size)?;
        self.write_all(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        self.zeros(layout::padding(size))
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut io::repeat(0).take(count), self).map(drop)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
