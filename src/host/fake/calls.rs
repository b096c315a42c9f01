//! The log of calls: who asked what of which, when, and how it ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::Method;
use crate::function::{FunctionId, InstanceId};
use crate::host::WarmId;

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An image, as it was named.
    Image(String),
    /// An archive of images.
    Archive(PathBuf),
    /// An instance.
    Instance(InstanceId),
    /// An attachment that is no instance's.
    Warm(WarmId),
    /// A function.
    Function(FunctionId),
    /// Whatever listens there.
    Address(SocketAddr),
    /// The machine as a whole.
    Everything,
}

/// How far a call came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It was asked.
    Began,
    /// It was answered: well, or with this error.
    Ended(Result<(), String>),
    /// Its caller gave it up.
    Dropped,
    /// It panicked.
    Panicked,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The same for the beginning and the end of one call.
    pub number: usize,
    /// When.
    pub at: Instant,
    /// What was called.
    pub method: Method,
    /// What it is about.
    pub subject: Subject,
    /// Beginning or end.
    pub phase: Phase,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    log: Mutex<Vec<Call>>,
    grown: watch::Sender<usize>,
}

/// A call under way. Dropped without an answer, it notes that too.
pub(super) struct Ticket<'a> {
    calls: &'a Calls,
    number: usize,
    method: Method,
    subject: Subject,
    ended: bool,
}

impl Calls {
    pub(super) fn begin(&self, method: Method, subject: Subject) -> Ticket<'_> {
        let mut ticket = Ticket { calls: self, number: 0, method, subject, ended: false };
        {
            let mut log = self.lock();
            ticket.number = log.len();
            log.push(ticket.line(Phase::Began));
        }
        self.grown.send_modify(|lines| *lines += 1);
        ticket
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.lock().clone()
    }

    pub(super) fn begun(&self, method: Method) -> usize {
        self.lock().iter().filter(|call| call.method == method && call.phase == Phase::Began).count()
    }

    pub(super) fn most_at_once(&self, method: Method) -> usize {
        let (mut under_way, mut most) = (0_usize, 0);
        for call in self.lock().iter().filter(|call| call.method == method) {
            under_way = if call.phase == Phase::Began { under_way + 1 } else { under_way.saturating_sub(1) };
            most = most.max(under_way);
        }
        most
    }

    pub(super) async fn called(&self, method: Method, count: usize) {
        let mut grown = self.grown.subscribe();
        // The sender lives as long as `self`: this can't fail.
        let _ = grown.wait_for(|_| self.begun(method) >= count).await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    pub(super) fn end(mut self, answer: Result<(), String>) {
        self.note(Phase::Ended(answer));
    }

    fn note(&mut self, phase: Phase) {
        self.ended = true;
        let line = self.line(phase);
        self.calls.lock().push(line);
    }

    fn line(&self, phase: Phase) -> Call {
        let Self { number, method, .. } = *self;
        Call { number, at: Instant::now(), method, subject: self.subject.clone(), phase }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.note(if std::thread::panicking() { Phase::Panicked } else { Phase::Dropped });
        }
    }
}
