//! Places for streams of events on a listener, each of which is a connection and a task for as long as its client likes: so many in
//! all, and of one token's not so many that others find none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::credentials::Caller;

/// The most streams that are open on a listener.
const ALL: usize = 64;
/// And the most that are of one token.
const OF_A_TOKEN: usize = 16;

/// The places of a listener. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_tokens: HashMap<String, usize>,
}

/// A place that is taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    streams: Streams,
    token: Option<String>,
}

impl Streams {
    /// A place for a caller; if there is none, why.
    pub(super) fn take(&self, caller: &Caller) -> Result<Place, &'static str> {
        let mut taken = self.taken();
        if taken.all >= ALL {
            return Err("too many streams of events are open on this listener: some must end first");
        }
        let token = match caller {
            Caller::Admin(_) => None,
            Caller::Token(token) => Some(token.id.clone()),
        };
        if let Some(token) = &token {
            let count = taken.of_tokens.entry(token.clone()).or_default();
            if *count >= OF_A_TOKEN {
                return Err("too many streams of events are open by this token: some of them must end first");
            }
            *count += 1;
        }
        taken.all += 1;
        drop(taken);
        Ok(Place { streams: self.clone(), token })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.streams.taken();
        taken.all -= 1;
        if let Some(token) = &self.token
            && let Some(count) = taken.of_tokens.get_mut(token)
        {
            *count -= 1;
            if *count == 0 {
                taken.of_tokens.remove(token);
            }
        }
    }
}
