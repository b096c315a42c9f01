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

use super::book::Book;
use super::index::{self, Head};
use super::{Books, Inner};
use crate::function::{FunctionId, InstanceId};
use crate::host::containerd::instance_dir::gone;

/// The most logs that are kept of one function's instances that are gone.
const ENDED_MAX: usize = 10;

/// How far a new beginning is looked for that is the beginning of a line.
const LINE: usize = 64 * 1024;

/// What a file system gives back at the least.
const PAGE: u64 = 4096;

impl Inner {
    /// Ends the log of an instance that is gone.
    pub(super) fn retire(&self, id: &InstanceId) -> io::Result<()> {
        let mut books = self.books();
        let Some(book) = books.get_mut(id) else { return self.unlink(id, false) };
        if book.ended {
            return Ok(());
        }
        if let Err(error) = book.look(&self.index(id, false), &self.log(id, false)) {
            tracing::warn!(instance = %id, %error, "its last words may be missing from its log");
        }
        let function = book.head.function.clone();
        if book.doomed || book.ends == book.head.begins {
            self.unlink(id, false)?;
            books.remove(id);
        } else {
            // The log first: where an index has no log beside it, it is looked for here.
            gone(fs::rename(self.log(id, false), self.log(id, true)))?;
            gone(fs::rename(self.index(id, false), self.index(id, true)))?;
            book.ended = true;
            self.make_room(&mut books, &function)?;
        }
        drop(books);
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
        let mut books = self.books();
        let (mut done, mut gone) = (Ok(()), Vec::new());
        for (id, book) in books.iter_mut() {
            let forgotten = before(&book.head).is_some_and(|before| book.head.born <= before);
            book.doomed |= forgotten;
            if forgotten && book.ended {
                match self.unlink(id, true) {
                    Ok(()) => gone.push((id.clone(), book.head.function.clone())),
                    Err(error) => done = Err(error),
                }
            }
        }
        for (id, function) in gone {
            books.remove(&id);
            self.changes.note(&function);
        }
        self.changes.keep(|function| books.values().any(|book| book.head.function == *function));
        done
    }

    /// Lets go of what is oldest until a function has no more logs than it may, and no more in them.
    pub(super) fn make_room(&self, books: &mut Books, function: &FunctionId) -> io::Result<()> {
        loop {
            let own = || books.iter().filter(|(_, book)| book.head.function == *function);
            let ended = own().filter(|(_, book)| book.ended).count();
            let used: u64 = own().map(|(_, book)| book.used()).sum();
            let many = ended > ENDED_MAX;
            if !many && used <= self.limit {
                return Ok(());
            }
            let may_go = own().filter(|(_, book)| if many { book.ended } else { book.ends > book.head.begins });
            let oldest = may_go.min_by_key(|(_, book)| book.since).map(|(id, _)| id.clone());
            let Some((id, book)) = oldest.and_then(|id| books.get_mut(&id).map(|book| (id, book))) else {
                return Ok(());
            };
            if book.ended {
                self.unlink(&id, true)?;
                books.remove(&id);
            } else {
                // Somewhat more than needed, so that it is not to be done again at once.
                self.shorten(&id, book, used - self.limit / 8 * 7)?;
            }
        }
    }

    fn shorten(&self, id: &InstanceId, book: &mut Book, by: u64) -> io::Result<()> {
        let (log, index) = (self.log(id, false), self.index(id, false));
        let file = OpenOptions::new().read(true).write(true).open(&log)?;
        let old = book.head.begins;
        book.head.begins = line_start(&file, old.saturating_add(by), book.ends)?;
        let (from, to) = (old & !(PAGE - 1), book.head.begins & !(PAGE - 1));
        if to > from {
            match fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, to - from) {
                Err(Errno::OPNOTSUPP) => return begin_anew(id, &file, &index, book),
                punched => punched?,
            }
        }
        // A full disk leaves the old index, which says of too much that it is there: the hole is found at the next start.
        book.size = index::rewrite(&index, book.size, &book.head)?;
        book.since = index::first(&index, book.size)?.unwrap_or(book.since);
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
fn begin_anew(id: &InstanceId, file: &File, index: &Path, book: &mut Book) -> io::Result<()> {
    tracing::warn!(instance = %id, "its log is full and begun anew: the file system of the logs can't give back a part");
    file.set_len(0)?;
    book.head.begins = 0;
    book.ends = 0;
    book.size = index::create(index, &book.head)?;
    Ok(())
}
