//! Bodies of the REST API as fuzz targets: a spec that is accepted keeps the documented bounds, and what is accepted is
//! written and read again as the same.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Alerts, DeleteFunctionRequest, DeleteSecretRequest, FunctionDeployment, FunctionNamespace, FunctionStatus,
    LogMessage, RollbackRequest, ScaleServiceRequest, Secret, read,
};
use crate::function::{FunctionId, Resting, Spec, SpecDraft};

pub(crate) fn deployments(body: &[u8]) -> bool {
    let Ok(sent) = read::<FunctionDeployment>(body) else { return false };
    again(&sent);
    let Ok(draft) = sent.draft() else { return false };
    let Ok(spec) = Spec::try_from(draft.clone()) else { return false };
    assert_eq!(*spec, draft, "nothing is changed by the checks");
    check_bounds(&spec);
    // As the store keeps it, as an export has it, and as it is shown.
    let kept = serde_json::to_string(&spec).expect("a spec has a JSON form");
    assert_eq!(serde_json::from_str::<SpecDraft>(&kept).ok().as_ref(), Some(&draft), "{kept}");
    assert_eq!(serde_json::from_str::<Spec>(&kept).ok().as_ref(), Some(&spec), "{kept}");
    assert_eq!(Spec::exported(draft.clone()).ok().as_ref(), Some(&spec), "an export of it is taken");
    let id = FunctionId::new("f".parse().expect("a name"), "n".parse().expect("a namespace"));
    let asked = again(&FunctionDeployment::new(&id, &spec));
    assert_eq!(asked.draft().as_ref(), Ok(&draft));
    assert_eq!(again(&FunctionStatus::of(&spec)).draft().as_ref(), Ok(&draft));
    true
}

/// What its holders rely on.
fn check_bounds(spec: &Spec) {
    let hour = Duration::from_secs(3600);
    assert!(!spec.image.trim().is_empty());
    assert!(spec.memory_limit_bytes().is_none_or(|bytes| bytes >= 1 << 20), "too little memory for a process");
    assert!(spec.cpu_limit_millis().is_none_or(|millis| (1..=99_000).contains(&millis)), "more than 99 cores");
    let (scaling, spare) = (spec.scaling(), spec.spare());
    assert!(1 <= scaling.min && scaling.min <= scaling.max && scaling.max <= 1_000 && scaling.factor <= 100);
    assert!(scaling.min == spec.min_replicas() && spare <= 4);
    assert!((scaling.min..=1_000).contains(&scaling.up(scaling.min).max(scaling.min)));
    assert!(spec.pids_limit().is_none_or(|limit| (16..=4_194_304).contains(&limit)));
    assert!(spec.drain_timeout().is_none_or(|time| time <= hour));
    assert!(spec.answer_limit().or(Duration::from_secs(60)) <= hour + Duration::from_secs(1));
    let checks = spec.checks();
    for check in std::iter::once(&checks.ready).chain(&checks.health) {
        let path = check.path.as_deref().unwrap_or("/");
        assert!(path.starts_with('/') && path.len() <= 1024 && path.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(check.period >= Duration::from_millis(100) && check.period <= hour && check.timeout <= hour);
        assert!(check.initial_delay <= hour && check.successes >= 1 && check.failures >= 1);
    }
    let resting = spec.resting(Resting::default());
    assert!([resting.freeze_after, resting.zero_after].iter().flatten().all(|time| !time.is_zero()));
    for (name, value) in spec.environment() {
        assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'), "{name:?} fails each start");
        assert!(name.len() + value.len() + 2 <= 128 << 10, "{name:?} fails each start");
    }
    assert_eq!(spec.container_labels().len(), spec.labels.len() + spec.annotations.len(), "one hides another");
}

pub(crate) fn bodies(body: &[u8]) -> bool {
    if let Ok(scale) = read::<ScaleServiceRequest>(body) {
        assert!(scale.replicas().is_ok_and(|replicas| replicas <= 1_000) || scale.replicas().is_err());
        let name = scale.name("path");
        assert!(!name.is_empty());
    }
    let _ = read::<DeleteFunctionRequest>(body).map(|read| again(&read));
    let _ = read::<DeleteSecretRequest>(body).map(|read| again(&read));
    let _ = read::<RollbackRequest>(body).map(|read| again(&read));
    let _ = read::<Alerts>(body).map(|read| again(&read));
    let _ = read::<FunctionNamespace>(body).map(|read| again(&read));
    let secret = read::<Secret>(body);
    if let Ok(secret) = &secret {
        let text = serde_json::to_vec(secret).expect("it has a JSON form");
        assert!(read::<Secret>(&text).as_ref() == Ok(secret), "a secret is read as another");
    }
    secret.is_ok()
}

/// Reads what is written of it.
fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> T {
    let text = serde_json::to_vec(value).expect("it has a JSON form");
    let found = read(&text);
    assert_eq!(found.as_ref(), Ok(value), "{}", String::from_utf8_lossy(&text));
    found.expect("as above")
}

/// What a function wrote goes out as one line of JSON and comes back as it was.
pub(crate) fn log_lines(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let message = LogMessage { name: "f".into(), text, ..LogMessage::default() };
    let line = serde_json::to_string(&message).expect("a text has a JSON form");
    assert!(!line.bytes().any(|byte| byte < 0x20), "a control character in a line of the answer: {line:?}");
    assert_eq!(serde_json::from_str::<LogMessage<'_>>(&line).ok(), Some(message));
    // A line that is none of ours, as a client may get it.
    serde_json::from_slice::<LogMessage<'_>>(bytes).is_ok_and(|read| {
        let line = serde_json::to_string(&read).expect("texts have a JSON form");
        assert_eq!(serde_json::from_str::<LogMessage<'_>>(&line).ok().as_ref(), Some(&read));
        true
    })
}
