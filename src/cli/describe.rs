//! `actord describe`: all about one function.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, Shown, function_id, print, print_json,
};
use super::{cron, queue_rule, scaling_rule, standing};
use crate::function::{FunctionId, RuntimeName, Spec};
use crate::stack;
use crate::wire::{FunctionQueue, FunctionStatus, KeptGeneration, Lifecycle, Refusal};

/// `actord describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Name of the function, or NAME.NAMESPACE
    #[arg(value_name = "NAME")]
    pub name: String,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl DescribeArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let id = function_id(&self.name, &self.namespace)?;
        let query = [("namespace", id.namespace.as_str()), ("usage", "1")];
        let json: Value =
            client.get(&["system", "function", id.name.as_str()], &query).await.map_err(|error| missing(error, &id))?;
        let shown = Shown::try_from(json)?;
        match self.gateway.output {
            Output::Json => print_json(&shown.json)?,
            Output::Table => {
                let calls = queue_rule::depth(&client, &id).await;
                print(text(&shown.function, calls.as_ref(), &client.function_url(&id)).as_bytes())?;
            }
        }
        Ok(ExitWith::Done)
    }
}

/// A 404 says nothing itself.
pub(super) fn missing(error: ClientError, id: &FunctionId) -> ClientError {
    if error.is_not_found() {
        let text = format!("there is no function {id}: `actord ls -n {}` lists those that are there", id.namespace);
        return ClientError::Answer { status: 404, text };
    }
    error
}

fn text(function: &FunctionStatus, calls: Option<&FunctionQueue>, url: &str) -> String {
    let mut lines = Lines::default();
    lines.add("Name", &function.name);
    lines.add("Namespace", &function.namespace);
    lines.add("State", &standing::with_time(function));
    lines.add("Next step", &standing::next_step(function));
    if let Some(lifecycle) = &function.lifecycle {
        lines.add("Step", lifecycle.step.as_deref().unwrap_or_default());
        lines.add("Waiting for", lifecycle.waiting_for.as_deref().unwrap_or_default());
        lines.add("Reason", lifecycle.reason.as_deref().unwrap_or_default());
        lines.add("Next start", &lifecycle.retry_in_seconds.map(|wait| format!("in {wait} s")).unwrap_or_default());
        lines.add("Judged", lifecycle.judged.as_deref().unwrap_or_default());
        lines.add("Restarts", &lifecycle.restarts.to_string());
        let serving = lifecycle.serving_generation;
        let serving = serving.filter(|serving| *serving != lifecycle.generation);
        let serving = serving.map(|serving| format!(", {serving} is serving")).unwrap_or_default();
        lines.add("Generation", &format!("{}{serving}", lifecycle.generation));
        lines.add("Asked for", lifecycle.asked_image.as_deref().unwrap_or_default());
        if let Some(Refusal { image, reason, time, generation }) = &lifecycle.last_refusal {
            lines.add("Refused", &format!("generation {generation}, {image}, at {time}: {reason}"));
        }
    }
    lines.add("Ready", &standing::ready(function));
    lines.add("Replicas", &standing::replicas(function));
    let spec = Spec::accepted_before(function.draft().unwrap_or_default());
    lines.add("Scaling", &scaling_rule::in_a_line(&spec.scaling()));
    lines.add("Spare", &standing::spares(function, spec.spare()));
    lines.add("Calls", &queue_rule::in_a_line(calls, &spec.retry()));
    lines.add("Schedules", &spec.schedules().as_ref().map(cron::in_a_line).unwrap_or_default());
    lines.add("Remark", function.lifecycle.as_ref().and_then(|it| it.remark.as_deref()).unwrap_or_default());
    lines.add("Runtime", spec.runtime().as_ref().map(RuntimeName::as_str).unwrap_or_default());
    lines.add("Image", &function.image);
    lines.add("Process", &function.env_process);
    lines.add("URL", url);
    lines.add("Invocations", &function.invocation_count.to_string());
    if let Some(usage) = &function.usage {
        #[allow(clippy::cast_precision_loss, reason = "one digit of it is shown")]
        let mebibytes = usage.total_memory_bytes as f64 / f64::from(1 << 20);
        lines.add("Usage", &format!("cpu {:.0}m, memory {mebibytes:.1} Mi", usage.cpu));
    }
    lines.add("Limits", &quantities(&function.limits.quantities()));
    lines.add("Requests", &quantities(&function.requests.quantities()));
    for (flag, _) in stack::lines(&spec).iter().filter(|(_, value)| value == true) {
        match flag.as_str() {
            "readonly_root_filesystem" => lines.add("Root", "read-only"),
            other => lines.add(other, "yes"),
        }
    }
    lines.add("Secrets", &function.secrets.join(", "));
    lines.add("Constraints", &function.constraints.join(", "));
    lines.add("Created", &function.created_at);
    if let Some(lifecycle) = &function.lifecycle {
        lines.generations(lifecycle);
    }
    lines.map("Environment", &function.env_vars);
    lines.map("Labels", &function.labels);
    lines.map("Annotations", &function.annotations);
    lines.0
}

