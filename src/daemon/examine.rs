//! `actord doctor`: the facts of this machine, judged.

use super::last_run;
use super::machine::cni_options;
use crate::config::Config;
use crate::doctor::{Facts, Finding, Root};

/// `actord doctor`: looks at this machine and at the actord that runs on it, and changes nothing.
///
/// # Errors
/// When there is no runtime to look with; what is wrong with the machine is a finding.
pub fn examine(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let facts = runtime.block_on(Facts::gather(&Root::machine(), config, &cni_options(config)));
    let mut findings = facts.findings();
    findings.extend(last_run::finding(config));
    Ok(findings)
}
