//! What has to be done, decided before anything is: pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::SET;
use super::diff::{Difference, differences};
use crate::function::{FunctionId, Spec};
use crate::wire::FunctionStatus;

/// What is done to one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    Create,
    Update,
    /// It is as it should be; asked for all the same, so that one that failed is tried again.
    Keep,
    Remove,
}

impl Act {
    /// What it is called once it is done.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::Keep => "unchanged",
            Self::Remove => "removed",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Keep => "none",
            Self::Remove => "remove",
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::Keep => '=',
            Self::Remove => '-',
        }
    }
}

/// One function, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) id: FunctionId,
    pub(super) act: Act,
    pub(super) differences: Vec<Difference>,
    /// None if it is to be removed.
    pub(super) spec: Option<Spec>,
}

/// Compares what is wanted with what is there. With the name of a set, what carries it and is not wanted is removed.
pub(super) fn plan(
    wanted: BTreeMap<FunctionId, Spec>,
    deployed: &BTreeMap<FunctionId, FunctionStatus>,
    prune: Option<&str>,
) -> Vec<Change> {
    let is_ours =
        |function: &FunctionStatus| prune.is_some() && function.annotations.get(SET).map(String::as_str) == prune;
    let gone = deployed.iter().filter(|(id, function)| is_ours(function) && !wanted.contains_key(id));
    let removals: Vec<Change> =
        gone.map(|(id, _)| Change { id: id.clone(), act: Act::Remove, differences: Vec::new(), spec: None }).collect();
    let applied = wanted.into_iter().map(|(id, spec)| {
        let before = deployed.get(&id);
        let differences = differences(before, &spec);
        let act = match before {
            None => Act::Create,
            Some(_) if differences.is_empty() => Act::Keep,
            Some(_) => Act::Update,
        };
        Change { id, act, differences, spec: Some(spec) }
    });
    applied.chain(removals).collect()
}

/// The plan for people: one line a function, and one for each of its differences.
pub(super) fn text(plan: &[Change]) -> String {
    let mut text = String::new();
    for Change { id, act, differences, .. } in plan {
        text += &format!("{} {id}\n", act.sign());
        for Difference { field, before, after } in differences {
            let plain = |value: &str| value.escape_debug().to_string();
            let field = plain(field);
            text += &match (before.as_deref(), after.as_deref()) {
                (Some(before), Some(after)) => format!("    ~ {field}: {} -> {}\n", plain(before), plain(after)),
                (None, Some("")) => format!("    + {field}\n"),
                (None, Some(after)) => format!("    + {field}: {}\n", plain(after)),
                (Some(""), None) => format!("    - {field}\n"),
                (Some(before), None) => format!("    - {field}: {}\n", plain(before)),
                (None, None) => String::new(),
            };
        }
    }
    text
}

/// The plan for programs.
pub(super) fn json(plan: &[Change], set: &str) -> Value {
    let change = |change: &Change| json!({ "function": change.id.to_string(), "change": change.act.word(), "differences": change.differences });
    json!({ "set": set, "changes": plan.iter().map(change).collect::<Vec<_>>() })
}

