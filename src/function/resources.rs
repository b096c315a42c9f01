//! What a function may use of the machine: limits and requests as they were sent, and the most processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Invalid, parse_cpu_millis, parse_memory_bytes};

/// The annotation with the most processes and threads of one instance.
const PIDS_LIMIT: &str = "com.openfaas.pids.limit";

/// Fewer are not enough to start a process in a container; Linux knows no more.
const PIDS_LEAST: u32 = 16;
const PIDS_MOST: u32 = 1 << 22;

/// Limits or requests, as they were sent: Kubernetes quantities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory, such as `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Cpu, such as `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
}

impl Resources {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        self.memory.as_deref().map(parse_memory_bytes).transpose()?;
        self.cpu.as_deref().map(parse_cpu_millis).transpose()?;
        Ok(())
    }

    /// The memory in bytes, if any is given.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        self.memory.as_deref().and_then(|text| parse_memory_bytes(text).ok())
    }

    /// The cpu in milli-cores, if any is given.
    #[must_use]
    pub fn cpu_millis(&self) -> Option<u64> {
        self.cpu.as_deref().and_then(|text| parse_cpu_millis(text).ok())
    }
}

/// Reads how many processes and threads an instance may have.
///
/// # Errors
/// [`Invalid`] for anything but a number that Linux knows and a process can start with.
pub fn parse_pids_limit(text: &str) -> Result<u32, Invalid> {
    let limit = text.parse().ok().filter(|limit| (PIDS_LEAST..=PIDS_MOST).contains(limit));
    limit.ok_or_else(|| Invalid(format!("expected a number from {PIDS_LEAST} to {PIDS_MOST}")))
}

/// The most processes and threads of one instance, if the function says so.
///
/// # Errors
/// [`Invalid`] with the annotation and the rule.
pub(super) fn pids_limit(annotations: &BTreeMap<String, String>) -> Result<Option<u32>, Invalid> {
    let Some(text) = annotations.get(PIDS_LIMIT) else { return Ok(None) };
    let refused = |Invalid(expected)| Invalid(format!("invalid annotation {PIDS_LIMIT}={text:?}: {expected}"));
    parse_pids_limit(text.trim()).map(Some).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_kept_as_text_and_read_as_numbers() {
        let resources = Resources { memory: Some("1.5Gi".into()), cpu: Some("0.25".into()) };
        resources.check().unwrap();
        assert_eq!((resources.memory_bytes(), resources.cpu_millis()), (Some(3 << 29), Some(250)));
        assert_eq!((Resources::default().memory_bytes(), Resources::default().cpu_millis()), (None, None));
        assert!(Resources { cpu: Some("half".into()), ..Resources::default() }.check().is_err());
    }

    #[test]
    fn a_limit_of_processes_is_a_number_that_a_process_can_start_with() {
        let of = |text: &str| pids_limit(&[(PIDS_LIMIT.to_owned(), text.to_owned())].into());
        assert_eq!(pids_limit(&BTreeMap::new()), Ok(None));
        for (text, limit) in [("16", 16), (" 100 ", 100), ("4194304", 4_194_304)] {
            assert_eq!(of(text), Ok(Some(limit)), "{text:?}");
        }
        for bad in ["", "0", "15", "-1", "max", "1k", "4194305"] {
            let Invalid(reason) = of(bad).unwrap_err();
            assert!(reason.contains(PIDS_LIMIT) && reason.contains("from 16 to 4194304"), "{reason}");
        }
    }
}
