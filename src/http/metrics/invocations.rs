//! What is counted of each function's invocations: series that come with the function and go with it.
//!
//! The vectors belong to one function, not to a name: what is deleted leaves the page at once, and a function of the same
//! name that comes later begins at zero.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts};
use tokio::time::Instant;

use super::{CODE, FUNCTION};
use crate::function::FunctionId;
use crate::routes::FunctionEntry;

const SECONDS: (&str, &str) = ("gateway_functions_seconds", "Time of a function's answer, to its last byte");
const TOTAL: (&str, &str) = ("gateway_function_invocation_total", "Requests for a function that were answered");
const IN_FLIGHT: (&str, &str) =
    ("gateway_function_invocation_inflight", "Requests for a function that are not answered to their last byte yet");
const STARTED: (&str, &str) = ("gateway_function_invocation_started", "Requests for a function that were begun");

/// The code that is counted for a client that left before it got an answer (nginx's word for it).
const CLIENT_LEFT: u16 = 499;

/// All functions' series.
#[derive(Debug, Clone)]
pub(super) struct Invocations {
    by_function: Arc<DashMap<FunctionId, Arc<Vectors>>>,
    descs: Arc<[Desc]>,
}

/// One function's series.
#[derive(Debug)]
struct Vectors {
    entry: FunctionEntry,
    started: IntCounter,
    in_flight: IntGauge,
    total: IntCounterVec,
    seconds: HistogramVec,
}

impl Vectors {
    fn new(entry: &FunctionEntry) -> Result<Self, prometheus::Error> {
        let function = entry.function().to_string();
        let opts = |(name, help): (&str, &str)| Opts::new(name, help).const_label(FUNCTION, &function);
        Ok(Self {
            entry: entry.clone(),
            started: IntCounter::with_opts(opts(STARTED))?,
            in_flight: IntGauge::with_opts(opts(IN_FLIGHT))?,
            total: IntCounterVec::new(opts(TOTAL), &[CODE])?,
            seconds: HistogramVec::new(HistogramOpts::from(opts(SECONDS)), &[CODE])?,
        })
    }
}

impl Invocations {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let desc = |(name, help): (&str, &str), labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        let descs = [
            desc(SECONDS, &[FUNCTION, CODE])?,
            desc(TOTAL, &[FUNCTION, CODE])?,
            desc(STARTED, &[FUNCTION])?,
            desc(IN_FLIGHT, &[FUNCTION])?,
        ];
        Ok(Self { by_function: Arc::default(), descs: descs.into() })
    }

    /// One function's series, for one worker.
    ///
    /// # Errors
    /// When a name or label is none, which is a mistake in this file.
    pub(super) fn series(&self, entry: &FunctionEntry) -> Result<Series, prometheus::Error> {
        // At each new series as well as at each scrape: where no Prometheus scrapes, every name that was ever called would stay.
        self.by_function.retain(|_, vectors| !vectors.entry.is_deleted());
        let fresh = || Vectors::new(entry).map(Arc::new);
        let mut vectors = self.by_function.entry(entry.function().clone()).or_try_insert_with(fresh)?;
        if !vectors.entry.is(entry) {
            *vectors = fresh()?;
        }
        Ok(Series { vectors: vectors.clone(), by_code: RefCell::default() })
    }
}

impl Collector for Invocations {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.by_function.retain(|_, vectors| !vectors.entry.is_deleted());
        // The registry puts families of one name together.
        let all = self.by_function.iter();
        all.flat_map(|vectors| {
            let Vectors { started, in_flight, total, seconds, .. } = &**vectors.value();
            [started.collect(), in_flight.collect(), total.collect(), seconds.collect()]
        })
        .flatten()
        .collect()
    }
}

/// One function's series, looked up once per worker so that a request takes no lock and formats no label.
#[derive(Debug)]
pub(in crate::http) struct Series {
    vectors: Arc<Vectors>,
    by_code: RefCell<Vec<(u16, IntCounter, Histogram)>>,
}

impl Series {
    fn count_start(&self) {
        self.vectors.started.inc();
        self.vectors.in_flight.inc();
    }

    fn count_end(&self, code: u16, took: Duration) {
        // A function can answer with any number: those that are no status share one label.
        let code = if (100..600).contains(&code) { code } else { 0 };
        let mut by_code = self.by_code.borrow_mut();
        let at = by_code.iter().position(|(counted, ..)| *counted == code).unwrap_or_else(|| {
            let text = if code == 0 { "other".to_owned() } else { code.to_string() };
            let Vectors { total, seconds, .. } = &*self.vectors;
            by_code.push((code, total.with_label_values(&[&text]), seconds.with_label_values(&[&text])));
            by_code.len() - 1
        });
        let (_, total, seconds) = &by_code[at];
        total.inc();
        seconds.observe(took.as_secs_f64());
        self.vectors.in_flight.dec();
        self.vectors.entry.count_call(took, code == 0 || code >= 500);
    }
}

/// Counts one invocation when it is dropped: when the last byte of the answer is out or the client is gone.
#[derive(Debug)]
pub(in crate::http) struct Invocation<T: AsRef<Series>> {
    target: T,
    since: Instant,
    code: u16,
}

impl<T: AsRef<Series>> Invocation<T> {
    /// Counts its start.
    pub(in crate::http) fn begin(target: T, since: Instant) -> Self {
        target.as_ref().count_start();
        Self { target, since, code: CLIENT_LEFT }
    }

    /// What is invoked.
    pub(in crate::http) fn target(&self) -> &T {
        &self.target
    }

    /// Notes the status that the client gets.
    pub(in crate::http) fn answered(&mut self, status: u16) {
        self.code = status;
    }
}

impl<T: AsRef<Series>> Drop for Invocation<T> {
    fn drop(&mut self) {
        self.target.as_ref().count_end(self.code, self.since.elapsed());
    }
}
