//! Clients that don't take their answers: what waits for them is bounded, and those that are too slow are closed.
//!
//! ```text
//! the kernel takes no more -> blocked: counted, looked at every second -> all of it is taken: not blocked
//!                                                                      -> too little is taken: the connection ends
//! ```
//! How much a client takes is told by what its kernel acknowledges. What ours takes says nothing: that has room for more.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tracing::info;

use super::Peer;
use super::kernel::KernelMemory;
use super::notices::Notices;
use crate::http::ReadingLimits;
use crate::http::metrics::Waiting;

/// How often a client that is blocked is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// While more waits than may, a client must take so many bytes between two looks.
const UNDER_PRESSURE: u64 = 16 << 10;

/// While the kernel is short of memory, which may be another program's doing, it must have taken as much a second in so many
/// seconds: one that reads steadily acknowledges what it read in few and large steps.
const KERNEL_LOOK: Duration = Duration::from_secs(5);

/// Why a client is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    /// It took too little, in all of the time that it has.
    Took { bytes: u64, within: Duration },
    /// It took too little while too much waited for all clients.
    UnderPressure { waiting: usize },
    /// It took too little while the kernel was short of memory for connections.
    KernelUnderPressure,
}

impl std::fmt::Display for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Took { bytes, within } => write!(f, "took {bytes} bytes of its answer in {within:?}"),
            Self::UnderPressure { waiting } => {
                write!(f, "took next to nothing while {waiting} bytes waited for clients")
            }
            Self::KernelUnderPressure => {
                write!(
                    f,
                    "took next to nothing while the kernel was short of memory for connections (net.ipv4.tcp_mem)"
                )
            }
        }
    }
}

/// The rule of one listener. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    limits: ReadingLimits,
    waiting: Waiting,
    kernel: KernelMemory,
    closed: Notices<(Option<Peer>, Slow)>,
}

impl Readers {
    pub(super) fn new(limits: ReadingLimits, waiting: Waiting, kernel: KernelMemory) -> Self {
        let closed = Notices::told_by(|count, (peer, slow): &(Option<Peer>, Slow)| {
            let peer = peer.map(|peer| tracing::field::display(peer.address));
            info!(count, peer, why = %slow, "clients that read too slowly were closed");
        });
        Self { limits, waiting, kernel, closed }
    }
}

/// How one client takes its answers.
#[derive(Debug)]
pub(super) struct Reader {
    readers: Readers,
    peer: Option<Peer>,
    /// Bytes that our kernel took so far.
    written: u64,
    blocked: Option<Blocked>,
    /// Rings when it may be time for a look. One for all that wait: it is set anew when it rings.
    look: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct Blocked {
    /// What waits for it, as it is counted.
    bytes: usize,
    /// When it was looked at, or when it began.
    looked: Instant,
    /// From the first look on.
    measured: Option<Measured>,
}

#[derive(Debug)]
struct Measured {
    since: Instant,
    /// What it had taken then.
    before: u64,
    /// What it had taken at the last look.
    seen: u64,
    /// What it had taken when the kernel's memory was thought of, and when that was.
    steady: (Instant, u64),
}

impl Reader {
    pub(super) fn new(readers: Readers, peer: Option<Peer>) -> Self {
        Self { readers, peer, written: 0, blocked: None, look: None }
    }

    /// Our kernel took so many bytes.
    pub(super) fn took(&mut self, bytes: usize) {
        self.written += bytes as u64;
    }

    /// Our kernel took so many bytes, of all that was written so far.
    pub(super) fn has_taken(&mut self, bytes: u64) {
        self.written = bytes;
    }

    /// Whether something waits for our kernel to take it.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Our kernel has all of it.
    pub(super) fn is_free(&mut self) {
        if let Some(blocked) = self.blocked.take() {
            self.readers.waiting.add(blocked.bytes, 0);
        }
    }

