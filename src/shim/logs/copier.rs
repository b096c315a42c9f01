//! The thread that copies: waits for any of the pipes, reads what is there, writes it.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, TryRecvError};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{Errno, ioctl_fionread, read, retry_on_intr};
use tokio::sync::oneshot;

use super::sink::Sink;

/// How much is copied at once. A pipe holds this much, as long as the container does not make it larger.
const CHUNK: usize = 64 << 10;
/// The event that means: there are orders.
const ORDERS: u64 = 0;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Add {
        key: u64,
        pipe: OwnedFd,
        sink: Sink,
    },
    /// Copy what is in the pipe, and say when it is done.
    CatchUp {
        key: u64,
        done: oneshot::Sender<()>,
    },
    Remove {
        key: u64,
    },
    End,
}

#[derive(Debug)]
pub(super) struct Copier {
    orders: Receiver<Order>,
    wake: OwnedFd,
    epoll: OwnedFd,
    sources: HashMap<u64, Source>,
    buffer: Box<[u8]>,
}

#[derive(Debug)]
struct Source {
    pipe: OwnedFd,
    sink: Sink,
}

/// What a look into a pipe found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Bytes(usize),
    Nothing,
    /// Nobody has the other end any more.
    End,
}

impl Copier {
    pub(super) fn new(orders: Receiver<Order>, wake: OwnedFd) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, EventData::new_u64(ORDERS), EventFlags::IN)?;
        Ok(Self { orders, wake, epoll, sources: HashMap::new(), buffer: vec![0; CHUNK].into() })
    }

    /// Copies until it is told to end.
    pub(super) fn run(mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(32);
        loop {
            events.clear();
            // Without this thread every container would stop at a full pipe: better an end that is seen and mended.
            let waited = retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut events), None));
            assert!(waited.is_ok(), "wait for pipes: {waited:?}");
            for event in &events {
                match event.data.u64() {
                    ORDERS if !self.take_orders() => return,
                    ORDERS => {}
                    key => drop(self.copy(key)),
                }
            }
        }
    }

    fn take_orders(&mut self) -> bool {
        let _ = read(&self.wake, &mut [0; 8]);
        loop {
            match self.orders.try_recv() {
                Ok(Order::Add { key, pipe, sink }) => self.add(key, pipe, sink),
                Ok(Order::CatchUp { key, done }) => {
                    self.catch_up(key);
                    let _ = done.send(());
                }
                Ok(Order::Remove { key }) => self.remove(key),
                Err(TryRecvError::Empty) => return true,
                Ok(Order::End) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn add(&mut self, key: u64, pipe: OwnedFd, sink: Sink) {
        if epoll::add(&self.epoll, &pipe, EventData::new_u64(key), EventFlags::IN).is_ok() {
            self.sources.insert(key, Source { pipe, sink });
        }
    }

    /// Copies as much as is in the pipe now: one that is filled again and again does not hold this up.
    fn catch_up(&mut self, key: u64) {
        let waiting = self.sources.get(&key).and_then(|source| ioctl_fionread(&source.pipe).ok()).unwrap_or(0);
        let mut waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        while waiting > 0 {
            match self.copy(key) {
                Found::Bytes(count) => waiting = waiting.saturating_sub(count),
                Found::Nothing | Found::End => return,
            }
        }
    }

    fn copy(&mut self, key: u64) -> Found {
        let Some(source) = self.sources.get_mut(&key) else { return Found::Nothing };
        let found = match retry_on_intr(|| read(&source.pipe, &mut self.buffer[..])) {
            Ok(0) => Found::End,
            Ok(count) => Found::Bytes(count),
            Err(Errno::AGAIN) => Found::Nothing,
            Err(_) => Found::End,
        };
        match found {
            Found::Bytes(count) => source.sink.write(&self.buffer[..count]),
            Found::End => self.remove(key),
            Found::Nothing => {}
        }
        found
    }

    fn remove(&mut self, key: u64) {
        if let Some(source) = self.sources.remove(&key) {
            let _ = epoll::delete(&self.epoll, &source.pipe);
        }
    }
}
