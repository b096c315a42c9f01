//! `actord apply`: stack files -> what is there now -> the difference -> requests, all at once -> everything ready.
//!
//! ```text
//! stack files -> plan (pure: what to create, update, remove) -> work (one future a function) -> report
//!                                                                  |          ^
//!                                                      PUT, POST, DELETE    poll: the lists, again and again
//!                                                                             (rollout: until one is ready)
//! ```
//! What apply makes carries the annotation [`SET`], so that a later apply with `--prune` knows what it may remove.

mod diff;
mod plan;
mod poll;
mod progress;
mod report;
mod rollout;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use regex::Regex;

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, eprint_line, gateway_of, print, print_json,
    variable,
};
use super::ls::list;
use crate::config::parse_duration;
use crate::function::{FunctionId, Spec, SpecDraft};
use crate::stack::{self, StackFiles};
use crate::wire::FunctionStatus;
use plan::Change;
pub(super) use poll::Poll;
pub(super) use progress::Progress;
pub(super) use report::Verdict;
pub(super) use rollout::{Patience, watched};
use work::Work;

/// The annotation with the name of the set that a function belongs to.
const SET: &str = "actord.apply/set";

/// `actord apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Stack file, directory with stack files, or - for standard input. Repeatable
    #[arg(short, long = "file", value_name = "FILE|DIR|-", default_value = "stack.yaml")]
    pub files: Vec<PathBuf>,

    /// Name of the set that these functions belong to
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub set: String,

    /// Remove functions of this set that are not in the files any more; those that apply did not make are never touched
    #[arg(long, conflicts_with_all = ["filter", "regex"])]
    pub prune: bool,

    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Only functions whose name matches; * stands for anything
    #[arg(long, value_name = "PATTERN", conflicts_with = "regex")]
    pub filter: Option<String>,

    /// Only functions whose name matches this regular expression
    #[arg(long, value_name = "REGEX")]
    pub regex: Option<Regex>,

    /// How long to wait until all functions are ready
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Requests that are under way at a time
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl ApplyArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let StackFiles { functions, gateways } = stack::read_stack_files(&self.files, &variable)?;
        let client = Client::new(&self.gateway, gateway_of(&gateways, &self.gateway)?)?;
        let wanted = self.wanted(functions)?;
        let deployed = self.deployed(&client, &wanted).await?;
        let plan = plan::plan(wanted, &deployed, self.prune.then_some(self.set.as_str()));
        if self.dry_run {
            self.show(&plan)?;
            return Ok(ExitWith::Done);
        }
        let work = Work::new(&client, self.parallel.into(), self.timeout, self.gateway.output == Output::Table);
        let report = work.perform(&plan).await;
        match self.gateway.output {
            Output::Json => print_json(&report.json(&self.set))?,
            Output::Table => report.table().print()?,
        }
        eprint_line(&report.summary());
        Ok(report.exit())
    }

    /// The functions of the files that are meant, each marked with the set.
    fn wanted(&self, functions: BTreeMap<FunctionId, Spec>) -> Result<BTreeMap<FunctionId, Spec>, ClientError> {
        let mut wanted = BTreeMap::new();
        let in_files = functions.len();
        for (id, spec) in functions.into_iter().filter(|(id, _)| self.is_meant(id.name.as_str())) {
            let id = self.namespace.of(id);
            let mut draft = SpecDraft::from(spec);
            draft.annotations.insert(SET.to_owned(), self.set.clone());
            let spec = Spec::try_from(draft).map_err(|invalid| ClientError::Usage(format!("{id}: {invalid}")))?;
            if wanted.insert(id.clone(), spec).is_some() {
                return Err(ClientError::Usage(format!(
                    "{} is in two namespaces, and --namespace makes them one",
                    id.name
                )));
            }
        }
        if wanted.is_empty() && in_files > 0 {
            return Err(ClientError::Usage(format!("none of the {in_files} functions in the files matches")));
        }
        Ok(wanted)
    }

    fn is_meant(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|pattern| glob(pattern, name))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(name))
    }

    /// What is deployed in the namespaces that matter: those of the files, and all of them to find what is to be removed.
    async fn deployed(
        &self,
        client: &Client,
        wanted: &BTreeMap<FunctionId, Spec>,
    ) -> Result<BTreeMap<FunctionId, FunctionStatus>, ClientError> {
        let mut namespaces: BTreeSet<String> = wanted.keys().map(|id| id.namespace.to_string()).collect();
        if self.prune {
            match client.get::<Vec<String>>(&["system", "namespaces"], &[]).await {
                Ok(all) => namespaces.extend(all),
                // A gateway with one namespace need not list them.
                Err(error) if error.is_not_found() => drop(namespaces.insert(self.namespace.or_default().to_string())),
                Err(error) => return Err(error),
            }
        }
        let mut deployed = BTreeMap::new();
        for namespace in namespaces {
            for shown in list(client, &namespace).await.map_err(|error| unknown_namespace(error, &namespace))? {
                let id = format!("{}.{namespace}", shown.function.name);
                if let Ok(id) = id.parse() {
                    deployed.insert(id, shown.function);
                }
            }
        }
        Ok(deployed)
    }

    fn show(&self, plan: &[Change]) -> Result<(), ClientError> {
        match self.gateway.output {
            Output::Json => print_json(&plan::json(plan, &self.set))?,
            Output::Table => print(plan::text(plan).as_bytes())?,
        }
        eprint_line(&plan::summary(plan));
        Ok(())
    }
}

fn unknown_namespace(error: ClientError, namespace: &str) -> ClientError {
    match error {
        ClientError::Answer { status: 400, text } => {
            let next = format!("`actord namespace create {namespace}` makes it");
            ClientError::Answer { status: 400, text: format!("namespace {namespace}: {text}; {next}") }
        }
        error => error,
    }
}

/// Whether a name matches a pattern in which `*` stands for anything.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "anything", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*b*c", "a-x-b-y-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*bc", "abc", false),
            ("", "a", false),
        ] {
            assert_eq!(glob(pattern, name), matches, "{pattern} {name}");
        }
    }
}
