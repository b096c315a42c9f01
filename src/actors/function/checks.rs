//! Asking instances that serve, for as long as they run: those of functions that name a path, at its period. Lost and
//! regained readiness, and ill health, become events.
//!
//! Only what changes is told. The lifecycle says what follows from it. Nothing is asked of an instance that is frozen: it
//! sleeps because it was well and nothing called it.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::RwLockReadGuard;
use tokio::time::{Instant, sleep};

use super::super::host_call::host_call;
use super::instance_task::InstanceTask;
use crate::function::{Answer, Event, HEALTH, HttpCheck};
use crate::host::Check;

/// How long after its time a question is given up.
const HUNG: Duration = Duration::from_secs(1);
/// A question that was not given up even so long after that tells of this process, which was stopped meanwhile, and not of
/// who was asked.
const STOPPED: Duration = Duration::from_secs(1);

impl InstanceTask {
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
            let Some((_awake, answer)) = self.ask_if_awake(address, check).await else { continue };
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
            // Told while it is kept awake: one that is not ready is not frozen as a spare.
            self.ready.send_replace(ready);
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
            match self.ask_if_awake(address, check).await {
                None => {}
                Some((_, Ok(()))) => failed = 0,
                Some((_, Err(reason))) => {
                    failed += 1;
                    if failed >= check.failures {
                        return reason;
                    }
                }
            }
        }
    }

    /// One question about the path that the function names, and what keeps the instance awake. One that is frozen is not
    /// asked: then this returns none, once it is thawed, and its period begins anew. So it is where this process was stopped
    /// before the answer came.
    async fn ask_if_awake(
        &self,
        address: SocketAddr,
        check: &HttpCheck,
    ) -> Option<(RwLockReadGuard<'_, ()>, Result<(), String>)> {
        let Ok(awake) = self.awake.try_read() else {
            drop(self.awake.read().await);
            return None;
        };
        let asked = Instant::now();
        let answer = self.ask_own_path(address, check).await;
        let was_stopped = answer.is_err() && asked.elapsed() > check.timeout + HUNG + STOPPED;
        (!was_stopped).then_some((awake, answer))
    }

    /// One question about the path that the function names.
    async fn ask_own_path(&self, address: SocketAddr, check: &HttpCheck) -> Result<(), String> {
        let path = check.path.as_deref().unwrap_or(HEALTH);
        let answer = self.ask(address, check).await?;
        answer.to_own_path().map_err(|reason| format!("{address} GET {path}: {reason}"))
    }

    /// One question; what goes wrong with asking counts as no answer.
    pub(super) async fn ask(&self, address: SocketAddr, check: &HttpCheck) -> Result<Answer, String> {
        let path = check.path.as_deref().unwrap_or(HEALTH).to_owned();
        let question = Check { address, path, timeout: check.timeout };
        let probe = self.context.host.probe.clone();
        // The probe keeps its own time; this is for one that hangs all the same.
        let deadline = check.timeout + HUNG;
        let asked = async move { Ok(probe.ask(&question).await) };
        let answer = host_call(&self.context.runtime, || format!("check {}", self.id), deadline, asked).await;
        answer.unwrap_or_else(|error| Err(error.to_string()))
    }
}
