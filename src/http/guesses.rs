//! Wrong passwords and tokens: slowed by the address that they come from, and told in a few lines, however many come.
//!
//! ```text
//! credentials -> few wrong ones came from the source  -> right: let in, wrong: note -> 401
//!                many did -> all wait for HELD_UP first -> right: let in, wrong: note -> 429 with Retry-After
//! ```
//! A right one gets in wherever it comes from, later where others guess at the same address: were it refused there, a
//! guesser could lock the operator out. It waits as wrong ones do, so a guesser learns nothing before the wait is over, and
//! can't guess faster than with as many connections as it may have. Other sources and requests without credentials are not
//! held up. Calls of functions that ask for a token have a count of their own, and only wrong tokens wait there (`bearer`).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::proxies::TrustedProxies;
use super::source::Source;

/// So many wrong ones a source may send at once ...
const AT_ONCE: u32 = 10;

/// ... and then one in this time.
const EVERY: Duration = Duration::from_secs(6);

/// Beyond that, whatever credentials come from a source are answered so much later.
const HELD_UP: Duration = Duration::from_secs(2);

/// The most sources that are remembered. Beyond it, any of them makes room for a new one.
const SOURCES: usize = 4_096;

/// The time between two lines of one source.
const PERIOD: Duration = Duration::from_secs(60);

/// So many sources have a line of their own in each period; the others have one together.
const LINES: usize = 8;

/// The wrong passwords and tokens for one part of a listener. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Guesses {
    /// What they are sent to.
    part: &'static str,
    proxies: TrustedProxies,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    sources: HashMap<Source, Entry>,
    /// Of sources that had to make room, and were not told yet.
    forgotten: Untold,
    /// Whether a task tells what comes.
    is_told: bool,
}

#[derive(Debug)]
struct Entry {
    /// When all tries that were used are there again.
    whole_at: Instant,
    untold: Untold,
}

/// What came since the last line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Untold {
    wrong: u64,
    /// Those of them that had to wait.
    slowed: u64,
}

impl Untold {
    fn is_none(self) -> bool {
        self == Self::default()
    }

    fn add(&mut self, other: Self) {
        self.wrong += other.wrong;
        self.slowed += other.slowed;
    }
}

impl Guesses {
    /// For this part of a listener that has these proxies before it.
    pub(super) fn of(part: &'static str, proxies: TrustedProxies) -> Self {
        Self { part, proxies, table: Arc::default() }
    }

