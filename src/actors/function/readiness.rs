//! Waiting until an instance is ready.
//!
//! ```text
//! started -> initial delay -> asked often -> its answer -> what it means (function::readiness) -> its watchdog's port
//!                               ^                                 | not yet: the status says why    | not yet
//!                               +---------------------------------+---------------------------------+
//! ```
//! The socket table of the instance is read where that is all that can tell: what listens behind a watchdog, and what
//! the process listens on instead of the port that it should.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::host_call::host_call;
use super::instance_task::InstanceTask;
use super::listening::unreachable;
use super::progress::StartProgress;
use crate::function::{GRACE, GoodVersion, HEALTH, HttpCheck, Judged, StartError, Verdict, Whereabouts, upstream_port};
use crate::host::{HostError, Image, effective_environment};

/// The wait between two questions to an instance grows with the time since its start, up to the last of these. To one that
/// accepts no connection yet it is short: that is refused by the kernel, costs neither side much, and the first caller waits.
const CONNECT_SOON: Duration = Duration::from_millis(1);
const CHECK_SOON: Duration = Duration::from_millis(5);
const CHECK_LATER: Duration = Duration::from_millis(250);
/// How often the socket table is read of an instance that can't be reached; most can after the first of these times.
const LOOK: Duration = Duration::from_secs(1);
/// The longest that reading the socket table may take.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// So many times in a row the table may fail to be read before it is done without.
const LOOKS: u32 = 3;

/// What is known of an instance while it gets ready.
struct Waiting<'a> {
    task: &'a InstanceTask,
    address: SocketAddr,
    check: HttpCheck,
    /// What it needs to go on answering for, where its answer leaves that open.
    grace: Duration,
    /// Since when its answers leave that open.
    open_since: Option<Instant>,
    /// The port behind its watchdog that has to listen, too.
    upstream: Option<u16>,
    /// How often the socket table could not be read, since it last could.
    unread: u32,
    /// Whether the last question got an answer.
    answers: bool,
    /// When the socket table is read next, and what it said last of an instance that can't be reached.
    next_look: Instant,
    seen: Option<String>,
}

impl InstanceTask {
    /// Returns once the instance at `address` is ready. It is asked more often than its period says: its first caller is
    /// waiting. `image` is what it was made from, where that is known.
    ///
    /// Without `progress` it runs already, and is being adopted. If its version served before, it has no grace to wait
    /// for and is measured by no other: it may have served for days like this, and its requests wait.
    pub(super) async fn poll_ready(
        &self,
        address: SocketAddr,
        image: Option<&Image>,
        mut progress: Option<&mut StartProgress<'_>>,
    ) -> Result<(), StartError> {
        let check = self.spec.checks().ready;
        if !check.initial_delay.is_zero() {
            sleep(check.initial_delay).await;
        }
        let served = progress.is_none() && self.has_served;
        let mut waiting = Waiting {
            task: self,
            address,
            grace: if served { Duration::ZERO } else { GRACE },
            open_since: None,
            upstream: if served { None } else { self.upstream_port(address, image) },
            unread: 0,
            answers: false,
            next_look: Instant::now() + LOOK,
            seen: None,
            check,
        };
        let limit = self.context.settings.ready_timeout + waiting.check.period * (waiting.check.successes - 1);
        let (begun, deadline) = (Instant::now(), Instant::now() + limit);
        let mut good = 0;
        loop {
            let looked = waiting.look().await;
            let pause = pause(begun.elapsed(), waiting.answers).min(waiting.check.period);
            let wait = match looked {
                Ok(judged) => {
                    good += 1;
                    if good >= waiting.check.successes {
                        self.context.status_cache.judgements.note(&self.function, self.generation, judged);
                        return Ok(());
                    }
                    waiting.check.period
                }
                Err(reason) if Instant::now() + pause >= waiting.deadline(deadline) => {
                    let seconds = limit.as_secs();
                    return Err(StartError::NotReady(format!(
                        "the process was not ready within {seconds} s: {reason}"
                    )));
                }
                Err(reason) => {
                    good = 0;
                    // Most are ready sooner: that they are not yet is no news.
                    if let Some(progress) = &mut progress
                        && begun.elapsed() >= LOOK
                    {
                        progress.waits_for(reason);
                    }
                    pause
                }
            };
            sleep(wait).await;
        }
    }

    /// The port behind its watchdog; only where the function does not say by a path of its own what "ready" is.
    fn upstream_port(&self, address: SocketAddr, image: Option<&Image>) -> Option<u16> {
        if self.spec.checks().ready.path.is_some() {
            return None;
        }
        let environment = effective_environment(&image?.config, &self.spec).into_iter().collect();
        upstream_port(&environment, Whereabouts { address: address.ip(), host_name: &self.function.name })
    }

    /// What is known of the version whose instances would go for this one.
    fn good_version(&self) -> GoodVersion {
        let Some(good) = self.good else { return GoodVersion::None };
        match self.context.status_cache.judgements.of(&self.function, good) {
            Some(judged) => GoodVersion::Judged(judged),
            None if good == self.generation => GoodVersion::None,
            None => GoodVersion::Unknown,
        }
    }

