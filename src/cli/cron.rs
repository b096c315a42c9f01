//! `actord cron`: what is called by the clock.

use clap::{Args, Subcommand};

use super::client::{Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, Table, eprint_line, print_json};
use crate::function::{Missed, Overlap, Schedules, When};
use crate::wire::ListedSchedule;

/// `actord cron`.
#[derive(Debug, Subcommand)]
pub enum CronVerb {
    /// List schedules: when each fires next, and what it fired last
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  actord cron ls -A\n  actord cron ls -n staging --output json"
    )]
    Ls(Box<CronLsArgs>),
}

/// `actord cron ls`.
#[derive(Debug, Args)]
pub struct CronLsArgs {
    /// Schedules of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl CronVerb {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        match self {
            Self::Ls(ls) => ls.run().await,
        }
    }
}

impl CronLsArgs {
    async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let namespaces = match self.all_namespaces {
            true => client.get::<Vec<String>>(&["system", "namespaces"], &[]).await?,
            false => vec![self.namespace.or_default().to_string()],
        };
        let mut schedules: Vec<ListedSchedule> = Vec::new();
        for namespace in &namespaces {
            schedules.extend(
                client.get::<Vec<ListedSchedule>>(&["system", "schedules"], &[("namespace", namespace)]).await?,
            );
        }
        if self.gateway.output == Output::Json {
            print_json(&schedules)?;
        } else if schedules.is_empty() {
            eprint_line(&format!("no function in {} is called by the clock", namespaces.join(", ")));
        } else {
            table(&schedules, self.all_namespaces).print()?;
        }
        Ok(ExitWith::Done)
    }
}

fn table(schedules: &[ListedSchedule], with_namespace: bool) -> Table {
    let namespace: &[&str] = if with_namespace { &["NAMESPACE"] } else { &[] };
    let head = [namespace, &["FUNCTION", "SCHEDULE", "ZONE", "LAST", "RESULT", "NEXT"]].concat();
    let mut table = Table::new(&head);
    for one in schedules {
        let namespace = with_namespace.then(|| one.namespace.clone());
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let next = or_dash(one.next.clone().or_else(|| one.note.clone()));
        let (schedule, zone) = (one.schedule.clone(), one.timezone.clone());
        let cells = [one.function.clone(), schedule, zone, or_dash(one.last.clone()), result(one), next];
        table.row(namespace.into_iter().chain(cells));
    }
    table
}

/// What came of the last call, and what got none.
fn result(one: &ListedSchedule) -> String {
    let state = one.last_state.as_deref().unwrap_or(if one.last_call.is_some() { "no longer kept" } else { "-" });
    let status = one.last_status.map(|status| format!(" {status}")).unwrap_or_default();
    let count = |count: u64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    format!("{state}{status}{}{}", count(one.missed, "missed"), count(one.skipped, "skipped"))
}

/// When a function is called by the clock, for its description.
pub(super) fn in_a_line(schedules: &Schedules) -> String {
    let each = schedules.each.iter().map(|one| match one.when {
        When::At(_) => format!("{} ({})", one.text, one.zone),
        When::Every(_) => one.text.clone(),
    });
    let once = (schedules.missed == Missed::RunOnce).then(|| "once for what was missed".to_owned());
    let skip = (schedules.overlap == Overlap::Skip).then(|| "not while the last call goes on".to_owned());
    each.chain(once).chain(skip).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{Spec, SpecDraft};

    #[test]
    fn a_description_says_when_a_function_is_called_and_by_which_rules() {
        let described = |annotations: &[(&str, &str)]| {
            let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let spec = Spec::accepted_before(SpecDraft { annotations, ..SpecDraft::default() });
            spec.schedules().as_ref().map(in_a_line).unwrap_or_default()
        };
        let topic = ("topic", "cron-function");
        assert_eq!(described(&[("schedule", "@daily")]), "");
        let two = [topic, ("schedule", "0 3 * * *; @every 5m"), ("schedule.timezone", "Europe/Berlin")];
        assert_eq!(described(&two), "0 3 * * * (Europe/Berlin); @every 5m");
        let rules = [topic, ("schedule", "@daily"), ("schedule.missed", "run-once"), ("schedule.overlap", "skip")];
        assert_eq!(described(&rules), "@daily (UTC); once for what was missed; not while the last call goes on");
    }

    #[test]
    fn a_result_says_what_came_of_the_last_call_and_what_got_none() {
        let nothing = ListedSchedule::default();
        assert_eq!(result(&nothing), "-");
        let called = ListedSchedule { last_call: Some("id".into()), missed: 2, ..nothing.clone() };
        assert_eq!(result(&called), "no longer kept, 2 missed");
        let done = ListedSchedule { last_state: Some("done".into()), last_status: Some(200), skipped: 1, ..called };
        assert_eq!(result(&done), "done 200, 2 missed, 1 skipped");
    }
}
