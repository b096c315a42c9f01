//! What must hold whatever happens.

/// One sentence that holds at every look, or at the end of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Never fewer than the fewest, never more than the most, but by hand.
    TheNumberStaysWithinItsBounds,
    /// A load that lasts has its replicas asked for within two looks and a second.
    ALoadThatLastsIsFollowedInTime,
    /// Nothing is taken away before no more was needed for the whole window.
    NothingGoesBeforeTheWindowIsOver,
    /// No more is asked for than the load needed in the last window.
    NoMoreIsAskedForThanIsNeeded,
    /// What one look alone saw counts for a fifth.
    OneLookIsNoLoad,
    /// Without a target it grows by one step at a time.
    StepsAreOfTheirSize,
    /// What was set by hand holds for the window.
    WhatWasSetByHandHolds,
    /// What is at zero is neither woken nor counted.
    WhatIsAtZeroIsLeftThere,
    /// What can't be started is asked for only for a few seconds, and then not for a while.
    WhatCanNotStartIsNotAskedForAllTheTime,
    /// A load that stays has exactly what it needs in the end.
    InTheEndItIsWhatTheLoadNeeds,
    /// Then nothing changes any more.
    ASteadyLoadChangesNothing,
}

/// A rule that did not hold, and how.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) rule: Rule,
    pub(super) what: String,
}

pub(super) fn check(holds: bool, rule: Rule, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { rule, what: what() }) }
}
