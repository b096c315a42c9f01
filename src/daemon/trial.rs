//! The gate of an upgrade that is on trial, and what waits behind it.
//!
//! ```text
//! marker: on trial, other tables -> closed: no change by the API, no call of the queue is sent, no schedule fires
//!         passed, or none        -> open
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::cron::{Calls, Fired, Firing, Key, Known, Mark};
use crate::http::Gate;
use crate::upgrade::{Home, uptime};

/// Between two looks at the marker while the gate is closed.
const LOOK: Duration = Duration::from_millis(500);

/// The gate of the upgrade that is under way with this data directory, if any is.
pub(super) fn gate(home: &Home, data_dir: &Path) -> Gate {
    let (home, data_dir) = (home.clone(), data_dir.to_owned());
    gate_while(move || Ok(home.marker_of(&data_dir)?.and_then(|marker| marker.nothing_durable_for(uptime()))))
}

/// A gate that is closed while `left` says how long that will be, or can't be told: what is taken then may be lost by going back.
/// It is asked now and then, until it says nothing: a gate that was opened stays open.
fn gate_while(left: impl Fn() -> io::Result<Option<Duration>> + Send + 'static) -> Gate {
    let mut first = left();
    match &first {
        Ok(None) => return Gate::open(),
        Ok(Some(left)) => {
            tracing::info!(seconds = left.as_secs(), "an upgrade is on trial: nothing is changed until it is over");
        }
        Err(error) => tell(error),
    }
    let closed = |left: Duration| Some(Instant::now() + left);
    let (sender, closed_until) = watch::channel(closed(first.as_ref().ok().copied().flatten().unwrap_or(LOOK)));
    tokio::spawn(async move {
        loop {
            sleep(LOOK).await;
            let next = left();
            match (&first, &next) {
                (Ok(_), Err(error)) => tell(error),
                (_, Ok(None)) => {
                    tracing::info!("no upgrade is on trial: changes and calls are taken");
                    sender.send_replace(None);
                    return;
                }
                (_, Ok(Some(left))) => drop(sender.send_replace(closed(*left))),
                (Err(_), Err(_)) => drop(sender.send_replace(closed(LOOK))),
            }
            first = next;
        }
    });
    Gate::of(closed_until)
}

fn tell(error: &io::Error) {
    tracing::error!(%error, "it can't be read whether an upgrade is on trial: nothing is changed until it can");
}

/// Does something as soon as the gate is open.
pub(super) fn when_open(gate: &Gate, then: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let gate = gate.clone();
    tokio::spawn(async move {
        gate.opened().await;
        then();
    })
}

/// Keeps the calls of schedules, but none while the gate is closed: what is due by then fires, or is counted as missed, when it
/// is open.
pub(super) struct Held<C> {
    pub(super) calls: Arc<C>,
    pub(super) gate: Gate,
}

impl<C> Held<C> {
    fn open(&self) -> Result<&C, String> {
        match self.gate.left() {
            None => Ok(&self.calls),
            Some(_) => Err("an upgrade is on trial: no schedule fires until it is over".to_owned()),
        }
    }
}

#[async_trait]
impl<C: Calls> Calls for Held<C> {
    async fn fired(&self) -> Result<Vec<Known>, String> {
        self.open()?.fired().await
    }

    async fn fire(&self, firing: Firing) -> Result<Fired, String> {
        self.open()?.fire(firing).await
    }

    async fn mark(&self, key: Key, mark: Mark) -> Result<(), String> {
        self.open()?.mark(key, mark).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::timeout;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// What a marker says.
    #[derive(Debug, Clone, Copy)]
    enum Says {
        OnTrial,
        Over,
        Nothing,
    }

    fn marker() -> (watch::Sender<Says>, impl Fn() -> io::Result<Option<Duration>> + Send + 'static) {
        let (sender, says) = watch::channel(Says::OnTrial);
        let left = move || match *says.borrow() {
            Says::OnTrial => Ok(Some(MINUTE)),
            Says::Over => Ok(None),
            Says::Nothing => Err(io::Error::other("the disk")),
        };
        (sender, left)
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_soon_after_the_marker_says_that_the_trial_is_over_and_not_by_the_clock() {
        let (marker, left) = marker();
        let gate = gate_while(left);
        assert!(timeout(MINUTE * 10, gate.opened()).await.is_err(), "the time of the trial is long over");
        marker.send_replace(Says::Nothing);
        assert!(timeout(MINUTE * 10, gate.opened()).await.is_err(), "it may go back yet");
        marker.send_replace(Says::Over);
        timeout(LOOK * 2, gate.opened()).await.unwrap();
        marker.send_replace(Says::OnTrial);
        sleep(MINUTE).await;
        assert_eq!(gate.left(), None, "another upgrade is another program's matter");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_trial_it_is_open_and_nothing_waits() {
        let home = tempfile::tempdir().unwrap();
        let gate = gate(&Home::new(home.path()), home.path());
        assert_eq!(gate.left(), None);
        when_open(&gate, || ()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_can_t_be_read_whether_there_is_a_trial_it_is_closed_from_the_beginning() {
        for then in [Says::Over, Says::OnTrial] {
            let (marker, left) = marker();
            marker.send_replace(Says::Nothing);
            let gate = gate_while(left);
            assert!(timeout(MINUTE * 10, gate.opened()).await.is_err(), "the table of files may be full");
            assert!(gate.left().is_some());
            marker.send_replace(then);
            let is_open = timeout(MINUTE, gate.opened()).await.is_ok();
            assert_eq!(is_open, matches!(then, Says::Over), "{then:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_marker_that_no_actord_wrote_closes_nothing() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("trial.json"), "{").unwrap();
        assert_eq!(gate(&Home::new(home.path()), home.path()).left(), None);
    }

    /// What reached those that keep calls.
    #[derive(Default)]
    struct Kept(Mutex<Vec<&'static str>>);

    impl Kept {
        fn note(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
    }

    #[async_trait]
    impl Calls for Kept {
        async fn fired(&self) -> Result<Vec<Known>, String> {
            self.note("fired");
            Ok(Vec::new())
        }

        async fn fire(&self, _: Firing) -> Result<Fired, String> {
            self.note("fire");
            Ok(Fired::Already)
        }

        async fn mark(&self, _: Key, _: Mark) -> Result<(), String> {
            self.note("mark");
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_of_a_schedule_is_kept_before_it_is_open_and_everything_after() {
        let (marker, left) = marker();
        let kept = Arc::new(Kept::default());
        let held = Held { calls: kept.clone(), gate: gate_while(left) };
        let key = || Key { function: "f".parse().unwrap(), schedule: "s".to_owned() };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let firing = || Firing { key: key(), text: "@hourly".to_owned(), due: now, now, skip: false };
        let refused = held.fired().await.unwrap_err();
        assert!(refused.contains("on trial"), "{refused}");
        held.fire(firing()).await.unwrap_err();
        held.mark(key(), Mark::Gone).await.unwrap_err();
        assert!(kept.0.lock().unwrap().is_empty());

        marker.send_replace(Says::Over);
        held.gate.opened().await;
        held.fired().await.unwrap();
        held.fire(firing()).await.unwrap();
        held.mark(key(), Mark::Gone).await.unwrap();
        assert_eq!(*kept.0.lock().unwrap(), ["fired", "fire", "mark"]);
    }
}
