//! The three standard streams of a container: what it gets, and what this process keeps of them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::pipe::{PipeFlags, pipe_with};

use super::sink::Sink;
use super::{Copying, Logs};

/// The streams of a container that is about to be made.
#[derive(Debug)]
pub(in crate::shim) struct Streams {
    /// What the container gets.
    pub(in crate::shim) stdin: OwnedFd,
    pub(in crate::shim) stdout: OwnedFd,
    pub(in crate::shim) stderr: OwnedFd,
    /// What is being copied.
    pub(in crate::shim) copies: Vec<Copying>,
    /// Keeps standard input from ending, until it is closed for good.
    pub(in crate::shim) input: Option<OwnedFd>,
}

impl Streams {
    /// Opens the streams that a create names: each a plain path, `file://` and one, or nothing, which is `/dev/null`. A
    /// path may be a FIFO; whether it has a reader does not matter.
    ///
    /// # Errors
    /// In words that name the stream.
    pub(in crate::shim) fn open(logs: &Logs, stdin: &str, stdout: &str, stderr: &str) -> io::Result<Self> {
        let (stdin, input) = input(stdin).map_err(|error| named("standard input", stdin, &error))?;
        let [out, err] = [("standard output", stdout), ("standard error", stderr)]
            .map(|(stream, path)| output(path).map_err(|error| named(stream, path, &error)));
        let (out, err) = (out?, err?);
        let mut copies = Vec::new();
        let mut copied = |output: Option<(File, bool)>| -> io::Result<OwnedFd> {
            let Some((file, is_fifo)) = output else { return null(OFlags::WRONLY) };
            let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
            fcntl_setfl(&ours, fcntl_getfl(&ours)? | OFlags::NONBLOCK)?;
            let sink = if is_fifo { Sink::to_fifo(file) } else { Sink::to_file(file) };
            copies.push(logs.copy(ours, sink));
            Ok(theirs)
        };
        // Two names of one file: one pipe keeps the order of what is written to both.
        let same = matches!((&out, &err), (Some((out, _)), Some((err, _))) if is_same(out, err));
        let stdout = copied(out)?;
        let stderr = if same { stdout.try_clone()? } else { copied(err)? };
        Ok(Self { stdin, stdout, stderr, copies, input })
    }
}

fn named(stream: &str, path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{stream} can't be {path}: {error}"))
}

fn is_same(one: &File, other: &File) -> bool {
    let about = |file: &File| file.metadata().map(|about| (about.dev(), about.ino()));
    matches!((about(one), about(other)), (Ok(one), Ok(other)) if one == other)
}

fn null(access: OFlags) -> io::Result<OwnedFd> {
    Ok(open("/dev/null", access | OFlags::CLOEXEC, Mode::empty())?)
}

/// The file that a stream goes to, and whether it is a FIFO.
fn output(path: &str) -> io::Result<Option<(File, bool)>> {
    let path = match path.split_once("://") {
        _ if path.is_empty() => return Ok(None),
        None => path,
        Some(("file" | "fifo", path)) => path.split_once('?').map_or(path, |(path, _)| path),
        Some((scheme, _)) => return Err(io::Error::other(format!("{scheme}:// is not known here, only files are"))),
    };
    let path = Path::new(path);
    if let Ok(about) = path.metadata()
        && about.file_type().is_fifo()
    {
        // For reading, too: then it opens without a reader, and the writer gets no signal when one goes.
        let fifo = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        return Ok(Some((fifo, true)));
    }
    let append = || OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let file = match (append(), path.parent()) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            append()?
        }
        (opened, _) => opened?,
    };
    Ok(Some((file, false)))
}

/// What a container reads, and what keeps that open.
fn input(path: &str) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    if path.is_empty() {
        return Ok((null(OFlags::RDONLY)?, None));
    }
    let fifo = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    // With a reader it opens at once. The container's own end shall wait for what is written.
    let kept = open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    fcntl_setfl(&fifo, fcntl_getfl(&fifo)? - OFlags::NONBLOCK)?;
    Ok((fifo, Some(kept)))
}
