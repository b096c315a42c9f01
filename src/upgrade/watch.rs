//! The watcher: looks, asks what comes next ([`super::step`]), and does it. All that it knows beyond the marker may be lost
//! with it at any time. The way back and the end are in [`back`].

mod back;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::deb::{self, Installed};
use super::ended::{end, server, strangers};
use super::health::Trial;
use super::home::{Home, holder};
use super::kept;
use super::look::{is_something_gone, is_still, look};
use super::machine::Machine;
use super::marker::{Marker, Step, uptime};
use super::park::locked;
use super::service;
use super::step::{Act, End, Place, Seen, Verdict, next};
use crate::process::{self, which};

/// How often it looks; and at what needs no question, in between.
const OFTEN: Duration = Duration::from_millis(250);
const NOW_AND_THEN: Duration = Duration::from_millis(100);
const GLANCE: Duration = Duration::from_millis(25);
/// How often it is looked whether an actord that an operator stopped is started again.
const SELDOM: Duration = Duration::from_secs(2);
/// How long a new program that goes may take to finish what it has: one that served has requests, one that did not has none.
const GRACE: Duration = Duration::from_secs(30);
const LITTLE_GRACE: Duration = Duration::from_secs(5);
/// Where the way back fails it is tried again, so often and after this.
const TRIES: u32 = 20;
const AGAIN: Duration = Duration::from_secs(3);

/// Watches until the upgrade that is under way has ended. Returns at once where none is, or somebody else watches.
///
/// # Errors
/// What the system said of the home; whoever waits starts another watcher.
pub async fn watch(home: &Home, machine: &dyn Machine) -> io::Result<()> {
    let _lock = match locked(&home.lock()) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    };
    let boot_id = machine.boot_id()?;
    let now = Instant::now();
    let mut watcher = Watcher {
        home,
        machine,
        boot_id,
        is_mine: false,
        since: now,
        alone: None,
        sum: None,
        trial: None,
        asked: None,
        is_suspended: false,
        is_anew: false,
        failures: 0,
        reinstalled: false,
    };
    while let Some(marker) = home.marker()? {
        let seen = watcher.look(&marker).await?;
        let act = next(&marker, &seen);
        if act != Act::Wait {
            tracing::info!(step = ?marker.step, ?act, "upgrade from {} to {}", marker.from.version, marker.to.version);
        }
        if watcher.perform(marker, act).await? {
            break;
        }
    }
    Ok(())
}

struct Watcher<'a> {
    home: &'a Home,
    machine: &'a dyn Machine,
    boot_id: String,
    is_mine: bool,
    /// Since when the step is what it is, and nobody runs or waits.
    since: Instant,
    alone: Option<Instant>,
    /// The sum of the program that is there, with what tells whether it is still that file.
    sum: Option<((u64, u64, i64, u64), String)>,
    trial: Option<(Trial, Instant)>,
    /// Who was asked to end.
    asked: Option<i32>,
    /// Whether the trial waits for somebody who stopped actord.
    is_suspended: bool,
    /// Whether it did, and begins anew.
    is_anew: bool,
    /// How often the way back has failed.
    failures: u32,
    reinstalled: bool,
}

