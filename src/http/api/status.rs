//! What is observed of a function, as the REST API shows it.

use super::next_tier::next_tier;
use crate::engine::{Used, View};
use crate::function::{Desired, Phase, Tier};
use crate::http::seconds::whole_seconds;
use crate::http::{Services, Settings};
use crate::wire::{FunctionStatus, KeptGeneration, Lifecycle, NextTier, Refusal, Usage};

/// What Go writes for a time that was never set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// One function, with what it can be rolled back to. None for one that is deleted and on its way out.
pub(super) fn status(view: &View, services: &Services, settings: &Settings) -> Option<FunctionStatus> {
    let generations = view.status.desired.as_ref().map(generations).unwrap_or_default();
    shown(view, generations, services, settings)
}

/// The same as one of a list, which gateways ask for again and again: without what it can be rolled back to.
pub(super) fn listed(view: &View, services: &Services, settings: &Settings) -> Option<FunctionStatus> {
    shown(view, Vec::new(), services, settings)
}

fn shown(
    view: &View,
    generations: Vec<KeptGeneration>,
    services: &Services,
    settings: &Settings,
) -> Option<FunctionStatus> {
    let desired = view.status.desired.as_ref()?;
    let status = FunctionStatus {
        name: view.id.name.to_string(),
        namespace: view.id.namespace.to_string(),
        invocation_count: services.calls(&view.id),
        replicas: desired.running_replicas().into(),
        available_replicas: view.status.ready.into(),
        created_at: Some(desired.created_at.as_str()).filter(|time| !time.is_empty()).unwrap_or(NO_TIME).to_owned(),
        lifecycle: lifecycle(view, next(view, services, settings), generations),
        ..FunctionStatus::of(desired.serving_spec())
    };
    Some(if settings.function_label { status.with_function_label() } else { status })
}

/// What it becomes next if nothing calls it.
fn next(view: &View, services: &Services, settings: &Settings) -> Option<NextTier> {
    let idle = services.routes.find(&view.id)?.idle_for();
    let (tier, left) = next_tier(&view.status, settings.resting, idle)?;
    let tier = if tier == Tier::Frozen { Phase::Frozen } else { Phase::Stopped };
    Some(NextTier { tier: tier.to_string(), in_seconds: whole_seconds(left) })
}

/// Why the number of replicas is not the one that was asked for, if a load chose it.
fn scaled_because(desired: &Desired) -> Option<String> {
    let adjusted = desired.adjusted.as_ref().filter(|_| desired.running_replicas() > 0);
    adjusted.map(|adjusted| adjusted.reason.clone())
}

/// What is kept, if it can be rolled back to any of it.
fn generations(desired: &Desired) -> Vec<KeptGeneration> {
    if desired.rollback_target(None).is_none() {
        return Vec::new();
    }
    let kept = desired.kept();
    let kept = kept.iter().map(|kept| KeptGeneration {
        generation: kept.generation.0,
        image: kept.spec.image.clone(),
        accepted: kept.accepted_at.clone(),
    });
    kept.collect()
}

fn lifecycle(view: &View, next: Option<NextTier>, generations: Vec<KeptGeneration>) -> Option<Lifecycle> {
    let status = &view.status;
    let desired = status.desired.as_ref()?;
    let failure = status.failure.as_ref().map(|failure| &failure.reason).or(desired.failed.as_ref());
    let stopped = format!("kept down by `actord stop`: `actord start {}` ends that", view.id);
    let reason = if desired.kept_down { Some(&stopped) } else { failure };
    let (scaled_because, remark) = (scaled_because(desired), desired.serving_spec().scaling().remark());
    let rests = next.is_some() || status.frozen > 0;
    let unremarkable = view.judged.is_none() && desired.refused.is_none() && remark.is_none();
    let plain = unremarkable && generations.is_empty() && status.spares == 0;
    let usual = !rests && scaled_because.is_none() && plain;
    if matches!(status.phase, Phase::Ready | Phase::Stopped) && reason.is_none() && usual {
        return None;
    }
    Some(Lifecycle {
        phase: status.phase.to_string(),
        for_seconds: view.in_phase_for.map(|time| time.as_secs()),
        next,
        frozen: status.frozen.into(),
        spares: status.spares.into(),
        asked: Some(desired.replicas).filter(|asked| *asked != desired.running_replicas()).map(u64::from),
        scaled_because,
        remark,
        kept_down: desired.kept_down,
        generation: desired.generation.0,
        serving_generation: status.serving.map(|generation| generation.0),
        reason: reason.cloned(),
        asked_image: Some(&desired.spec.image).filter(|image| **image != desired.serving_spec().image).cloned(),
        restarts: status.restarts,
        retry_in_seconds: view.retry_in.map(whole_seconds),
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
        generations,
    })
}

/// What a function uses of the machine. Hundredths of a milli-core are as much as can be measured.
pub(super) fn usage(used: Used) -> Usage {
    Usage { cpu: (used.cpu_millis * 100.0).round() / 100.0, total_memory_bytes: used.memory_bytes }
}
