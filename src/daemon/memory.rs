//! What the allocator keeps of memory that is free again. glibc's has up to eight arenas a processor, each of which keeps what a burst
//! left in it, and it learns to keep large buffers, too: after some deploys and scrapes most of our memory would be of that kind.
//!
//! ```text
//! at the start:      as many arenas as processors; what is large is mapped alone and given back at once
//! every 20 seconds:  free pages within the arenas are given back
//! ```
//! Another C library keeps its own ways.

use std::convert::Infallible;

/// Allocations from this size on are mapped alone, in bytes. It is where glibc begins; said, it stays there and does not grow with what
/// is freed.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 128 << 10;

/// Sets it up. Takes effect for threads that come later.
pub(super) fn set_up() {
    #[cfg(target_env = "gnu")]
    {
        let arenas = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for (parameter, value) in [
            (libc::M_ARENA_MAX, libc::c_int::try_from(arenas).unwrap_or(libc::c_int::MAX)),
            (libc::M_MMAP_THRESHOLD, LARGE),
            (libc::M_TRIM_THRESHOLD, LARGE),
        ] {
            // SAFETY: it takes two numbers, and locks what it changes.
            #[allow(unsafe_code)]
            let taken = unsafe { libc::mallopt(parameter, value) };
            if taken != 1 {
                tracing::debug!(parameter, value, "the allocator takes no such setting");
            }
        }
    }
}

/// Gives back what is free, where that may take a moment.
pub(super) async fn give_back() -> Result<(), Infallible> {
    // It does not panic, and a runtime that ends asks for nothing.
    let _ = tokio::task::spawn_blocking(trim).await;
    Ok(())
}

fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and locks each arena while it looks through it; what is in use stays where it is.
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
#[cfg(target_env = "gnu")]
#[allow(clippy::unwrap_used, reason = "a test that can not read what it needs has failed")]
mod tests {
    use super::*;

    /// Memory of our own that lies in memory, in bytes.
    fn held() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    #[tokio::test]
    async fn what_is_free_between_what_is_in_use_is_given_back() {
        const BLOCK: usize = 16 << 10;
        const BLOCKS: usize = 8_192;
        let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| vec![1; BLOCK]).collect();
        // Every 64th stays, so that no arena can just be made shorter.
        let mut number = 0;
        blocks.retain(|_| {
            number += 1;
            number % 64 == 0
        });
        let before = held();
        let Ok(()) = give_back().await;
        let freed = before.saturating_sub(held());
        assert!(freed > BLOCKS * BLOCK / 2, "{freed} bytes were given back of {before}");
        assert_eq!(blocks.len(), BLOCKS / 64);
    }
}
