//! What tests of this room tell of functions.

use std::sync::Arc;

use crate::engine::View;
use crate::function::{Desired, Generation, History, Phase, SpecDraft, Status, Uptime};

/// The first generation of a function, of which one instance should serve.
pub(super) fn desired() -> Desired {
    let draft = SpecDraft { image: "i:1".into(), ..SpecDraft::default() };
    Desired {
        generation: Generation(1),
        spec: Arc::new(draft.try_into().unwrap()),
        replicas: 1,
        kept_down: false,
        idle: false,
        adjusted: None,
        accepted_at: String::new(),
        history: History::default(),
        has_served: false,
        failed: None,
        created_at: "2026-01-02T03:04:05Z".into(),
        refused: None,
    }
}

/// A function that stands so, and nothing serves.
pub(super) fn status(phase: Phase) -> Status {
    Status {
        desired: Some(desired()),
        phase,
        since: Uptime::default(),
        ready: 0,
        frozen: 0,
        spares: 0,
        serving: None,
        restarts: 0,
        failure: None,
    }
}

/// As it is looked at.
pub(super) fn view(phase: Phase) -> View {
    View {
        id: "f".parse().unwrap(),
        status: status(phase),
        in_phase_for: None,
        retry_in: None,
        step: None,
        waits_for: None,
        pull: None,
        judged: None,
    }
}
