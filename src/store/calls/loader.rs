//! The one that reads calls which are to be sent. Those that are asked for while others are read are read together by the next
//! read: one blocking thread, one look at the file and one page cache for all of them.
//!
//! ```text
//! wanted -> (up to 64) -> BEGIN, each, its answer as soon as it is read -> the next ones
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::call::Loaded;
use super::id::Seq;
use super::read::Look;
use super::writer::{Shared, Writer};

/// The most that are read with one look at the file: nobody waits for more than these.
const TOGETHER: usize = 64;

/// Who reads: a list that takes long must hold up no dispatch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reader {
    Dispatch = 0,
    People = 1,
}

/// The connections that read; where there is no file that they could open, the one that writes.
pub(super) struct Readers {
    pub(super) files: Option<[Mutex<Connection>; 2]>,
    pub(super) writer: Arc<Mutex<Writer>>,
}

impl Readers {
    /// Blocks.
    pub(super) fn read<T>(&self, reader: Reader, act: impl FnOnce(&Connection) -> T) -> T {
        match &self.files {
            Some(files) => act(&files[reader as usize].lock().unwrap_or_else(PoisonError::into_inner)),
            None => act(self.writer.lock().unwrap_or_else(PoisonError::into_inner).db()),
        }
    }
}

/// A call that is to be sent, and who waits for it.
pub(super) struct Load {
    pub(super) seq: Seq,
    pub(super) found: oneshot::Sender<Result<Option<Loaded>, StoreError>>,
}

/// Reads until nobody is left who could ask.
pub(super) async fn run(readers: Arc<Readers>, mut wanted: mpsc::UnboundedReceiver<Load>, shared: Arc<Shared>) {
    let mut batch = Vec::new();
    while wanted.recv_many(&mut batch, TOGETHER).await > 0 {
        let (batch, readers, shared) = (std::mem::take(&mut batch), readers.clone(), shared.clone());
        // If its thread panics, those who wait are told so by their ends of the channel.
        let _ = tokio::task::spawn_blocking(move || load(&readers, &shared, batch)).await;
    }
}

fn load(readers: &Readers, shared: &Shared, batch: Vec<Load>) {
    let damaged = readers.read(Reader::Dispatch, |db| {
        let look = Look::begin(db);
        let mut damaged = false;
        for Load { seq, found } in batch {
            if found.is_closed() {
                continue;
            }
            let loaded = look.as_ref().map_err(Clone::clone).and_then(|look| look.load(seq));
            damaged |= matches!(loaded, Err(StoreError::Damaged(_)));
            let _ = found.send(loaded);
        }
        damaged
    });
    if damaged {
        shared.give_up();
    }
}
