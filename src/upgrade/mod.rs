//! `actord upgrade FILE`: another program in the place of the one that runs, and the way back, which nobody has to ask for.
//!
//! ```text
//! check -> Prepared -> Stopping -> Copied -> Switched -> Trial ---------------------> Passed -> (nothing left)
//!   |         |            |     (only where    |          | not healthy                     ^
//!   v         +-- gives up: the old one runs ---+          v                                 |
//! refused                                             GoingBack -> Back: the old one runs ---+
//! ```
//! *Who decides* is the old program: a copy of it, kept here, watches ([`watch`]) and goes by what is on the disk alone, the
//! [`Marker`]. What comes next is pure (`step`), and so is what healthy means (`health`). A watcher that was killed, by a power
//! cut as well, is started again by whichever `actord up` finds the marker; that `up` holds its breath ([`park`]) while the
//! program or its store is not the one that it will be.
//!
//! ```text
//! /var/lib/actord-upgrade/trial.json     the marker        trial.lock   flock of the watcher, with its pid
//!                         parked         flock of an `up` that waits, with its pid
//!                         kept/actord    the old program   next/        the new one, as it was given
//!                         databases/     copies, while a trial of another schema goes on, and where it did not pass and stays
//!                         debs/          packages as they were installed      last.json   what came of the last one
//! ```

mod ask;
mod deb;
mod describe;
mod ended;
mod health;
mod home;
mod kept;
mod last;
mod look;
mod machine;
mod marker;
mod park;
mod prepare;
mod refusal;
mod service;
mod start;
mod step;
mod watch;

pub use home::{HOME, Home};
pub use last::{Last, Outcome};
pub use machine::Machine;
pub use marker::{Addresses, Before, Build, Function, Marker, PROTOCOL, Step, uptime};
pub use park::{Parked, park};
pub use prepare::{Running, Wanted, prepare, refuse_second};
pub use refusal::{Refusal, refuse_meanwhile};
pub use start::{begin, start_watcher};
pub use watch::watch;