    async fn listening(&self) -> Result<Option<Vec<SocketAddr>>, HostError> {
        let (runtime, id) = (self.context.host.runtime.clone(), self.id.clone());
        let look = async move { runtime.listening(&id).await };
        host_call(&self.context.runtime, || format!("read the socket table of {}", self.id), LOOK_LIMIT, look).await
    }
}

/// How long to wait before the next question, so long after the first.
fn pause(since: Duration, answers: bool) -> Duration {
    if answers { (since / 2).clamp(CHECK_SOON, CHECK_LATER) } else { (since / 4).clamp(CONNECT_SOON, CHECK_LATER) }
}

impl Waiting<'_> {
    /// A grace that has begun goes on to its end.
    fn deadline(&self, deadline: Instant) -> Instant {
        self.open_since.map_or(deadline, |since| deadline.max(since + self.grace + 2 * CHECK_LATER))
    }

    /// One look at the instance: how it is ready, or why it is not yet.
    async fn look(&mut self) -> Result<Judged, String> {
        let answer = match self.task.ask(self.address, &self.check).await {
            Ok(answer) => answer,
            Err(reason) => {
                (self.open_since, self.answers) = (None, false);
                return Err(self.unreachable(reason).await);
            }
        };
        self.answers = true;
        let address = self.address;
        if let Some(path) = &self.check.path {
            let answered = answer.to_own_path().map_err(|reason| format!("{address} GET {path}: {reason}"));
            return answered.map(|()| Judged::ByPath);
        }
        let good = if self.grace.is_zero() { GoodVersion::None } else { self.task.good_version() };
        match answer.to_health(&good) {
            Verdict::Ready(judged) => {
                self.open_since = None;
                self.with_upstream(judged).await
            }
            Verdict::AfterGrace(status) => {
                let open = self.open_since.get_or_insert_with(Instant::now).elapsed();
                let left = self.grace.saturating_sub(open);
                if left.is_zero() {
                    let grace = (!self.grace.is_zero()).then_some(self.grace);
                    return self.with_upstream(Judged::ByDefault(Some(status), grace)).await;
                }
                let grace = self.grace.as_secs();
                Err(format!(
                    "{address} GET {HEALTH}: answered {status}; it counts as ready when it has accepted connections \
                     for {grace} s"
                ))
            }
            Verdict::NotYet(reason) => {
                self.open_since = None;
                Err(format!("{address} GET {HEALTH}: {reason}"))
            }
        }
    }

    /// An instance that answers, if the port behind its watchdog listens as well. Where that can't be known it counts as
    /// if there were none.
    async fn with_upstream(&mut self, judged: Judged) -> Result<Judged, String> {
        let Some(port) = self.upstream else { return Ok(judged) };
        match self.task.listening().await {
            Ok(Some(open)) if open.iter().any(|address| address.port() == port) => Ok(judged),
            Ok(Some(_)) => {
                self.unread = 0;
                Err(format!(
                    "its watchdog answers, and nothing listens yet on port {port}, which upstream_url in its \
                     environment names"
                ))
            }
            Ok(None) => Ok(judged),
            Err(error) => {
                self.unread += 1;
                if self.unread < LOOKS {
                    return Err(error.to_string());
                }
                let instance = &self.task.id;
                tracing::warn!(%instance, %error, "ready, and it is not known whether its port {port} listens");
                Ok(judged)
            }
        }
    }

    /// Why the instance does not answer: what it listens on says more than that it can't be reached.
    async fn unreachable(&mut self, reason: String) -> String {
        if Instant::now() >= self.next_look {
            self.seen = match self.task.listening().await {
                Ok(Some(open)) => unreachable(&open, self.address.port()),
                Ok(None) | Err(_) => None,
            };
            self.next_look = Instant::now() + LOOK;
        }
        self.seen.clone().unwrap_or(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When an instance is asked, in milliseconds since its start.
    fn asked(answers: bool, until: Duration) -> Vec<u128> {
        let (mut at, mut all) = (Duration::ZERO, Vec::new());
        while at < until {
            all.push(at.as_millis());
            at += pause(at, answers);
        }
        all
    }

    #[test]
    fn one_that_accepts_no_connection_yet_is_found_within_a_quarter_of_the_time_that_it_took() {
        let all = asked(false, Duration::from_secs(60));
        assert_eq!(all[..6], [0, 1, 2, 3, 4, 5]);
        let late = |pair: &[u128]| pair[1] - pair[0] > (pair[0] / 4).clamp(1, 250) + 1;
        assert!(!all.windows(2).any(late), "{all:?}");
        let in_a_second = all.iter().filter(|at| **at < 1_000).count();
        assert!(in_a_second < 40, "{in_a_second} questions in the first second");
    }

    #[test]
    fn one_that_answers_that_it_is_not_ready_is_left_to_its_work() {
        let all = asked(true, Duration::from_secs(1));
        assert_eq!(all[..4], [0, 5, 10, 15]);
        assert!(all.len() < 16, "{all:?}");
    }
}
