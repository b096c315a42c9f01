//! What comes next in an upgrade. Pure: of the marker and what there is to see, and of nothing that only a process remembers
//! which may be gone.
//!
//! | cut at | what is on the disk | what the next watcher does |
//! | --- | --- | --- |
//! | Prepared | the old program | goes on, in the same boot of the machine; else gives up |
//! | Stopping, Copied | the old program and its store, which nobody changed | gives up |
//! | Switched | either program, the old one's store | the old one: gives up; the new one: its trial; in a package: goes back |
//! | Trial | the new program | its trial once more; while an operator has stopped actord, nothing |
//! | Passed | the new program | clears up |
//! | GoingBack, Back | either program; the copies, or what they became | all of it once more: each part is a rename, or repeats itself |

use std::time::Duration;

use super::marker::{Marker, Step};

/// How long the old program may take to finish what it has, and how long the service manager may take to start it again. Both
/// are generous: nothing is lost meanwhile, connections wait.
const ENDS_WITHIN: Duration = Duration::from_secs(900);
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Which program is where the service manager finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    From,
    To,
    /// Neither, or half of one: a package is being installed.
    Other,
    /// None.
    Gone,
    /// In a trial: dpkg is at work, or has installed another version than both, or none.
    Changing,
    Operators,
}

/// What a trial has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Undecided,
    Passed,
    Failed(String),
}

/// What there is to see.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) program: Place,
    /// Whether an `up` waits.
    pub(super) is_parked: bool,
    /// Whether one runs that does not wait.
    pub(super) runs: bool,
    /// Whether the service manager was told to stop actord and not to start it since: by an operator, by the machine's end.
    pub(super) is_stopped: bool,
    /// Whether this watcher wrote the step, or found it.
    pub(super) is_mine: bool,
    /// Whether the step was written in this boot of the machine.
    pub(super) same_boot: bool,
    /// For how long this watcher has seen the step, and for how long nobody who runs or waits.
    pub(super) here: Duration,
    pub(super) alone: Duration,
    pub(super) verdict: Verdict,
}

/// How an upgrade ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Passed,
    WentBack,
    NotBegun(String),
    /// What is in the program's place stays, and did not pass.
    Stays(String),
    /// The trial is void: an operator installed another version, or removed the package.
    Replaced,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Look again in a moment.
    Wait,
    /// Mark Stopping, and ask the old one to end.
    Stop,
    /// Copy what is kept, and mark Copied.
    Copy,
    /// Mark Switched, then put the new program in its place.
    Switch,
    /// Mark Trial, from now.
    Try,
    /// Mark Passed.
    Pass,
    /// Mark GoingBack; or Passed, with the reason, where there is no way back any more.
    GoBack(String),
    /// Put the old program in its place.
    PutBack,
    /// End who runs.
    End,
    /// Thaw all instances, put the copies in their places if there are any, and mark that.
    Restore,
    /// Mark Back.
    Return,
    /// Note what came of it, and remove the marker.
    Finish(End),
}

/// What comes next.
pub(super) fn next(marker: &Marker, seen: &Seen) -> Act {
    let give_up = |why: &str| Act::Finish(End::NotBegun(why.to_owned()));
    let cut = || give_up("it was cut off before the program was replaced");
    let is_package = marker.to.deb.is_some();
    // By an operator: what is kept is the old one's again, but no program is installed once more.
    let is_removed = seen.program == Place::Gone && seen.is_stopped;
    match &marker.step {
        Step::Prepared if !seen.same_boot => give_up("the machine was started anew before it began"),
        Step::Prepared => Act::Stop,
        Step::Stopping | Step::Copied if !seen.is_mine => cut(),
        Step::Stopping if seen.runs && seen.here > ENDS_WITHIN => {
            give_up("the program that runs did not end within 15 minutes of being asked to")
        }
        Step::Stopping if !seen.runs && !seen.is_parked && seen.alone > STARTS_WITHIN => {
            give_up("no service manager started actord again within a minute: start it")
        }
        Step::Stopping if seen.runs || !seen.is_parked => Act::Wait,
        Step::Stopping if marker.schema_changed => Act::Copy,
        Step::Stopping | Step::Copied => Act::Switch,
        Step::Switched => match seen.program {
            Place::To if seen.is_mine || !is_package => Act::Try,
            Place::From if !seen.is_mine && !is_package => cut(),
            _ => Act::GoBack("the new program could not be put in its place".to_owned()),
        },
        // Whoever stops actord means that, and no program is tried meanwhile; what they put in its place is theirs. But for the
        // old one, which needs its store.
        Step::Trial { .. } if seen.program == Place::Operators => Act::Finish(End::Replaced),
        Step::Trial { .. } if seen.program == Place::Changing => Act::Wait,
        Step::Trial { .. } if seen.is_stopped => match seen.program {
            Place::From => Act::GoBack("the old program was put in its place while actord was stopped".to_owned()),
            Place::Other | Place::Gone if !is_package => Act::Finish(End::Replaced),
            _ => Act::Wait,
        },
        Step::Trial { .. } if seen.program != Place::To => {
            Act::GoBack("the program was replaced during its trial".to_owned())
        }
        Step::Trial { .. } if !seen.is_mine => Act::Try,
        Step::Trial { .. } => match &seen.verdict {
            Verdict::Undecided => Act::Wait,
            Verdict::Passed => Act::Pass,
            Verdict::Failed(why) => Act::GoBack(why.clone()),
        },
        Step::Passed => Act::Finish(marker.reason.clone().map_or(End::Passed, End::Stays)),
        // First: who is started from here on is the old one, and waits.
        Step::GoingBack { .. } if seen.program != Place::From && !is_removed => Act::PutBack,
        Step::GoingBack { .. } if seen.runs => Act::End,
        Step::GoingBack { restored: false } => Act::Restore,
        Step::GoingBack { restored: true } => Act::Return,
        Step::Back => Act::Finish(End::WentBack),
    }
}

#[cfg(test)]
mod tests;
