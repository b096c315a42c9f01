//! What a stack file asks for beside what is deployed, as lines that can be compared.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::function::{Spec, SpecDraft};
use crate::stack;
use crate::wire::{FUNCTION_LABEL, FunctionStatus};

/// One line of a function that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// Such as `image` or `env DEBUG`.
    pub(super) field: String,
    /// Its value now, if it has one.
    pub(super) before: Option<String>,
    /// Its value then, if it is to have one.
    pub(super) after: Option<String>,
}

/// Values by the name that a difference calls them.
type Lines = BTreeMap<String, String>;

/// What has to change; nothing if it is as it should be.
pub(super) fn differences(before: Option<&FunctionStatus>, after: &Spec) -> Vec<Difference> {
    // What this program has no words for is replaced as a whole.
    let before = before.cloned().map(|before| match after.labels.contains_key(FUNCTION_LABEL) {
        true => before,
        // The gateway may add it to whatever was asked for.
        false => before.without_function_label(),
    });
    let before = before.and_then(|before| before.draft().ok());
    let (mut before, after) = (before.as_ref().map(lines).unwrap_or_default(), lines(after));
    let mut found = Vec::new();
    for (field, value) in after {
        let old = before.remove(&field);
        if old.as_ref() != Some(&value) {
            found.push(Difference { field, before: old, after: Some(value) });
        }
    }
    found.extend(before.into_iter().map(|(field, value)| Difference { field, before: Some(value), after: None }));
    found.sort_by(|a, b| a.field.cmp(&b.field));
    found
}

/// The lines of a stack file, one for each value.
fn lines(spec: &SpecDraft) -> Lines {
    let mut lines = Lines::new();
    for (key, value) in stack::lines(spec) {
        // One of many: `env DEBUG`, `label app`, `limits.cpu`.
        let one = match key.as_str() {
            "environment" => "env ".to_owned(),
            "limits" | "requests" => format!("{key}."),
            many => format!("{} ", many.trim_end_matches('s')),
        };
        match value {
            Value::Object(values) => {
                lines.extend(values.into_iter().map(|(name, value)| (one.clone() + &name, text(value))));
            }
            Value::Array(names) => {
                lines.extend(names.into_iter().map(|name| (one.clone() + &text(name), String::new())));
            }
            value => drop(lines.insert(key, text(value))),
        }
    }
    lines
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
