//! The connections of one worker to the instances: those that are kept for the next request.
//!
//! ```text
//! take -> (request, answer) -> give back -> kept for a moment -> taken again, or closed before the function closes it
//! ```
//! The one that was used last is taken first, so that those of a burst end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use actix_web::rt;
use tokio::time::{Instant, sleep};

use super::answer::IDLE_TIMEOUT;
use super::connection::Connection;
use crate::http::metrics::{Connections, Metrics};

/// Kept connections to one instance.
const IDLE_PER_INSTANCE: usize = 256;

/// A connection that waits for a request, since when.
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Idle {
    fn is_usable(&self, now: Instant) -> bool {
        let is_old = self.connection.keep.is_none_or(|keep| now.duration_since(self.since) >= keep);
        !is_old && !self.connection.is_closed()
    }
}

/// One worker's connections.
pub(super) struct Pool {
    counts: Connections,
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    /// Whether a task closes those that were kept long enough.
    sweeping: Cell<bool>,
}

impl Pool {
    pub(super) fn new(metrics: &Metrics) -> Rc<Self> {
        let counts = metrics.connections().clone();
        Rc::new(Self { counts, idle: RefCell::default(), sweeping: Cell::default() })
    }

    /// A connection that was kept.
    pub(super) fn take(&self, address: SocketAddr) -> Option<Connection> {
        let mut all = self.idle.borrow_mut();
        let kept = all.get_mut(&address)?;
        let now = Instant::now();
        while let Some(idle) = kept.pop() {
            if idle.is_usable(now) {
                return Some(idle.connection);
            }
        }
        None
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the instance can't be reached.
    pub(super) async fn open(&self, address: SocketAddr) -> io::Result<Connection> {
        Connection::open(address, || self.counts.opened()).await
    }

    /// Keeps a connection whose answer is through, if its request is through as well.
    pub(super) fn give_back(self: &Rc<Self>, mut connection: Connection) {
        if !connection.is_free() {
            return;
        }
        let mut all = self.idle.borrow_mut();
        let kept = all.entry(connection.address).or_default();
        if kept.len() < IDLE_PER_INSTANCE {
            connection.rest();
            kept.push(Idle { connection, since: Instant::now() });
        }
        if !self.sweeping.replace(true) {
            rt::spawn(sweep(Rc::downgrade(self)));
        }
    }

    /// Closes what was kept long enough; whether any is left.
    fn close_old(&self) -> bool {
        let now = Instant::now();
        let mut all = self.idle.borrow_mut();
        all.retain(|_, kept| {
            kept.retain(|idle| idle.is_usable(now));
            !kept.is_empty()
        });
        !all.is_empty()
    }
}

/// Runs as long as there is something to close.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(IDLE_TIMEOUT).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.close_old() {
            pool.sweeping.set(false);
            return;
        }
    }
}
