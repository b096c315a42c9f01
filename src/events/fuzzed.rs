//! Ids of events, as clients send them, as a fuzz target: what is taken is written as it was read, and who comes back with it
//! goes on with the next event, or is told once that something was missed.

#![allow(clippy::expect_used, clippy::panic, reason = "a target fails by a panic")]

use std::sync::LazyLock;

use tokio::sync::watch;

use super::event::What;
use super::ring::KEPT;
use super::{EventId, Events, Filter, Told, Why};
use crate::history::Loads;

/// The process of the seeds.
const BOOT: u32 = 0x3f9a_01bc;
/// How many events were pushed out of the ring, and the number of the last one.
const LOST: u64 = 16;
const LAST: u64 = KEPT as u64 + LOST;
/// None has this number or a higher one.
const AFTER: u64 = LAST + 1;

static EVENTS: LazyLock<Events> = LazyLock::new(|| {
    let events = Events::of_boot(BOOT, watch::channel(Loads::default()).1);
    (0..LAST).for_each(|n| events.shared.push(None, What::Paused(n % 2 == 0)));
    events
});

pub(crate) fn ids(bytes: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(bytes);
    let Ok(id) = text.parse::<EventId>() else { return false };
    let written = id.to_string();
    assert_eq!(written.parse(), Ok(id), "{text:?}");
    // As a second reader has it: which process and which number, whatever zeros the number begins with.
    let (boot, number) = text.split_at_checked(8).expect("what is taken has the process first");
    let number = number.strip_prefix('-').expect("and then a number").trim_start_matches('0');
    assert_eq!(written, format!("{boot}-{}", if number.is_empty() { "0" } else { number }), "{text:?}");

    let mut reader = EVENTS.read(Some(id), Filter::default());
    let newest = EventId { boot: BOOT, number: LAST };
    match (id.boot == BOOT, id.number) {
        (false, _) => assert_eq!(reader.try_next(), Some(Told::Reset(Why::Earlier, newest)), "{text:?}"),
        (true, ..LOST) | (true, AFTER..) => {
            assert_eq!(reader.try_next(), Some(Told::Reset(Why::Gone, newest)), "{text:?}");
        }
        (true, LAST) => {}
        (true, seen) => {
            let next = reader.try_next();
            let Some(Told::Event(event)) = &next else { panic!("{text:?} is gone on after with {next:?}") };
            assert_eq!(event.id, EventId { boot: BOOT, number: seen + 1 });
            return true;
        }
    }
    assert_eq!(reader.try_next(), None, "{text:?}: told twice");
    true
}
