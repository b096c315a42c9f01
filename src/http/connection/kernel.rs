//! Memory of the kernel for all connections of this machine: what waits there, for clients and at the functions that answer
//! them, is not ours to count, and when it is used up all of them are slow.
//!
//! ```text
//! /proc/net/sockstat           TCP: inuse 28 ... mem 310            pages in use, of all network namespaces
//! /proc/sys/net/ipv4/tcp_mem   287898 383867 575796                 begins to be short, saves, gives none (`tcp(7)`)
//! ```

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often it is looked at, while there are clients that are slow.
const LOOK: Duration = Duration::from_secs(1);

/// Tells when it is short. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct KernelMemory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where the kernel tells of itself.
    root: PathBuf,
    looked: Mutex<Option<(Instant, bool)>>,
}

impl Default for KernelMemory {
    fn default() -> Self {
        Self::below("/proc".into())
    }
}

impl KernelMemory {
    fn below(root: PathBuf) -> Self {
        Self(Arc::new(Inner { root, looked: Mutex::default() }))
    }

    /// Whether more is in use than the kernel has without thinking of it, by whomever: where it saves it is too late to begin.
    /// It is not where that can't be told, as in another network namespace than the machine's. Blocks for microseconds.
    pub(super) fn is_short(&self, now: Instant) -> bool {
        let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
        match *looked {
            Some((at, short)) if now < at + LOOK => short,
            before => {
                let short = self.0.look().unwrap_or_else(|error| {
                    if before.is_none() {
                        tracing::warn!(%error, "not known how much memory connections take in the kernel");
                    }
                    false
                });
                *looked = Some((now, short));
                short
            }
        }
    }
}

impl Inner {
    fn look(&self) -> io::Result<bool> {
        let read = |path: &str, find: fn(&str) -> Option<u64>| {
            let path = self.root.join(path);
            let told = fs::read_to_string(&path).map(|text| find(&text));
            let named = |words: String| io::Error::other(format!("{}: {words}", path.display()));
            told.map_err(|error| named(error.to_string()))?.ok_or_else(|| named("it does not tell".to_owned()))
        };
        Ok(read("net/sockstat", used)? > read("sys/net/ipv4/tcp_mem", enough)?)
    }
}

/// Pages that TCP has.
fn used(sockstat: &str) -> Option<u64> {
    let mut words = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?.split_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

/// Pages that it may have before the kernel cares.
fn enough(tcp_mem: &str) -> Option<u64> {
    tcp_mem.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
impl KernelMemory {
    /// Of which nothing is told: the machine that tests run on may be short of it.
    pub(super) fn unknown() -> Self {
        Self::below("/nonexistent".into())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    /// As a kernel tells it.
    pub(in super::super) fn told(root: &Path, used: u64, enough: u64) -> KernelMemory {
        fs::create_dir_all(root.join("net")).unwrap();
        fs::create_dir_all(root.join("sys/net/ipv4")).unwrap();
        let sockstat = format!(
            "sockets: used 500\nTCP: inuse 28 orphan 0 tw 3233 alloc 37 mem {used}\nUDP: inuse 2 mem 99999999\n"
        );
        fs::write(root.join("net/sockstat"), sockstat).unwrap();
        fs::write(root.join("sys/net/ipv4/tcp_mem"), format!("{enough}\t{}\t{}\n", enough * 2, enough * 3)).unwrap();
        KernelMemory::below(root.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_short_when_tcp_has_more_than_the_first_mark_and_is_looked_at_once_a_second() {
        let root = tempfile::tempdir().unwrap();
        let memory = told(root.path(), 100, 100);
        assert!(!memory.is_short(Instant::now()));
        told(root.path(), 101, 100);
        assert!(!memory.is_short(Instant::now()), "it was looked at a moment ago");
        tokio::time::advance(LOOK).await;
        assert!(memory.is_short(Instant::now()));
        fs::write(root.path().join("net/sockstat"), "sockets: used 500\n").unwrap();
        tokio::time::advance(LOOK).await;
        assert!(!memory.is_short(Instant::now()), "a kernel that does not tell is believed to have some");
    }

    #[test]
    fn this_kernel_tells_it_in_the_machines_own_network_namespace() {
        let told = KernelMemory::default().0.look();
        assert_eq!(told.is_ok(), Path::new("/proc/sys/net/ipv4/tcp_mem").exists(), "{told:?}");
    }
}