    /// Whom a request of this peer comes from.
    pub(super) fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> IpAddr {
        self.proxies.client(peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip()), headers)
    }

    /// Whose share of what all may take a request is counted to. Nobody's, where a proxy does not say who its client is, and
    /// for this machine, on which proxies are that nobody told of.
    pub(super) fn sharer(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<Source> {
        let client = self.client(peer, headers);
        (!client.is_loopback() && !self.proxies.contains(client)).then(|| client.into())
    }

    /// How long credentials from there are held up, if they are.
    fn wait(&self, source: Source) -> Option<Duration> {
        let free_at = self.lock().sources.get(&source)?.whole_at.checked_sub(EVERY * (AT_ONCE - 1))?;
        free_at.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
    }

    /// Waits, if credentials from there have to.
    pub(super) async fn hold_up(&self, source: Source) {
        if self.wait(source).is_some() {
            sleep(HELD_UP).await;
        }
    }

    /// Notes that what came from there was wrong. How long what comes next is held up, if there were too many before it.
    pub(super) fn note(&self, source: Source) -> Option<Duration> {
        let now = Instant::now();
        let was_slowed = self.wait(source).is_some();
        let mut table = self.lock();
        table.make_room(source);
        let is_first = !std::mem::replace(&mut table.is_told, true);
        let entry = table.sources.entry(source).or_insert(Entry { whole_at: now, untold: Untold::default() });
        entry.whole_at = (entry.whole_at.max(now) + EVERY).min(now + EVERY * AT_ONCE);
        let this = Untold { wrong: 1, slowed: was_slowed.into() };
        if is_first {
            self.tell(source, this);
            actix_web::rt::spawn(self.clone().tell_the_rest());
        } else {
            entry.untold.add(this);
        }
        drop(table);
        self.wait(source).filter(|_| was_slowed)
    }

    /// Tells what came in each period, until one in which nothing did.
    async fn tell_the_rest(self) {
        loop {
            sleep(PERIOD).await;
            let (told, (rest, sources)) = self.lock().take_untold(Instant::now());
            if told.is_empty() {
                return;
            }
            for (source, untold) in told {
                self.tell(source, untold);
            }
            if !rest.is_none() {
                let Untold { wrong, slowed } = rest;
                warn!(sources, wrong, slowed, "wrong passwords or tokens for {} from more addresses", self.part);
            }
        }
    }

    fn tell(&self, source: Source, Untold { wrong, slowed }: Untold) {
        warn!(%source, wrong, slowed, "wrong passwords or tokens for {}", self.part);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Makes room for a source that is not known yet.
    fn make_room(&mut self, source: Source) {
        if self.sources.len() < SOURCES || self.sources.contains_key(&source) {
            return;
        }
        // Any of them: the order of a hash map can't be known from outside, and to look for the best would cost a guesser
        // with many addresses nothing and us much.
        if let Some(any) = self.sources.keys().next().copied()
            && let Some(entry) = self.sources.remove(&any)
        {
            self.forgotten.add(entry.untold);
        }
    }

    /// What is to be told: the sources with most of it, each for itself, and the others together. Forgets those that owe
    /// nothing any more.
    fn take_untold(&mut self, now: Instant) -> (Vec<(Source, Untold)>, (Untold, usize)) {
        let mut told: Vec<(Source, Untold)> = Vec::new();
        for (source, entry) in &mut self.sources {
            let untold = std::mem::take(&mut entry.untold);
            if !untold.is_none() {
                told.push((*source, untold));
            }
        }
        self.sources.retain(|_, entry| entry.whole_at > now);
        if self.sources.is_empty() {
            self.sources.shrink_to_fit();
        }
        told.sort_by_key(|(_, untold)| std::cmp::Reverse(untold.wrong));
        let rest = told.split_off(told.len().min(LINES));
        let mut sum = std::mem::take(&mut self.forgotten);
        rest.iter().for_each(|(_, untold)| sum.add(*untold));
        self.is_told = !told.is_empty();
        (told, (sum, rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::http::captured_log::CapturedLog;

    /// The fields of the lines since the last time.
    fn fields(log: &CapturedLog) -> Vec<String> {
        log.take().lines().map(|line| line.split_once("or tokens").unwrap().1.trim().to_owned()).collect()
    }

    fn source(address: &str) -> Source {
        address.parse::<IpAddr>().unwrap().into()
    }

    /// Sends wrong passwords from there, one after the other, for this long; how many, and how many of them were slowed.
    async fn guess(guesses: &Guesses, from: Source, time: Duration) -> (u64, u64) {
        let (begun, mut sent, mut slowed) = (Instant::now(), 0, 0);
        while begun.elapsed() < time {
            guesses.hold_up(from).await;
            sent += 1;
            slowed += u64::from(guesses.note(from).is_some());
        }
        (sent, slowed)
    }

    #[actix_web::test]
    async fn a_source_has_ten_tries_at_once_and_is_slowed_from_then_on_until_it_stops_to_guess() {
        tokio::time::pause();
        let (guesses, bad) = (Guesses::of("/system", TrustedProxies::default()), source("192.0.2.1"));
        for n in 0..AT_ONCE {
            assert_eq!(guesses.wait(bad), None, "{n}");
            assert_eq!(guesses.note(bad), None, "{n}");
        }
        assert_eq!(guesses.wait(bad), Some(EVERY));
        sleep(Duration::from_secs(2)).await;
        assert_eq!(guesses.wait(bad).map(|wait| wait.as_secs_f64().round()), Some(4.0));
        assert_eq!(guesses.wait(source("192.0.2.2")), None, "another address is not held up");
        assert_eq!(guesses.note(bad), Some(EVERY), "a guess in that time makes it longer, by no more than one");
        let (sent, slowed) = guess(&guesses, bad, Duration::from_secs(600)).await;
        assert!(sent == slowed && (299..=301).contains(&sent), "{slowed} of {sent} in ten minutes");
        // One comes back in each time without a guess, and after a minute all are there again.
        sleep(EVERY).await;
        assert_eq!((guesses.wait(bad), guesses.note(bad)), (None, None));
        assert!(guesses.wait(bad).is_some());
        sleep(EVERY * AT_ONCE).await;
        for _ in 0..AT_ONCE {
            assert_eq!(guesses.wait(bad), None);
            guesses.note(bad);
        }
    }

    #[actix_web::test]
    async fn while_a_source_guesses_whatever_comes_from_it_waits_for_the_same_time() {
        tokio::time::pause();
        let (guesses, bad) = (Guesses::of("/system", TrustedProxies::default()), source("192.0.2.1"));
        let waited = async |from| {
            let begun = Instant::now();
            guesses.hold_up(from).await;
            begun.elapsed().as_millis()
        };
        for _ in 0..AT_ONCE {
            assert_eq!(waited(bad).await, 0);
            guesses.note(bad);
        }
        // However many at once: none is shut out by the others, and none is told anything before.
        let all = futures_util::future::join_all((0..1_000).map(|_| waited(bad))).await;
        assert!(all.iter().all(|waited| (2_000..2_010).contains(waited)), "{all:?}");
        assert_eq!(waited(source("192.0.2.2")).await, 0);
    }

    #[actix_web::test]
    async fn however_many_sources_guess_memory_and_log_are_bounded() {
        tokio::time::pause();
        let (guesses, log) = (Guesses::of("/system", TrustedProxies::default()), CapturedLog::default());
        let _guard = log.listen();
        let all = 3 * SOURCES as u64;
        for n in 0..all {
            let address = IpAddr::V6(Ipv6Addr::from_bits(u128::from(n) << 64 | 1));
            guesses.note(address.into());
            assert!(guesses.lock().sources.len() <= SOURCES);
        }
        sleep(PERIOD + Duration::from_millis(1)).await;
        let lines = fields(&log);
        assert_eq!(lines.len(), 1 + LINES + 1, "{lines:?}");
        let wrong =
            |line: &String| line.split("wrong=").nth(1).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
        assert_eq!(lines.iter().map(wrong).sum::<u64>(), all, "none is lost: {lines:?}");
        assert_eq!(guesses.lock().sources.capacity(), 0, "memory is given back");
    }

    #[actix_web::test]
    async fn the_first_is_told_at_once_and_then_each_source_once_a_minute() {
        tokio::time::pause();
        let (guesses, log) = (Guesses::of("/system", TrustedProxies::default()), CapturedLog::default());
        let _guard = log.listen();
        let (one, two) = (source("192.0.2.1"), source("2001:db8::1"));
        guesses.note(one);
        assert_eq!(fields(&log), ["for /system source=192.0.2.1 wrong=1 slowed=0"]);
        guess(&guesses, one, Duration::from_secs(5)).await;
        guesses.note(two);
        assert_eq!(fields(&log), [""; 0]);
        sleep(PERIOD).await;
        let lines = fields(&log);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0], "for /system source=192.0.2.1 wrong=12 slowed=3");
        assert_eq!(lines[1], "for /system source=2001:db8::/64 wrong=1 slowed=0");
        sleep(PERIOD * 10).await;
        assert_eq!(fields(&log), [""; 0], "nothing came");
        guesses.note(two);
        assert_eq!(fields(&log), ["for /system source=2001:db8::/64 wrong=1 slowed=0"]);
    }
}