impl Watcher<'_> {
    async fn look(&mut self, marker: &Marker) -> io::Result<Seen> {
        let parked = holder(&self.home.parked());
        let runs = !self.running(marker, parked).is_empty();
        if runs || parked.is_some() {
            self.alone = None;
        }
        let alone = *self.alone.get_or_insert_with(Instant::now);
        let is_on_trial = matches!(marker.step, Step::Trial { .. });
        let verdict = if is_on_trial { self.judge(marker).await } else { Verdict::Undecided };
        let program = match (self.place(marker)?, &marker.from.deb, &marker.to.deb) {
            (place @ (Place::Other | Place::Gone), Some(before), Some(after)) if is_on_trial => {
                match deb::installed(before, after).await {
                    Installed::Changing => Place::Changing,
                    Installed::Another => Place::Operators,
                    Installed::Ours => place,
                }
            }
            (place, ..) => place,
        };
        let is_stopped = self.is_stopped(marker, program, &verdict).await;
        Ok(Seen {
            program,
            is_parked: parked.is_some(),
            runs,
            is_stopped,
            is_mine: self.is_mine,
            same_boot: marker.boot_id == self.boot_id,
            here: self.since.elapsed(),
            alone: if runs || parked.is_some() { Duration::ZERO } else { alone.elapsed() },
            verdict,
        })
    }

    /// Who has the data directory, and on the way back whoever else is none that waits.
    fn running(&self, marker: &Marker, parked: Option<i32>) -> BTreeSet<i32> {
        let mut all: BTreeSet<i32> = holder(&marker.data_dir.join("lock")).into_iter().collect();
        if matches!(marker.step, Step::GoingBack { .. }) {
            all.extend(strangers(marker));
        }
        all.into_iter().filter(|pid| Some(*pid) != parked).collect()
    }

    /// Whether an operator stopped actord, or the machine ends: asked where it matters. That is no fault of a program on trial,
    /// and its trial begins anew when it is started.
    async fn is_stopped(&mut self, marker: &Marker, program: Place, verdict: &Verdict) -> bool {
        let matters = match marker.step {
            Step::Trial { .. } => self.is_suspended || program != Place::To || matches!(verdict, Verdict::Failed(_)),
            Step::GoingBack { .. } => program == Place::Gone,
            _ => false,
        };
        let is_stopped = matters && service::is_stopped(marker.unit.as_deref()).await;
        if matches!(marker.step, Step::Trial { .. }) && is_stopped != self.is_suspended {
            let unit = marker.unit.as_deref().unwrap_or_default();
            tracing::info!(unit, is_stopped, "the trial waits for as long as actord is stopped, and begins anew then");
            (self.is_suspended, self.trial) = (is_stopped, None);
            self.is_mine &= is_stopped;
            self.is_anew = !is_stopped;
        }
        is_stopped
    }

    fn place(&mut self, marker: &Marker) -> io::Result<Place> {
        let about = match fs::metadata(&marker.program) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::Gone),
            Err(error) => return Err(error),
        };
        let which = (about.dev(), about.ino(), about.mtime(), about.len());
        let sum = match &self.sum {
            Some((known, sum)) if *known == which => sum.clone(),
            _ => {
                let sum = kept::sum(&marker.program)?;
                self.sum = Some((which, sum.clone()));
                sum
            }
        };
        let is_back = matches!(marker.step, Step::GoingBack { .. });
        Ok(match sum {
            // A package may have been cut off in all that is not its program.
            sum if sum == marker.from.sha256 && is_back && marker.to.deb.is_some() && !self.reinstalled => Place::Other,
            sum if sum == marker.from.sha256 => Place::From,
            sum if sum == marker.to.sha256 => Place::To,
            _ => Place::Other,
        })
    }

    async fn judge(&mut self, marker: &Marker) -> Verdict {
        let Some((trial, begun)) = &mut self.trial else { return Verdict::Undecided };
        let seen = look(self.machine, marker, trial, *begun).await;
        trial.judge(&seen)
    }

    /// Does it. Returns whether that was the last.
    async fn perform(&mut self, mut marker: Marker, act: Act) -> io::Result<bool> {
        let (unit, home) = (marker.unit.clone(), self.home);
        match act {
            Act::Wait => self.wait(&marker).await,
            Act::Stop => {
                self.asked = holder(&marker.data_dir.join("lock"));
                self.mark(&mut marker, Step::Stopping)?;
                service::restart(unit.as_deref(), self.asked).await;
            }
            Act::Copy => {
                let Some(ours) = alone(&marker).await else { return Ok(false) };
                let copied = kept::copy_data(&marker.data_dir, &home.databases());
                drop(ours);
                match copied {
                    Ok(sums) => {
                        marker.copies = sums;
                        self.mark(&mut marker, Step::Copied)?;
                    }
                    Err(error) => return self.finish(&marker, &End::NotBegun(error.to_string())).await,
                }
            }
            Act::Switch => {
                self.mark(&mut marker, Step::Switched)?;
                if let Err(error) = self.put_new(&marker).await {
                    self.go_back(&mut marker, format!("the new program could not be put in its place: {error}"))?;
                }
            }
            Act::Try => self.begin_trial(&mut marker)?,
            Act::Pass => self.mark(&mut marker, Step::Passed)?,
            Act::GoBack(why) => self.go_back(&mut marker, why)?,
            Act::PutBack => {
                let done = self.put_old(&mut marker).await;
                self.again(&mut marker, done).await?;
            }
            Act::End => {
                let others = strangers(&marker).into_iter().chain(server(&marker));
                let parked = holder(&home.parked());
                let running: BTreeSet<i32> = others.filter(|pid| Some(*pid) != parked).collect();
                let served = self.trial.as_ref().is_some_and(|(trial, _)| trial.was_healthy());
                end(&running, if served { GRACE } else { LITTLE_GRACE }).await;
                // Who is no server of ours ends by itself.
                if running.is_empty() {
                    sleep(OFTEN).await;
                }
            }
            Act::Restore => {
                let Some(ours) = alone(&marker).await else { return Ok(false) };
                let done = self.restore(&mut marker);
                drop(ours);
                self.again(&mut marker, done).await?;
            }
            Act::Return => self.mark(&mut marker, Step::Back)?,
            Act::Finish(end) => return self.finish(&marker, &end).await,
        }
        Ok(false)
    }

    /// Until the next look, or until something is seen that needs no question.
    async fn wait(&mut self, marker: &Marker) {
        if self.is_suspended {
            return sleep(SELDOM).await;
        }
        // One that had begun before the step was marked, and was not there yet when that one was asked.
        if marker.step == Step::Stopping
            && let Some(pid) = server(marker).filter(|pid| self.asked != Some(*pid))
        {
            self.asked = Some(pid);
            service::restart(marker.unit.as_deref(), Some(pid)).await;
        }
        let begun = Instant::now();
        while begun.elapsed() < OFTEN {
            let ended = |(trial, _): &(Trial, Instant)| trial.pid.is_some_and(|pid| !process::lives(pid));
            let is_gone = |(trial, _): &(Trial, Instant)| begun.elapsed() >= NOW_AND_THEN && is_something_gone(trial);
            if self.trial.as_ref().is_some_and(|trial| ended(trial) || is_gone(trial)) {
                return;
            }
            if matches!(marker.step, Step::Stopping) && holder(&self.home.parked()).is_some() {
                return;
            }
            sleep(GLANCE).await;
        }
    }

    fn mark(&mut self, marker: &mut Marker, step: Step) -> io::Result<()> {
        if !matches!(step, Step::Trial { .. } | Step::GoingBack { .. }) {
            (self.trial, self.is_suspended) = (None, false);
        }
        marker.step = step;
        marker.boot_id.clone_from(&self.boot_id);
        if let Err(error) = self.home.mark(marker) {
            // Who stands on a full disk gives up what is not needed from here on.
            let is_before = matches!(marker.step, Step::Stopping | Step::Copied | Step::Switched);
            if is_before || kept::discard(&self.home.path().join("next")).is_err() {
                return Err(error);
            }
            self.home.mark(marker)?;
        }
        (self.is_mine, self.since) = (true, Instant::now());
        Ok(())
    }

    fn begin_trial(&mut self, marker: &mut Marker) -> io::Result<()> {
        if marker.boot_id != self.boot_id {
            marker.before.processes.clear();
            marker.before.is_of_an_earlier_boot = true;
        } else if marker.step == Step::Switched || self.is_anew {
            // Those that ended while nobody but the old one was there, or nobody at all, are none of the new one's.
            marker.before.processes.retain(|id, pid| is_still(id, *pid));
        }
        let parked = holder(&self.home.parked());
        let pid = parked.or_else(|| holder(&marker.data_dir.join("lock")));
        marker.placed = which(&marker.program);
        self.mark(marker, Step::Trial { since_boot: uptime(), pid })?;
        let (before, commit) = (marker.before.clone(), marker.to.commit.clone());
        self.is_anew = false;
        self.trial = Some((Trial::new(before, commit, marker.trial, pid), Instant::now()));
        Ok(())
    }

    async fn put_new(&mut self, marker: &Marker) -> io::Result<()> {
        match &marker.to.deb {
            Some(package) => deb::install(package).await.map_err(io::Error::other),
            None => kept::put_program(&self.home.next("actord"), &marker.program),
        }
    }
}

/// Nobody else has the data directory for as long as this is held, none that serves, and no other verb. None: somebody has.
async fn alone(marker: &Marker) -> Option<File> {
    let path = marker.data_dir.join("lock");
    match locked(&path) {
        Ok(lock) => Some(lock),
        Err(error) => {
            tracing::warn!(%error, "it is waited for");
            sleep(OFTEN).await;
            None
        }
    }
}
