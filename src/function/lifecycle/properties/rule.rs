//! What must hold in every history.

/// The rules, each of which at least one flaw breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A published instance is alive, or the news of its end are on their way.
    NoEndpointWithoutALiveInstance,
    /// No request is possible to an instance that is being torn down or drained.
    RetractComesBeforeTearDownAndDrain,
    /// An instance that said that it is not ready gets no requests until it says that it is.
    WhatIsNotReadyGetsNoRequests,
    /// What was told to go is never published again.
    NothingIsPublishedAfterItsTearDown,
    /// Requests under way are waited for, unless the instance failed or their time is over.
    RequestsAreFinishedBeforeTearDown,
    /// No id is brought up twice, by this lifecycle or one after it.
    InstanceIdsAreNeverReused,
    /// What is accepted gets a greater number than all before it, those that were refused included.
    GenerationsAreNeverReused,
    /// Confirmed instances that get requests: at most as many as replicas are asked for.
    AtMostReplicasServe,
    /// A generation never has more instances than replicas, and beside others that are known to serve, at most one
    /// more in all.
    OneStartAtATimeBesideWhatServes,
    /// Whatever happens but a death: as many serve afterwards as before, or as many as are asked for.
    TheNewAnswersBeforeTheOldGoes,
    /// After a failure no start of that generation for (nearly) a second at least.
    StartsWaitForTheBackoff,
    /// `Gone` is said when the function is deleted and nothing is left, and then always.
    GoneMeansNothingIsLeft,
    /// An event has few effects, and without new faults they come to an end, timers included.
    EffectsAreBounded,
    /// In the end the desired state is reached, or the last good one if the newest failed.
    QuiescenceReachesWhatIsDesired,
    /// In the end everything that was ever brought up serves and is well, or is removed.
    NothingIsLeftBehind,
    /// The store holds what the lifecycle desires, whenever it dies.
    TheStoreKnowsWhatIsDesired,
    /// What is kept down runs nothing, however it is called, and goes on where it was when it may.
    WhatIsKeptDownStaysDown,
    /// What the load asks for changes a number that runs, and never starts what is at zero or takes it there.
    TheLoadMovesOnlyWhatRuns,
    /// Idleness stops what was proven or failed behind what was, and nothing else.
    OnlyWhatIsProvenRests,
    /// Only what serves is asked to freeze.
    OnlyWhatServesFreezes,
    /// What stands by gets no requests.
    ASpareGetsNoRequests,
    /// No instance stands by while fewer serve than are asked for.
    ASpareTakesOverAtOnce,
    /// What took over has the processor for itself at first: no spare is started in that moment.
    TheNextSpareComesAMomentLater,
    /// In the end as many stand by as the generation that serves asks for.
    SparesAreThereInTheEnd,
    /// A request that waits at zero starts what the function has at least.
    DemandEndsAZero,
    /// A request is told to wait for what is on its way, and to come back for what is not.
    TheOutlookIsTrue,
    /// What may be rolled back to did serve, as it is kept; it comes newest first, and no version twice.
    OnlyWhatServedIsKept,
    /// A restart touches nothing that serves.
    RecoveryLeavesAloneWhatServes,
}

/// A rule that was broken, and how.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub(super) rule: Rule,
    pub(super) what: String,
}

/// Fails with `rule` unless `holds`. The text is made only when it is needed.
pub(super) fn check(holds: bool, rule: Rule, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { rule, what: what() }) }
}
