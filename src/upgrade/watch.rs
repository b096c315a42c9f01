//! The watcher: looks, asks what comes next ([`super::step`]), and does it. All that it knows beyond the marker may be lost
//! with it at any time.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::deb::{self, Installed};
use super::health::Trial;
use super::home::{Home, holder};
use super::kept;
use super::last::Last;
use super::look::{is_something_gone, is_still, look};
use super::machine::Machine;
use super::marker::{Marker, Step, uptime};
use super::park::locked;
use super::service;
use super::step::{Act, End, Place, Seen, Verdict, next};
use crate::process;

/// How often it looks; and at what needs no question, in between.
const OFTEN: Duration = Duration::from_millis(250);
const NOW_AND_THEN: Duration = Duration::from_millis(100);
const GLANCE: Duration = Duration::from_millis(25);
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
            (Place::Other, Some(before), Some(after)) if is_on_trial => match deb::installed(before, after).await {
                Installed::Changing => Place::Changing,
                Installed::Another => Place::Operators,
                Installed::Ours => Place::Other,
            },
            (place, ..) => place,
        };
        Ok(Seen {
            program,
            is_parked: parked.is_some(),
            runs,
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
            all.extend(service::strangers(marker));
        }
        all.into_iter().filter(|pid| Some(*pid) != parked).collect()
    }

    fn place(&mut self, marker: &Marker) -> io::Result<Place> {
        let about = match fs::metadata(&marker.program) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::Other),
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
                let running = holder(&marker.data_dir.join("lock"));
                self.mark(&mut marker, Step::Stopping)?;
                service::restart(unit.as_deref(), running).await;
            }
            Act::Copy => match kept::copy_data(&marker.data_dir, &home.databases()) {
                Ok(sums) => {
                    marker.copies = sums;
                    self.mark(&mut marker, Step::Copied)?;
                }
                Err(error) => return self.finish(&marker, &End::NotBegun(error.to_string())).await,
            },
            Act::Switch => {
                self.mark(&mut marker, Step::Switched)?;
                if let Err(error) = self.put_new(&marker).await {
                    marker.reason = Some(format!("the new program could not be put in its place: {error}"));
                    self.mark(&mut marker, Step::GoingBack { restored: false })?;
                }
            }
            Act::Try => self.begin_trial(&mut marker)?,
            Act::Pass => self.mark(&mut marker, Step::Passed)?,
            Act::GoBack(why) => {
                tracing::warn!(why, "going back to {}", marker.from.version);
                marker.reason = Some(why);
                self.mark(&mut marker, Step::GoingBack { restored: false })?;
            }
            Act::PutBack => {
                let done = self.put_old(&mut marker).await;
                self.again(done).await?;
            }
            Act::End => {
                let running = self.running(&marker, holder(&home.parked()));
                let served = self.trial.as_ref().is_some_and(|(trial, _)| trial.was_healthy());
                service::end(&running, if served { GRACE } else { LITTLE_GRACE }).await;
            }
            Act::Restore => {
                let done = self.restore(&mut marker);
                self.again(done).await?;
            }
            Act::Return => self.mark(&mut marker, Step::Back)?,
            Act::Finish(end) => return self.finish(&marker, &end).await,
        }
        Ok(false)
    }

    /// Until the next look, or until something is seen that needs no question.
    async fn wait(&self, marker: &Marker) {
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
            self.trial = None;
        }
        marker.step = step;
        marker.boot_id.clone_from(&self.boot_id);
        self.home.mark(marker)?;
        (self.is_mine, self.since) = (true, Instant::now());
        Ok(())
    }

    fn begin_trial(&mut self, marker: &mut Marker) -> io::Result<()> {
        if marker.boot_id != self.boot_id {
            marker.before.processes.clear();
            marker.before.is_of_an_earlier_boot = true;
        } else if marker.step == Step::Switched {
            // Those that ended while nobody but the old one was there are none of the new one's.
            marker.before.processes.retain(|id, pid| is_still(id, *pid));
        }
        let parked = holder(&self.home.parked());
        let pid = parked.or_else(|| holder(&marker.data_dir.join("lock")));
        self.mark(marker, Step::Trial { since_boot: uptime(), pid })?;
        let (before, commit) = (marker.before.clone(), marker.to.commit.clone());
        self.trial = Some((Trial::new(before, commit, marker.trial, pid), Instant::now()));
        Ok(())
    }

    async fn put_new(&mut self, marker: &Marker) -> io::Result<()> {
        match &marker.to.deb {
            Some(package) => deb::install(package).await.map_err(io::Error::other),
            None => kept::put_program(&self.home.next("actord"), &marker.program),
        }
    }

    async fn put_old(&mut self, marker: &mut Marker) -> io::Result<()> {
        if let Some(package) = marker.from.deb.clone() {
            match deb::install(&package).await {
                // Who has dpkg's lock has had it for long by now.
                Err(error) if self.failures < TRIES / 2 && deb::at_work().is_none() => {
                    return Err(io::Error::other(error));
                }
                // The program serves, whatever else is wrong with the package.
                Err(error) => {
                    tracing::error!(error, "only the program is put back");
                    note(marker, &package);
                    if let Err(error) = self.home.mark(marker) {
                        tracing::error!(%error, "that is not noted");
                    }
                }
                Ok(()) => {}
            }
            self.reinstalled = true;
            if kept::sum(&marker.program)? == marker.from.sha256 {
                return Ok(());
            }
        }
        kept::put_program(&self.home.kept(), &marker.program)
    }

    /// Nothing is frozen that nobody thaws, and what is kept is the old one's.
    fn restore(&mut self, marker: &mut Marker) -> io::Result<()> {
        match self.machine.thaw(&marker.cgroup_parent) {
            Ok(instances) => tracing::info!(instances, "what was frozen goes on"),
            Err(error) => tracing::error!(error, "what is frozen is thawed by its next call"),
        }
        // Without copies nothing was ever changed.
        if marker.schema_changed && !marker.copies.is_empty() {
            kept::restore_data(&self.home.databases(), &marker.copies, &marker.data_dir)?;
        }
        self.mark(marker, Step::GoingBack { restored: true })
    }

    /// Has a part of the way back that failed done again, but not for ever.
    async fn again(&mut self, done: io::Result<()>) -> io::Result<()> {
        let Err(error) = done else {
            self.failures = 0;
            return Ok(());
        };
        self.failures += 1;
        tracing::error!(%error, "a part of the way back failed; it is tried again");
        if self.failures > TRIES {
            return Err(error);
        }
        sleep(AGAIN).await;
        Ok(())
    }

    async fn finish(&mut self, marker: &Marker, end: &End) -> io::Result<bool> {
        if let Err(error) = Last::write(self.home, marker, end) {
            tracing::error!(%error, ?end, "what came of the upgrade is not noted");
        }
        for left in [self.home.databases(), self.home.path().join("next")] {
            if let Err(error) = kept::discard(&left) {
                tracing::warn!(%error, "it goes at the next upgrade");
            }
        }
        let parked = holder(&self.home.parked());
        let is_alone = parked.is_none() && self.running(marker, None).is_empty();
        self.home.unmark()?;
        if *end == End::Replaced {
            // The package's own script left that to who watches.
            service::restart(marker.unit.as_deref(), holder(&marker.data_dir.join("lock"))).await;
        } else if is_alone {
            service::start(marker.unit.as_deref()).await;
        }
        Ok(true)
    }
}

/// What came of it says that the package was not put back, and how that is done.
fn note(marker: &mut Marker, package: &Path) {
    let left = format!("the program is put back, its package is not: dpkg --install {}", package.display());
    if !marker.reason.as_ref().is_some_and(|reason| reason.contains(&left)) {
        marker.reason = Some(marker.reason.take().map_or(left.clone(), |reason| format!("{reason}; {left}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::marker::testing::marker;

    #[test]
    fn what_came_of_it_says_once_that_a_package_was_not_put_back_and_how_it_is() {
        let mut marker = marker(Step::GoingBack { restored: false }, false);
        marker.reason = Some("it ended (pid 7)".into());
        for _ in 0..2 {
            note(&mut marker, Path::new("/kept/actord.deb"));
            let expected =
                "it ended (pid 7); the program is put back, its package is not: dpkg --install /kept/actord.deb";
            assert_eq!(marker.reason.as_deref(), Some(expected));
        }
    }
}