/// How much there is to do, in one line.
pub(super) fn summary(plan: &[Change]) -> String {
    let count = |act: Act| plan.iter().filter(|change| change.act == act).count();
    let [create, update, remove, keep] = [Act::Create, Act::Update, Act::Remove, Act::Keep].map(count);
    format!("{create} to create, {update} to update, {remove} to remove, {keep} unchanged; nothing was done")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::client::Shown;

    fn spec(value: Value) -> Spec {
        serde_json::from_value(value).unwrap()
    }

    fn function(value: Value) -> FunctionStatus {
        Shown::try_from(value).unwrap().function
    }

    fn id(text: &str) -> FunctionId {
        text.parse().unwrap()
    }

    #[test]
    fn a_label_that_the_gateway_adds_is_no_difference_unless_it_is_asked_for() {
        let own = json!({"l": "x", "faas_function": "f"});
        for (shown, asked, same) in [
            (own.clone(), json!({"l": "x"}), true),
            (own.clone(), own.clone(), true),
            (json!({"l": "x"}), own.clone(), false),
            (json!({"l": "x", "faas_function": "other"}), json!({"l": "x"}), false),
            (own, json!({}), false),
        ] {
            let deployed = function(json!({"name": "f", "namespace": "openfaas-fn", "image": "i", "labels": shown}));
            let wanted = spec(json!({"image": "i", "labels": asked}));
            let found = differences(Some(&deployed), &wanted);
            assert_eq!(found.is_empty(), same, "{shown} {asked}: {found:?}");
        }
    }

    #[test]
    fn each_difference_is_a_line() {
        let wanted = spec(json!({"image": "i:2", "env_vars": {"A": "1", "B": "2"}, "labels": {"l": "x"},
            "secrets": ["new"], "limits": {"memory": "64Mi", "amd.com/gpu": "2"},
            "annotations": {"actord.apply/set": "default"}}));
        let before =
            function(json!({"name": "f", "image": "i:1", "envVars": {"A": "1", "C": "3\n"}, "secrets": ["old"],
            "labels": {"l": "y"}, "limits": {"memory": "64Mi", "cpu": "1", "amd.com/gpu": "1"},
            "readOnlyRootFilesystem": true}));
        let plan = plan([(id("f"), wanted)].into(), &[(id("f"), before)].into(), None);
        let expected = "~ f.openfaas-fn\n    + annotation actord.apply/set: default\n    + env B: 2\n    - env C: 3\\n\n    \
                        ~ image: i:1 -> i:2\n    ~ label l: y -> x\n    ~ limits.amd.com/gpu: 1 -> 2\n    \
                        - limits.cpu: 1\n    - readonly_root_filesystem: true\n    + secret new\n    - secret old\n";
        assert_eq!(text(&plan), expected);
        assert_eq!(summary(&plan), "0 to create, 1 to update, 0 to remove, 0 unchanged; nothing was done");
        let shown = super::json(&plan, "default");
        assert_eq!(shown["changes"][0]["change"], "update");
        assert_eq!(shown["changes"][0]["differences"][3], json!({"field": "image", "before": "i:1", "after": "i:2"}));
    }

    #[test]
    fn what_is_as_it_should_be_has_no_difference() {
        let everything = json!({"image": "i:1", "env_process": "cat", "env_vars": {"A": ""}, "constraints": ["c"],
            "secrets": ["s", "t"], "labels": {"l": "x"}, "annotations": {"a": "b"}, "limits": {"memory": "1Gi"},
            "requests": {"cpu": "1", "amd.com/gpu": "1"}, "read_only_root_filesystem": true});
        let before = function(json!({"name": "f", "image": "i:1", "envProcess": "cat", "envVars": {"A": ""},
            "constraints": ["c"], "secrets": ["t", "s"], "labels": {"l": "x"}, "annotations": {"a": "b"},
            "limits": {"memory": "1Gi"}, "requests": {"cpu": "1", "amd.com/gpu": "1"},
            "readOnlyRootFilesystem": true}));
        let plan = plan([(id("f"), spec(everything))].into(), &[(id("f"), before)].into(), None);
        assert_eq!((plan[0].act, plan[0].differences.len()), (Act::Keep, 0));
    }

    #[test]
    fn only_what_an_earlier_apply_of_the_same_set_made_is_removed() {
        let deployed = BTreeMap::from([
            (id("ours"), function(json!({"name": "ours", "annotations": {"actord.apply/set": "shop"}}))),
            (id("ours.dev"), function(json!({"name": "ours", "annotations": {"actord.apply/set": "shop"}}))),
            (id("other"), function(json!({"name": "other", "annotations": {"actord.apply/set": "else"}}))),
            (id("hand"), function(json!({"name": "hand"}))),
        ]);
        let wanted = BTreeMap::from([(id("ours"), spec(json!({"image": "i"})))]);
        let removed = |prune| {
            let plan = plan(wanted.clone(), &deployed, prune);
            plan.into_iter().filter(|change| change.act == Act::Remove).map(|change| change.id).collect::<Vec<_>>()
        };
        assert_eq!(removed(Some("shop")), [id("ours.dev")]);
        assert_eq!(removed(Some("")), []);
        assert_eq!(removed(None), []);
    }
}
