//! Runs a target on an input, learns how it fails, and makes the input as small as it can be.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, Location, PanicHookInfo};
use std::sync::Once;

/// How a target failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Where the panic is in the source.
    pub(crate) place: String,
    pub(crate) message: String,
}

thread_local! {
    /// Whether a panic of this thread is looked for.
    static LOOKED_FOR: Cell<bool> = const { Cell::new(false) };
    static SEEN: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// Whether the target takes an input; how it fails, if it does.
pub(crate) fn attempt(run: fn(&[u8]) -> bool, input: &[u8]) -> Result<bool, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match LOOKED_FOR.get() {
            true => SEEN.set(Some(Failure::of(panic))),
            false => usual(panic),
        }));
    });
    LOOKED_FOR.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(|| run(input)));
    LOOKED_FOR.set(false);
    done.map_err(|_| SEEN.take().unwrap())
}

impl Failure {
    fn of(panic: &PanicHookInfo<'_>) -> Self {
        let message = panic.payload_as_str().unwrap_or("a panic without words").to_owned();
        Self { place: panic.location().map(Location::to_string).unwrap_or_default(), message }
    }
}

/// The smallest input that was found to fail in the same place: pieces of it are left out, and bytes made plain, as long as
/// that changes nothing. At most so many attempts.
pub(crate) fn minimise(run: fn(&[u8]) -> bool, input: &[u8], place: &str, mut attempts: usize) -> Vec<u8> {
    let mut least = input.to_vec();
    let mut fails = |input: &[u8]| {
        attempts = attempts.saturating_sub(1);
        attempts > 0 && attempt(run, input).is_err_and(|failure| failure.place == place)
    };
    let mut piece = least.len().div_ceil(2);
    while piece > 0 {
        let mut at = 0;
        while at < least.len() {
            let shorter = [&least[..at], &least[(at + piece).min(least.len())..]].concat();
            if fails(&shorter) {
                least = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    for at in 0..least.len() {
        let before = std::mem::replace(&mut least[at], b'a');
        if before != b'a' && !fails(&least) {
            least[at] = before;
        }
    }
    least
}
