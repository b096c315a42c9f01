//! The wall's clock, where people are to see when something was. All that waits or is compared goes by the ticks of the calls'
//! database, which nobody can set.

use jiff::Timestamp;

/// What it is on the wall, in milliseconds.
#[must_use]
pub fn wall() -> i64 {
    Timestamp::now().as_millisecond()
}