fn quantities(of: &BTreeMap<String, String>) -> String {
    let set = of.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name} {value}"));
    set.collect::<Vec<_>>().join(", ")
}

/// Lines of a key and a value; what is empty is left out.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            self.0 += &format!("{:<13}{value}\n", format!("{key}:"));
        }
    }

    /// What it can be rolled back to.
    fn generations(&mut self, lifecycle: &Lifecycle) {
        if !lifecycle.generations.is_empty() {
            self.0 += "Generations:\n";
        }
        for KeptGeneration { generation, image, accepted } in &lifecycle.generations {
            let serves = lifecycle.serving_generation == Some(*generation);
            let accepted = if accepted.is_empty() { "at a time that was not noted" } else { accepted };
            let serves = if serves { ", serves" } else { "" };
            self.0 += &format!("  {generation}  {}  accepted {accepted}{serves}\n", image.escape_debug());
        }
    }

    fn map(&mut self, key: &str, values: &BTreeMap<String, String>) {
        if !values.is_empty() {
            self.0 += &format!("{key}:\n");
        }
        for (name, value) in values {
            // One line each, whatever is in it.
            self.0 += &format!("  {}={}\n", name.escape_debug(), value.escape_debug());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_set_is_not_shown() {
        let shown = Shown::try_from(json!({"name": "a", "namespace": "dev", "image": "i:1", "replicas": 1,
            "availableReplicas": 1, "createdAt": "2026-01-02T03:04:05Z"}));
        let expected = "Name:        a\nNamespace:   dev\nState:       ready\nReady:       1/1\nImage:       i:1\n\
                        URL:         http://u\nInvocations: 0\nCreated:     2026-01-02T03:04:05Z\n";
        assert_eq!(text(&shown.unwrap().function, None, "http://u"), expected);
    }

    #[test]
    fn trouble_is_said_before_anything_else() {
        let shown = Shown::try_from(json!({"name": "a", "namespace": "dev", "image": "i:2", "replicas": 1,
            "availableReplicas": 1, "limits": {"memory": "64Mi", "nvidia.com/gpu": "1", "cpu": ""},
            "envVars": {"A": "two\nlines"}, "annotations": {"actord.runtime": "gvisor"},
            "usage": {"cpu": 12.4, "totalMemoryBytes": 1_572_864.0},
            "lifecycle": {"phase": "backing off", "generation": 3, "servingGeneration": 2, "restarts": 5,
                "reason": "exited with\ncode 1", "retryInSeconds": 8, "step": "pulling",
                "waitingFor": "a port", "judged": "answered 401", "askedImage": "i:3",
                "lastRefusal": {"image": "i:4", "reason": "no such\nimage", "time": "2026-01-02T03:04:05Z",
                    "generation": 4}}}));
        let text = text(&shown.unwrap().function, None, "http://u");
        let begin = "Name:        a\nNamespace:   dev\nState:       backing off\nStep:        pulling\n\
                     Waiting for: a port\nReason:      exited with code 1\nNext start:  in 8 s\n\
                     Judged:      answered 401\nRestarts:    5\n\
                     Generation:  3, 2 is serving\nAsked for:   i:3\n\
                     Refused:     generation 4, i:4, at 2026-01-02T03:04:05Z: no such image\n";
        assert!(text.starts_with(begin), "{text}");
        let limits = "Limits:      memory 64Mi, nvidia.com/gpu 1\n";
        for line in ["Usage:       cpu 12m, memory 1.5 Mi\n", "Runtime:     gvisor\n", limits, "  A=two\\nlines\n"] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
