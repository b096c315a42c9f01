//! The way back, and the end of an upgrade.
//!
//! ```text
//! copies whole? -> GoingBack -> the old program in its place -> the new one ends -> copies in their places -> Back -> the end
//!      | no
//!      v
//! Passed, with the reason: what runs goes on, since nothing else could
//! ```

use std::io;
use std::path::Path;

use tokio::time::sleep;

use super::super::deb;
use super::super::home::holder;
use super::super::kept;
use super::super::last::Last;
use super::super::marker::{Marker, Step};
use super::super::service;
use super::super::step::End;
use super::{AGAIN, TRIES, Watcher};

impl Watcher<'_> {
    /// Begins to go back, if there is something whole to go back to. Nothing has been ended or changed before that is known.
    pub(super) fn go_back(&mut self, marker: &mut Marker, why: String) -> io::Result<()> {
        if let Err(error) = self.must_have_copies(marker) {
            if matches!(marker.step, Step::Trial { .. }) {
                return self.stay(marker, &format!("{why}; there is no way back: {error}"));
            }
            // Whoever was started since they were made waits, so what they are copies of is as it was.
            tracing::warn!(%error, "the copies are not needed");
            marker.copies.clear();
        }
        tracing::warn!(why, "going back to {}", marker.from.version);
        marker.reason = Some(why);
        self.mark(marker, Step::GoingBack { restored: false })
    }

    fn must_have_copies(&self, marker: &Marker) -> io::Result<()> {
        kept::must_be_whole(&self.home.databases(), &marker.copies, &marker.data_dir)
    }

    /// What is in the program's place stays there.
    fn stay(&mut self, marker: &mut Marker, why: &str) -> io::Result<()> {
        tracing::error!(why, "{} stays", marker.to.version);
        marker.reason = Some(why.to_owned());
        self.mark(marker, Step::Passed)
    }

    pub(super) async fn put_old(&mut self, marker: &mut Marker) -> io::Result<()> {
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
    pub(super) fn restore(&mut self, marker: &mut Marker) -> io::Result<()> {
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

    /// Has a part of the way back that failed done again. Where it fails on and on, whoever waits says what is in the way; and
    /// where it is the old program that can't be put in its place, the new one, which is there yet, goes on.
    pub(super) async fn again(&mut self, marker: &mut Marker, done: io::Result<()>) -> io::Result<()> {
        let Err(error) = done else {
            self.failures = 0;
            return Ok(());
        };
        self.failures += 1;
        tracing::error!(%error, "a part of the way back failed; it is tried again");
        if self.failures == TRIES {
            let why = marker.reason.clone().unwrap_or_default();
            if kept::sum(&marker.program).is_ok_and(|sum| sum == marker.to.sha256) {
                return self.stay(marker, &format!("{why}; the old program can't be put in its place: {error}"));
            }
            marker.reason = Some(format!("{why}; the way back is tried again and again, mend what is in it: {error}"));
            if let Err(error) = self.home.mark(marker) {
                tracing::error!(%error, "that can't be said by who waits");
            }
        }
        sleep(AGAIN).await;
        Ok(())
    }

    /// Ends it, whatever is in the way of telling of it: room for that may come from what goes first.
    pub(super) async fn finish(&mut self, marker: &Marker, end: &End) -> io::Result<bool> {
        // What stays has not proved itself: the copies are the last of what was.
        let databases = (!matches!(end, End::Stays(_) | End::Replaced)).then(|| self.home.databases());
        for left in databases.into_iter().chain([self.home.path().join("next")]) {
            if let Err(error) = kept::discard(&left) {
                tracing::warn!(%error, "it goes at the next upgrade");
            }
        }
        if let Err(error) = Last::write(self.home, marker, end) {
            tracing::error!(%error, ?end, "what came of the upgrade is not noted");
        }
        let parked = holder(&self.home.parked());
        let is_alone = parked.is_none() && self.running(marker, None).is_empty();
        let (unmarked, unit) = (self.home.unmark(), marker.unit.as_deref());
        if *end == End::Replaced && !service::is_stopped(unit).await {
            // The package's own script left that to who watches.
            service::restart(unit, holder(&marker.data_dir.join("lock"))).await;
        } else if is_alone {
            service::start(unit).await;
        }
        unmarked.map(|()| true)
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
mod tests;
