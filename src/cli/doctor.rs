//! `actord doctor`: its arguments, and how its findings are shown.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::config::Config;
use crate::doctor::{Finding, State};

/// `actord doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The settings.
    #[command(flatten)]
    pub config: Config,

    /// How the findings are shown
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub output: Findings,
}

/// The shape of what `doctor` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Findings {
    /// For people: a line a check, with what mends it under it.
    Table,
    /// One JSON object.
    Json,
}

impl Findings {
    /// The text to print.
    #[must_use]
    pub fn show(self, findings: &[Finding]) -> String {
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        let (failures, warnings, unknown) = (count(State::Failure), count(State::Warning), count(State::Unknown));
        if self == Self::Json {
            let all = json!({
                "findings": findings, "failures": failures, "warnings": warnings, "unknown": unknown,
            });
            return format!("{all:#}\n");
        }
        let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for Finding { check, state, found, remedy } in findings {
            let state = match state {
                State::Ok => "ok",
                State::Unknown => "unknown",
                State::Warning => "WARNING",
                State::Failure => "FAILURE",
            };
            // Writing to a text can't fail.
            let _ = writeln!(text, "{state:8} {check:width$}  {}", found.replace('\n', " "));
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "{:8} {:width$}  -> {remedy}", "", "");
            }
        }
        let _ = writeln!(text, "{failures} failures, {warnings} warnings, {unknown} unknown");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &str, state: State, remedy: Option<&str>) -> Finding {
        Finding { check: check.into(), state, found: "it is\nso".into(), remedy: remedy.map(str::to_owned) }
    }

    #[test]
    fn a_finding_is_a_line_and_its_remedy_stands_under_it() {
        let findings =
            [finding("runc", State::Ok, None), finding("containerd", State::Failure, Some("apt-get install it"))];
        assert_eq!(
            Findings::Table.show(&findings),
            "ok       runc        it is so\nFAILURE  containerd  it is so\n                     -> apt-get install it\n\
             1 failures, 0 warnings, 0 unknown\n"
        );
        let json: serde_json::Value = serde_json::from_str(&Findings::Json.show(&findings)).unwrap();
        assert_eq!((&json["failures"], &json["findings"][1]["state"]), (&json!(1), &json!("failure")));
        assert!(json["findings"][0].get("remedy").is_none());
    }
}
