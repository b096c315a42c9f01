//! The requests of an apply: as many at a time as allowed, each function on its own, until all are ready or time is up.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::Method;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::plan::{Act, Change};
use super::poll::{Poll, RolloutState};
use super::progress::Progress;
use super::report::{Outcome, Report, Verdict};
use super::rollout::{Patience, watched};
use crate::cli::client::{Client, ClientError};
use crate::cli::rm::remove;
use crate::function::{FunctionId, Spec};
use crate::wire::FunctionDeployment;

/// When a gateway that says "not now" is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// An apply under way. Everything runs on one thread, as one future.
pub(super) struct Work<'a> {
    client: &'a Client,
    requests: Semaphore,
    timeout: Duration,
    progress: RefCell<Progress>,
    /// Functions that the gateway was asked for.
    sent: RefCell<BTreeSet<FunctionId>>,
    outcomes: RefCell<Vec<Outcome>>,
}

impl<'a> Work<'a> {
    pub(super) fn new(client: &'a Client, parallel: usize, timeout: Duration, bars: bool) -> Self {
        Self {
            client,
            requests: Semaphore::new(parallel),
            timeout,
            progress: RefCell::new(Progress::new(bars)),
            sent: RefCell::default(),
            outcomes: RefCell::default(),
        }
    }

    /// Does what the plan says: first what is to be there, then what is to go.
    pub(super) async fn perform(self, plan: &[Change]) -> Report {
        let patience = Patience::of(self.timeout);
        let (removals, applied): (Vec<_>, Vec<_>) = plan.iter().partition(|change| change.act == Act::Remove);
        self.progress.borrow_mut().begin(plan.len());
        let poll = Poll::new(self.client, applied.iter().map(|change| change.id.clone()));
        let all = async {
            self.each(&applied, patience, &poll).await;
            self.each(&removals, patience, &poll).await;
        };
        let interrupted = tokio::select! {
            () = all => false,
            never = poll.run() => match never {},
            _ = tokio::signal::ctrl_c() => true,
        };
        self.progress.borrow_mut().end();
        let outcomes = self.outcomes.into_inner();
        let mut report = Report { outcomes, interrupted, took: patience.begun.elapsed() };
        if interrupted {
            report.add_unfinished(plan, &self.sent.borrow());
        }
        report.outcomes.sort_by(|a, b| a.id.cmp(&b.id));
        report
    }

    async fn each(&self, changes: &[&Change], patience: Patience, poll: &Poll) {
        let mut all: FuturesUnordered<_> = changes.iter().map(|change| self.one(change, patience, poll)).collect();
        while all.next().await.is_some() {}
    }

    /// One function, from the request to its last word.
    async fn one(&self, change: &Change, patience: Patience, poll: &Poll) {
        let Ok(place) = self.requests.acquire().await else { return };
        let (id, begun) = (&change.id, Instant::now());
        self.sent.borrow_mut().insert(id.clone());
        self.progress.borrow_mut().sent(id);
        let done = async {
            self.request(change).await?;
            // The next one's turn: this one only waits for the poll.
            drop(place);
            Ok::<_, ClientError>(if change.act == Act::Remove { RolloutState::Ready } else { poll.settled(id).await })
        };
        let verdict = watched(id, done, poll, &self.progress, patience).await;
        let verdict = verdict.unwrap_or_else(|error| Verdict::Failed(error.to_string()));
        let outcome = Outcome { id: id.clone(), act: change.act, verdict, took: begun.elapsed() };
        self.progress.borrow_mut().done(&outcome);
        self.outcomes.borrow_mut().push(outcome);
    }

    /// Asks until the gateway has an answer other than "not now".
    async fn request(&self, change: &Change) -> Result<(), ClientError> {
        loop {
            let answer = match &change.spec {
                Some(spec) => self.apply(change, spec).await,
                None => remove(self.client, &change.id).await,
            };
            match answer {
                Err(ClientError::Answer { status: 503, .. }) => sleep(AGAIN).await,
                // Another client removed it.
                Err(error) if change.act == Act::Remove && error.is_not_found() => return Ok(()),
                answer => return answer,
            }
        }
    }

    /// What was there a moment ago may be gone, and the other way round.
    async fn apply(&self, change: &Change, spec: &Spec) -> Result<(), ClientError> {
        let body = FunctionDeployment::new(&change.id, spec);
        let path = ["system", "functions"];
        let create = change.act == Act::Create;
        let (first, second) = if create { (Method::POST, Method::PUT) } else { (Method::PUT, Method::POST) };
        match self.client.send(first, &path, &body).await {
            Err(ClientError::Answer { status: 404, .. }) if !create => self.client.send(second, &path, &body).await,
            Err(ClientError::Answer { status: 409, .. }) if create => self.client.send(second, &path, &body).await,
            answer => answer,
        }
    }
}
