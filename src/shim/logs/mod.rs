//! What containers write, from their pipes into files.
//!
//! ```text
//! container -> pipe -> copier, one thread for all -> log file, opened to append
//! streams: which pipe and which file, for a create         sink: a file that may be full
//! ```
//! A container never has the file itself: it could cut it, and would see a full disk as an error. The copying has a thread of
//! its own, because a write can wait for a disk, and no call of containerd's shall. splice(2) would save a copy, but refuses
//! files that are opened to append.

mod copier;
mod sink;
mod streams;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;

use self::copier::{Copier, Order};
use self::sink::Sink;
pub(super) use self::streams::Streams;

/// The stack of the thread that copies. It calls nothing deep.
const STACK: usize = 128 << 10;

/// The thread that copies. It ends when this and every [`Copying`] is dropped.
#[derive(Debug, Clone)]
pub(super) struct Logs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    orders: mpsc::Sender<Order>,
    /// Wakes the thread, which waits for pipes and this.
    wake: OwnedFd,
    next: AtomicU64,
}

/// A pipe that is being copied, until this is dropped.
#[derive(Debug)]
pub(super) struct Copying {
    key: u64,
    logs: Logs,
}

impl Logs {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (orders, received) = mpsc::channel();
        let copier = Copier::new(received, wake.try_clone()?)?;
        std::thread::Builder::new().name("logs".into()).stack_size(STACK).spawn(|| copier.run())?;
        Ok(Self(Arc::new(Inner { orders, wake, next: AtomicU64::new(1) })))
    }

    /// Copies what comes out of a pipe, which must not block, into a sink.
    fn copy(&self, pipe: OwnedFd, sink: Sink) -> Copying {
        let key = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.order(Order::Add { key, pipe, sink });
        Copying { key, logs: self.clone() }
    }
}

impl Inner {
    fn order(&self, order: Order) {
        // The thread ends when it is told to, or with the whole process.
        let _ = self.orders.send(order);
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.order(Order::End);
    }
}

impl Copying {
    /// Returns when everything is in the file that was in the pipe when this was called. It does not wait for the pipe's
    /// end: a process that outlives the container may have it open.
    pub(super) async fn caught_up(&self) {
        let (done, told) = oneshot::channel();
        self.logs.0.order(Order::CatchUp { key: self.key, done });
        let _ = told.await;
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.logs.0.order(Order::Remove { key: self.key });
    }
}

#[cfg(test)]
mod tests;
