//! Which logs are kept, and how much of them.
//!
//! An instance's log outlives it: what a function wrote before it crashed is what people look for. It goes with its
//! function, or when there are too many or too much of them; then what is oldest goes first. Of a log that is still
//! written to the oldest part is given back to the file system as a hole, so that its writer, its readers and the places
//! in it know nothing of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::index::{self, Head};
use super::meta::LogMeta;
use super::{Inner, LogMetas};
use crate::function::{FunctionId, InstanceId};
use crate::host::containerd::gone::gone;

/// The most logs that are kept of one function's instances that are gone.
const ENDED_MAX: usize = 10;

/// How far a new beginning is looked for that is the beginning of a line.
const LINE: usize = 64 * 1024;

/// What a file system gives back at the least.
const PAGE: u64 = 4096;

impl Inner {
    /// Ends the log of an instance that is gone.
    pub(super) fn retire(&self, id: &InstanceId) -> io::Result<()> {
        let mut metas = self.metas();
        let Some(meta) = metas.get_mut(id) else { return self.unlink(id, false) };
        if meta.ended {
            return Ok(());
        }
        if let Err(error) = meta.look(&self.index(id, false), &self.log(id, false)) {
            tracing::warn!(instance = %id, %error, "its last words may be missing from its log");
        }
        let function = meta.head.function.clone();
        if meta.forgotten || meta.ends == meta.head.begins {
            self.unlink(id, false)?;
            metas.remove(id);
        } else {
            // The log first: where an index has no log beside it, it is looked for here.
            gone(fs::rename(self.log(id, false), self.log(id, true)))?;
            gone(fs::rename(self.index(id, false), self.index(id, true)))?;
            meta.ended = true;
            self.make_room(&mut metas, &function)?;
        }
        drop(metas);
        self.changes.note(&function);
        Ok(())
    }

    /// Forgets what instances of a function wrote that were made before a time: at once what is of those that are gone,
    /// together with the instance what is of the others.
    pub(super) fn forget(&self, function: &FunctionId, before: Timestamp) -> io::Result<()> {
        self.forget_those(|head| (head.function == *function).then_some(before))
    }

    /// Forgets what was written before a time by instances that were made before; of known functions, before theirs.
    pub(super) fn sweep(&self, known: &BTreeMap<FunctionId, Timestamp>, before: Timestamp) -> io::Result<()> {
        self.forget_those(|head| Some(known.get(&head.function).copied().unwrap_or(before)))
    }

    fn forget_those(&self, before: impl Fn(&Head) -> Option<Timestamp>) -> io::Result<()> {
        let mut metas = self.metas();
        let (mut done, mut gone) = (Ok(()), Vec::new());
        for (id, meta) in metas.iter_mut() {
            let forgotten = before(&meta.head).is_some_and(|before| meta.head.born <= before);
            if forgotten && !meta.forgotten {
                meta.forgotten = true;
                self.changes.note(&meta.head.function);
            }
            if forgotten && meta.ended {
                match self.unlink(id, true) {
                    Ok(()) => gone.push((id.clone(), meta.head.function.clone())),
                    Err(error) => done = Err(error),
                }
            }
        }
        for (id, function) in gone {
            metas.remove(&id);
            self.changes.note(&function);
        }
        self.changes.keep(|function| metas.values().any(|meta| meta.head.function == *function));
        done
    }

    /// Lets go of what is oldest until a function has no more logs than it may, and no more in them.
    pub(super) fn make_room(&self, metas: &mut LogMetas, function: &FunctionId) -> io::Result<()> {
        loop {
            let own = || metas.iter().filter(|(_, meta)| meta.head.function == *function);
            let ended = own().filter(|(_, meta)| meta.ended).count();
            let used: u64 = own().map(|(_, meta)| meta.used()).sum();
            let many = ended > ENDED_MAX;
            if !many && used <= self.limit {
                return Ok(());
            }
            let may_go = own().filter(|(_, meta)| if many { meta.ended } else { meta.ends > meta.head.begins });
            let oldest = may_go.min_by_key(|(_, meta)| meta.since).map(|(id, _)| id.clone());
            let Some((id, meta)) = oldest.and_then(|id| metas.get_mut(&id).map(|meta| (id, meta))) else {
                return Ok(());
            };
            if meta.ended {
                self.unlink(&id, true)?;
                metas.remove(&id);
            } else {
                // Somewhat more than needed, so that it is not to be done again at once.
                self.shorten(&id, meta, used - self.limit / 8 * 7)?;
            }
        }
    }

    fn shorten(&self, id: &InstanceId, meta: &mut LogMeta, by: u64) -> io::Result<()> {
        let (log, index) = (self.log(id, false), self.index(id, false));
        let file = OpenOptions::new().read(true).write(true).open(&log)?;
        let old = meta.head.begins;
        meta.head.begins = line_start(&file, old.saturating_add(by), meta.ends)?;
        let (from, to) = (old & !(PAGE - 1), meta.head.begins & !(PAGE - 1));
        if to > from {
            match fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, to - from) {
                Err(Errno::OPNOTSUPP) => return begin_anew(id, &file, &index, meta),
                punched => punched?,
            }
        }
        // A full disk leaves the old index, which says of too much that it is there: the hole is found at the next start.
        meta.size = index::rewrite(&index, meta.size, &meta.head)?;
        meta.since = index::first(&index, meta.size)?.unwrap_or(meta.since);
        Ok(())
    }

    /// Removes an instance's log and its index; "already gone" is done.
    fn unlink(&self, id: &InstanceId, ended: bool) -> io::Result<()> {
        gone(fs::remove_file(self.log(id, ended)))?;
        gone(fs::remove_file(self.index(id, ended)))
    }
}

/// The beginning of the first line at or after a place; the place itself where lines are too long for that.
fn line_start(file: &File, place: u64, ends: u64) -> io::Result<u64> {
    if place >= ends {
        return Ok(ends);
    }
    let mut bytes = vec![0; LINE.min(usize::try_from(ends - place).unwrap_or(LINE))];
    // The byte before the place may be the newline.
    let from = place.saturating_sub(1);
    let read = file.read_at(&mut bytes, from)?;
    let newline = bytes[..read].iter().position(|byte| *byte == b'\n');
    Ok(newline.map_or(place, |at| from + at as u64 + 1))
}

/// For a file system that knows no holes: everything is given back, and what is written right now may be lost.
fn begin_anew(id: &InstanceId, file: &File, index: &Path, meta: &mut LogMeta) -> io::Result<()> {
    tracing::warn!(instance = %id, "its log is full and begun anew: the file system of the logs can't give back a part");
    file.set_len(0)?;
    meta.head.begins = 0;
    meta.ends = 0;
    meta.size = index::create(index, &meta.head)?;
    Ok(())
}