    /// Our kernel takes no more for now, and so many bytes wait. Ready when that has gone on for too long; `unacknowledged`
    /// tells what the client's kernel has not taken of what ours has.
    pub(super) fn poll_slow(
        &mut self,
        waiting: usize,
        unacknowledged: impl Fn() -> Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Slow> {
        let begin = || Blocked { bytes: 0, looked: Instant::now(), measured: None };
        let blocked = self.blocked.get_or_insert_with(begin);
        self.readers.waiting.add(std::mem::replace(&mut blocked.bytes, waiting), waiting);
        let look = self.look.get_or_insert_with(|| Box::pin(sleep_until(blocked.looked + LOOK)));
        loop {
            ready!(look.as_mut().poll(cx));
            let now = Instant::now();
            if now >= blocked.looked + LOOK {
                let taken = self.written.saturating_sub(unacknowledged().unwrap_or(0));
                if let Some(slow) = blocked.judge(&self.readers, now, taken) {
                    self.readers.closed.note((self.peer, slow));
                    self.readers.waiting.closed();
                    return Poll::Ready(slow);
                }
                blocked.looked = now;
            }
            look.as_mut().reset(blocked.looked + LOOK);
        }
    }
}

impl Blocked {
    /// Looks at what the client had taken when.
    fn judge(&mut self, readers: &Readers, now: Instant, taken: u64) -> Option<Slow> {
        let ReadingLimits { idle, floor, memory } = readers.limits;
        let Some(measured) = &mut self.measured else {
            self.measured = Some(Measured { since: now, before: taken, seen: taken, steady: (now, taken) });
            return None;
        };
        let within = now - measured.since;
        if within >= idle {
            let bytes = taken.saturating_sub(measured.before);
            if bytes < floor.saturating_mul(within.as_secs()).max(1) {
                return Some(Slow::Took { bytes, within });
            }
            (measured.since, measured.before) = (now, taken);
        }
        let bytes = taken.saturating_sub(std::mem::replace(&mut measured.seen, taken));
        let waiting = readers.waiting.bytes();
        if waiting > memory && bytes < UNDER_PRESSURE {
            return Some(Slow::UnderPressure { waiting });
        }
        let (since, before) = measured.steady;
        let within = now - since;
        if within < KERNEL_LOOK {
            return None;
        }
        measured.steady = (now, taken);
        let is_slow = taken.saturating_sub(before) < UNDER_PRESSURE * within.as_secs();
        (is_slow && readers.kernel.is_short(now)).then_some(Slow::KernelUnderPressure)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.is_free();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{pause, timeout};

    use super::super::kernel::tests::told;
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn readers(floor: u64, memory: usize) -> Readers {
        Readers::new(ReadingLimits { idle: IDLE, floor, memory }, Waiting::new().unwrap(), KernelMemory::unknown())
    }

    #[actix_web::test]
    async fn while_the_kernel_is_short_of_memory_those_that_take_next_to_nothing_go_at_once_and_the_others_stay() {
        pause();
        let root = tempfile::tempdir().unwrap();
        let mut readers = readers(256, usize::MAX);
        readers.kernel = told(root.path(), 100, 100);
        assert_eq!(read(&readers, 1 << 10).await, None);
        told(root.path(), 101, 100);
        let (why, after) = read(&readers, 1 << 10).await.expect("the kernel has more than it has without a thought");
        assert_eq!(why, Slow::KernelUnderPressure);
        assert!(after <= 7, "{after}");
        assert_eq!(read(&readers, 32 << 10).await, None);
        // As much in steps of four seconds.
        let (mut reader, begun) = (Reader::new(readers.clone(), None), Instant::now());
        reader.took(1 << 40);
        let unacknowledged = || Some((1 << 40) - begun.elapsed().as_secs() / 4 * (128 << 10));
        assert!(timeout(60 * IDLE, poll_fn(|cx| reader.poll_slow(1_000, unacknowledged, cx))).await.is_err());
    }

    /// Lets a client take that many bytes a second of more than it ever gets; why it is closed within an hour, and after
    /// how long.
    async fn read(readers: &Readers, rate: u64) -> Option<(Slow, u64)> {
        let (mut reader, begun) = (Reader::new(readers.clone(), None), Instant::now());
        reader.took(1 << 40);
        let unacknowledged = || Some((1 << 40) - begun.elapsed().as_secs() * rate);
        let slow = timeout(60 * IDLE, poll_fn(|cx| reader.poll_slow(1_000, unacknowledged, cx))).await.ok()?;
        Some((slow, begun.elapsed().as_secs()))
    }

    #[actix_web::test]
    async fn a_client_that_takes_less_than_the_floor_is_closed_and_one_that_takes_as_much_is_not() {
        pause();
        for (floor, rate, closed) in
            [(256, 0, true), (256, 255, true), (256, 257, false), (256, 1 << 20, false), (0, 0, true), (0, 1, false)]
        {
            let readers = readers(floor, usize::MAX);
            let slow = read(&readers, rate).await;
            assert_eq!(slow.is_some(), closed, "{floor} {rate}: {slow:?}");
            if let Some((slow, after)) = slow {
                assert!((60..=62).contains(&after), "{after}");
                let took = matches!(slow, Slow::Took { bytes, within } if bytes == rate * 60 && within.as_secs() == 60);
                assert!(took, "{rate}: {slow:?}");
            }
            assert_eq!(readers.waiting.bytes(), 0, "nothing is held for one that is gone");
        }
    }

    #[actix_web::test]
    async fn the_time_begins_anew_when_all_was_taken() {
        pause();
        let readers = readers(256, usize::MAX);
        let mut reader = Reader::new(readers.clone(), None);
        for _ in 0..10 {
            let slow = timeout(IDLE, poll_fn(|cx| reader.poll_slow(7, || Some(0), cx)));
            assert!(slow.await.is_err(), "it is blocked for less than is too long");
            assert_eq!(readers.waiting.bytes(), 7);
            reader.is_free();
            assert_eq!(readers.waiting.bytes(), 0);
        }
    }

    #[actix_web::test]
    async fn while_too_much_waits_those_that_take_next_to_nothing_go_at_once_and_the_others_stay() {
        pause();
        let readers = readers(256, 10_000);
        let (slow, fast) = (1 << 10, 32 << 10);
        assert_eq!(read(&readers, slow).await, None, "little waits");
        readers.waiting.add(0, 10_000);
        let (why, after) = read(&readers, slow).await.expect("more waits than may");
        assert_eq!(why, Slow::UnderPressure { waiting: 11_000 });
        assert!(after <= 3, "{after}");
        assert_eq!(read(&readers, fast).await, None);
        readers.waiting.add(10_000, 0);
        assert_eq!(read(&readers, slow).await, None, "little waits again");
    }
}
