//! What is observed of a function, as the REST API shows it.

use crate::engine::{Used, View};
use crate::function::Phase;
use crate::wire::{FunctionStatus, Lifecycle, Refusal, Usage};

/// What Go writes for a time that was never set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// None for a function that is deleted and on its way out. `labelled`: with the setting `function-label`.
pub(super) fn status(view: &View, invocations: u64, labelled: bool) -> Option<FunctionStatus> {
    let desired = view.status.desired.as_ref()?;
    let status = FunctionStatus {
        name: view.id.name.to_string(),
        namespace: view.id.namespace.to_string(),
        invocation_count: invocations,
        replicas: desired.running_replicas().into(),
        available_replicas: view.status.ready.into(),
        created_at: Some(desired.created_at.as_str()).filter(|time| !time.is_empty()).unwrap_or(NO_TIME).to_owned(),
        lifecycle: lifecycle(view),
        ..FunctionStatus::of(desired.serving_spec())
    };
    Some(if labelled { status.with_function_label() } else { status })
}

fn lifecycle(view: &View) -> Option<Lifecycle> {
    let status = &view.status;
    let desired = status.desired.as_ref()?;
    let failure = status.failure.as_ref().map(|failure| &failure.reason).or(desired.failed.as_ref());
    let stopped = format!("kept down by `actord stop`: `actord start {}` ends that", view.id);
    let reason = if desired.kept_down { Some(&stopped) } else { failure };
    let unremarkable = view.judged.is_none() && desired.refused.is_none();
    if matches!(status.phase, Phase::Ready | Phase::Stopped) && reason.is_none() && unremarkable {
        return None;
    }
    Some(Lifecycle {
        phase: status.phase.to_string(),
        kept_down: desired.kept_down,
        generation: desired.generation.0,
        serving_generation: status.serving.map(|generation| generation.0),
        reason: reason.cloned(),
        asked_image: Some(&desired.spec.image).filter(|image| **image != desired.serving_spec().image).cloned(),
        restarts: status.restarts,
        retry_in_seconds: view.retry_in.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
        step: view.step.map(|step| step.to_string()),
        waiting_for: view.waits_for.clone(),
        pulled: view.pull.map(|pull| pull.pulled),
        pull_total: view.pull.and_then(|pull| pull.total),
        judged: view.judged.clone(),
        last_refusal: desired.refused.as_ref().map(|refused| Refusal {
            image: refused.image.clone(),
            reason: refused.reason.clone(),
            time: refused.at.clone(),
            generation: refused.generation.0,
        }),
    })
}

/// What a function uses of the machine. Hundredths of a milli-core are as much as can be measured.
pub(super) fn usage(used: Used) -> Usage {
    Usage { cpu: (used.cpu_millis * 100.0).round() / 100.0, total_memory_bytes: used.memory_bytes }
}
