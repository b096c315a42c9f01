//! What is wrong just now with what actord needs, as the last rounds of the jobs found it. Whoever asks whether actord is
//! ready reads this, and causes no look of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::table::Job;

/// By the names of the jobs that decide readiness. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Standing {
    /// A job begins: until its first round, it is not known how it stands.
    pub(super) fn begin(&self, job: &Job) {
        if job.at_once {
            self.note(job, Some("not looked at yet"));
        }
    }

    pub(super) fn note(&self, job: &Job, fault: Option<&str>) {
        if !job.decides_readiness {
            return;
        }
        match fault {
            // One line each.
            Some(fault) => drop(self.lock().insert(job.name, fault.replace(['\r', '\n'], " "))),
            None => drop(self.lock().remove(job.name)),
        }
    }

    /// One line for each job whose last round was not good.
    pub(super) fn faults(&self) -> Vec<String> {
        self.lock().iter().map(|(job, fault)| format!("{job}: {fault}")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
