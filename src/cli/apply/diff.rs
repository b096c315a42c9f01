//! What a stack file asks for beside what is deployed, as lines that can be compared.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::client::Function;
use crate::function::{Resources, Spec};

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
pub(super) fn differences(before: Option<&Function>, after: &Spec) -> Vec<Difference> {
    let (mut before, after) = (before.map(deployed).unwrap_or_default(), asked(after));
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

fn asked(spec: &Spec) -> Lines {
    let quantities = |of: &Option<Resources>| of.as_ref().map(Resources::quantities).unwrap_or_default();
    let mut lines = Lines::new();
    put(&mut lines, "image", &spec.image);
    put(&mut lines, "fprocess", &spec.env_process);
    put_all(&mut lines, "env", &spec.env_vars);
    put_all(&mut lines, "label", &spec.labels);
    put_all(&mut lines, "annotation", &spec.annotations);
    put_names(&mut lines, "secret", spec.secrets.iter().map(crate::function::SecretName::as_str));
    put_names(&mut lines, "constraint", spec.constraints.iter().map(String::as_str));
    put_quantities(&mut lines, "limits", &quantities(&spec.limits));
    put_quantities(&mut lines, "requests", &quantities(&spec.requests));
    put(&mut lines, "readonly_root_filesystem", if spec.read_only_root_filesystem { "true" } else { "" });
    lines
}

fn deployed(function: &Function) -> Lines {
    let mut lines = Lines::new();
    put(&mut lines, "image", &function.image);
    put(&mut lines, "fprocess", &function.env_process);
    put_all(&mut lines, "env", &function.env_vars);
    put_all(&mut lines, "label", &function.labels);
    put_all(&mut lines, "annotation", &function.annotations);
    put_names(&mut lines, "secret", function.secrets.iter().map(String::as_str));
    put_names(&mut lines, "constraint", function.constraints.iter().map(String::as_str));
    put_quantities(&mut lines, "limits", &function.limits);
    put_quantities(&mut lines, "requests", &function.requests);
    put(&mut lines, "readonly_root_filesystem", if function.read_only_root_filesystem { "true" } else { "" });
    lines
}

/// What is empty is as good as not there.
fn put(lines: &mut Lines, field: &str, value: &str) {
    if !value.is_empty() {
        lines.insert(field.to_owned(), value.to_owned());
    }
}

fn put_all(lines: &mut Lines, kind: &str, values: &BTreeMap<String, String>) {
    lines.extend(values.iter().map(|(name, value)| (format!("{kind} {name}"), value.clone())));
}

fn put_names<'a>(lines: &mut Lines, kind: &str, names: impl Iterator<Item = &'a str>) {
    lines.extend(names.map(|name| (format!("{kind} {name}"), String::new())));
}

fn put_quantities(lines: &mut Lines, kind: &str, of: &BTreeMap<String, String>) {
    for (name, quantity) in of {
        put(lines, &format!("{kind}.{name}"), quantity);
    }
}
