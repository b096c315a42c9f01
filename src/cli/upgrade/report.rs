//! What a person sees of an upgrade: a line a step, and what came of it.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::upgrade::{Build, Home, Last, Marker, Outcome, Step, start_watcher};

const OFTEN: Duration = Duration::from_millis(100);
/// How long it is waited for somebody who watches, before one is started, and before that is given up: whoever else finds that
/// there is nobody starts one within seconds.
const WATCHED_SOON: Duration = Duration::from_secs(5);
const WATCHED_WITHIN: Duration = Duration::from_secs(60);

/// What was shown so far.
pub(super) struct Report<'a> {
    upgrade: &'a Marker,
    shown: Option<&'static str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(upgrade: &'a Marker) -> Self {
        Self { upgrade, shown: None }
    }

    /// Says what is about to happen.
    pub(super) fn begin(&self) {
        let Marker { from, to, trial, schema_changed, .. } = self.upgrade;
        println!(
            "upgrade from {} to {}; it goes on by itself, whatever becomes of this command",
            named(from),
            named(to)
        );
        if *schema_changed {
            println!(
                "what is kept changes its layout: nothing is accepted before the trial of {} s is passed",
                trial.as_secs()
            );
        }
    }

    /// Shows the steps until it has ended.
    pub(super) async fn follow(&mut self, home: &Home) -> io::Result<Outcome> {
        let (mut watched, mut started) = (Instant::now(), Instant::now());
        while let Some(marker) = home.marker()?.filter(|marker| marker.id == self.upgrade.id) {
            self.show(&marker);
            if home.watcher().is_some() {
                (watched, started) = (Instant::now(), Instant::now());
            } else if started.elapsed() > WATCHED_SOON {
                // Where a program that does nothing is in its place, nobody else may be there to do it.
                started = Instant::now();
                if let Err(error) = start_watcher(home) {
                    eprintln!("nobody watches over the upgrade, and nobody can be started to do so: {error}");
                }
            }
            if watched.elapsed() > WATCHED_WITHIN {
                return Err(io::Error::other(format!(
                    "nobody watches over the upgrade: look at {}, and restart actord, which starts a watcher",
                    home.log().display()
                )));
            }
            sleep(OFTEN).await;
        }
        let last = Last::read(home)?.filter(|last| last.id == self.upgrade.id);
        let last = last.ok_or_else(|| io::Error::other("what came of the upgrade was not noted"))?;
        println!("{}", told(&last, home));
        Ok(last.outcome)
    }

    fn show(&mut self, marker: &Marker) {
        let words = match marker.step {
            Step::Prepared => "both programs are kept",
            Step::Stopping => "the old one finishes its requests; new ones wait",
            Step::Copied => "what is kept is copied",
            Step::Switched => "the new program takes its place",
            Step::Trial { .. } => "the new one is on trial",
            Step::Passed if marker.reason.is_some() => "the new one stays",
            Step::Passed => "the trial is passed",
            Step::GoingBack { .. } => "going back to the old one",
            Step::Back => "the old one goes on",
        };
        if self.shown != Some(words) {
            self.shown = Some(words);
            match (&marker.step, &marker.reason) {
                (Step::GoingBack { .. } | Step::Passed, Some(reason)) => println!("{words}: {reason}"),
                (Step::Trial { .. }, _) => println!("{words} for {} s", marker.trial.as_secs()),
                _ => println!("{words}"),
            }
        }
    }
}

fn named(build: &Build) -> String {
    let commit: String = build.commit.chars().take(12).collect();
    format!("{} ({commit})", build.version)
}

/// What came of it, in a sentence.
fn told(last: &Last, home: &Home) -> String {
    let (from, to, reason) = (named(&last.from), named(&last.to), last.reason.as_deref().unwrap_or("unknown"));
    match last.outcome {
        Outcome::Passed => format!("{to} runs"),
        Outcome::WentBack => format!(
            "{from} runs again, with what it kept: {reason}\nwhat went on is in {} or in journalctl -u actord-upgrade, what the \
             new program said in journalctl -u actord: once the cause is gone, upgrade again",
            home.log().display()
        ),
        Outcome::NotBegun => format!("{from} was not replaced: {reason}"),
        Outcome::Stays => format!("{from} is not back, and {to} did not pass its trial: {reason}"),
        Outcome::Replaced => format!("{to} is not on trial any more: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_came_of_it_names_the_program_that_runs_and_why() {
        let build =
            |version: &str| Build { version: version.into(), commit: "0123456789abcdef".into(), ..Build::default() };
        for (outcome, reason, expected) in [
            (Outcome::Passed, None, "0.2.0 (0123456789ab) runs"),
            (
                Outcome::WentBack,
                Some("it ended (pid 7)"),
                "0.1.0 (0123456789ab) runs again, with what it kept: it ended (pid 7)\nwhat went on is in /home/watch.log or in \
                 journalctl -u actord-upgrade, what the new program said in journalctl -u actord: once the cause is gone, \
                 upgrade again",
            ),
            (
                Outcome::Replaced,
                Some("it was removed"),
                "0.2.0 (0123456789ab) is not on trial any more: it was removed",
            ),
            (Outcome::NotBegun, Some("no room"), "0.1.0 (0123456789ab) was not replaced: no room"),
            (
                Outcome::Stays,
                Some("a copy was damaged"),
                "0.1.0 (0123456789ab) is not back, and 0.2.0 (0123456789ab) did not pass its trial: a copy was damaged",
            ),
        ] {
            let last = Last {
                id: "1".into(),
                from: build("0.1.0"),
                to: build("0.2.0"),
                outcome,
                reason: reason.map(str::to_owned),
            };
            assert_eq!(told(&last, &Home::new(Path::new("/home"))), expected);
        }
    }
}
