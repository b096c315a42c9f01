//! Asking instances: until one is ready, and then for as long as it runs.
//!
//! ```text
//! started -> initial delay -> asked often, until it is ready or its time is over
//! serving -> asked at its period, if it has a path: lost and regained readiness, and ill health, become events
//! ```
//! Only what changes is told. The lifecycle says what follows from it.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::host_call::host_call;
use super::instance_task::InstanceTask;
use crate::function::{Event, HttpCheck, StartError};
use crate::host::Check;

/// The wait between two questions to an instance that just started grows from the first to the second.
const CHECK_SOON: Duration = Duration::from_millis(5);
const CHECK_LATER: Duration = Duration::from_millis(250);
/// How long after its time a question is given up.
const HUNG: Duration = Duration::from_secs(1);

impl InstanceTask {
    /// Returns once the instance at `address` is ready. It is asked more often than its period says: its first caller is
    /// waiting.
    pub(super) async fn poll_ready(&self, address: SocketAddr) -> Result<(), StartError> {
        let check = self.spec.checks().ready;
        sleep(check.initial_delay).await;
        let limit = self.context.settings.ready_timeout + check.period * (check.successes - 1);
        let deadline = Instant::now() + limit;
        let (mut pause, mut good) = (CHECK_SOON, 0);
        loop {
            let wait = match self.ask(address, &check).await {
                Ok(()) => {
                    good += 1;
                    if good >= check.successes {
                        return Ok(());
                    }
                    check.period
                }
                Err(reason) if Instant::now() + pause >= deadline => {
                    let seconds = limit.as_secs();
                    return Err(StartError::NotReady(format!(
                        "the process was not ready within {seconds} s: {reason}"
                    )));
                }
                Err(_) => {
                    good = 0;
                    pause
                }
            };
            sleep(wait).await;
            pause = (pause * 2).min(CHECK_LATER).min(check.period);
        }
    }

    /// Goes on asking an instance that serves (or `ready` says that it does not just now), and tells what changes. Does
    /// not return.
    pub(super) async fn keep_asking<F>(&self, address: SocketAddr, ready: bool, tell: impl Fn(Event) -> F)
    where
        F: Future<Output = ()>,
    {
        let checks = self.spec.checks();
        let readiness = async {
            if checks.ready.path.is_some() {
                self.watch_readiness(address, &checks.ready, ready, &tell).await;
            }
        };
        let health = async {
            if let Some(check) = &checks.health {
                let reason = self.unhealthy(address, check).await;
                tell(Event::Unhealthy(self.id.clone(), format!("not well: {reason}"))).await;
            }
        };
        tokio::join!(readiness, health);
        pending::<()>().await;
    }

    async fn watch_readiness<F>(
        &self,
        address: SocketAddr,
        check: &HttpCheck,
        mut ready: bool,
        tell: &impl Fn(Event) -> F,
    ) where
        F: Future<Output = ()>,
    {
        let mut against = 0;
        loop {
            sleep(check.period).await;
            let answer = self.ask(address, check).await;
            if answer.is_ok() == ready {
                against = 0;
                continue;
            }
            against += 1;
            if against < if ready { check.failures } else { check.successes } {
                continue;
            }
            against = 0;
            ready = !ready;
            tell(match answer {
                Ok(()) => Event::Ready(self.id.clone(), address),
                Err(reason) => Event::Unready(self.id.clone(), format!("not ready: {reason}")),
            })
            .await;
        }
    }

    /// Returns why the instance is not well, once it is not.
    async fn unhealthy(&self, address: SocketAddr, check: &HttpCheck) -> String {
        sleep(check.initial_delay).await;
        let mut failed = 0;
        loop {
            sleep(check.period).await;
            match self.ask(address, check).await {
                Ok(()) => failed = 0,
                Err(reason) => {
                    failed += 1;
                    if failed >= check.failures {
                        return reason;
                    }
                }
            }
        }
    }

    /// One question; what goes wrong with asking counts as a bad answer.
    async fn ask(&self, address: SocketAddr, check: &HttpCheck) -> Result<(), String> {
        let question = Check { address, path: check.path.clone(), timeout: check.timeout };
        let probe = self.context.host.probe.clone();
        // The probe keeps its own time; this is for one that hangs all the same.
        let deadline = check.timeout + HUNG;
        let asked = async move { Ok(probe.ready(&question).await) };
        let answer = host_call(&self.context.runtime, || format!("check {}", self.id), deadline, asked).await;
        answer.unwrap_or_else(|error| Err(error.to_string()))
    }
}
