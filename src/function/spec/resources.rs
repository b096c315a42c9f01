//! What a function may use of the machine: limits and requests as they were sent, and the most processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::quantity::{check_cpu, check_memory, check_storage, parse_storage_bytes};
use super::{Invalid, parse_cpu_millis, parse_memory_bytes};

/// The annotation with the most processes and threads of one instance.
const PIDS_LIMIT: &str = "com.openfaas.pids.limit";

/// Fewer are not enough to start a process in a container; Linux knows no more.
const PIDS_LEAST: u32 = 16;
const PIDS_MOST: u32 = 1 << 22;

/// Bounds of what is kept without being read: a whole machine has fewer kinds of devices, Kubernetes knows no longer
/// names, and no quantity is longer.
const OTHERS_MOST: usize = 64;
const NAME_MAX: usize = 317;
const QUANTITY_MAX: usize = 253;

/// Limits or requests, as they were sent: Kubernetes quantities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory, such as `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Cpu, such as `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Space on the machine's disk for what an instance writes, such as `1Gi`.
    #[serde(default, rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<String>,
    /// What vendors name, such as `nvidia.com/gpu`; kept and given back, without effect.
    #[serde(flatten, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, String>,
}

impl Resources {
    /// Quantities by their names; an empty one is as good as none, and none at all are no resources.
    #[must_use]
    pub fn of(mut quantities: BTreeMap<String, String>) -> Option<Self> {
        quantities.retain(|_, quantity| !quantity.is_empty());
        if quantities.is_empty() {
            return None;
        }
        Some(Self {
            memory: quantities.remove("memory"),
            cpu: quantities.remove("cpu"),
            ephemeral_storage: quantities.remove("ephemeral-storage"),
            others: quantities,
        })
    }

    /// The quantities by their names, as [`Resources::of`] takes them.
    #[must_use]
    pub fn quantities(&self) -> BTreeMap<String, String> {
        let known = [("memory", &self.memory), ("cpu", &self.cpu), ("ephemeral-storage", &self.ephemeral_storage)];
        let known = known.into_iter().filter_map(|(name, quantity)| Some((name.to_owned(), quantity.clone()?)));
        known.chain(self.others.clone()).collect()
    }

    /// Whether a resource of this name is a vendor's: only theirs have a domain before the name.
    #[must_use]
    pub fn is_vendors(name: &str) -> bool {
        name.contains('/')
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        self.memory.as_deref().map_or(Ok(()), check_memory)?;
        self.cpu.as_deref().map_or(Ok(()), check_cpu)?;
        self.ephemeral_storage.as_deref().map_or(Ok(()), check_storage)?;
        if self.others.len() > OTHERS_MOST {
            return Err(Invalid(format!("too many kinds of limits or requests: expected at most {OTHERS_MOST}")));
        }
        self.others.iter().try_for_each(|(name, quantity)| check_other(name, quantity))
    }

    /// The memory in bytes, if any is given.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        self.memory.as_deref().and_then(|text| parse_memory_bytes(text).ok())
    }

    /// The space on the machine's disk in bytes, if any is given.
    #[must_use]
    pub fn storage_bytes(&self) -> Option<u64> {
        self.ephemeral_storage.as_deref().and_then(|text| parse_storage_bytes(text).ok())
    }

    /// The cpu in milli-cores, if any is given.
    #[must_use]
    pub fn cpu_millis(&self) -> Option<u64> {
        self.cpu.as_deref().and_then(|text| parse_cpu_millis(text).ok())
    }
}

/// It is never read, but shown in lines and kept in files: a name that is a vendor's, and a quantity in one line.
fn check_other(name: &str, quantity: &str) -> Result<(), Invalid> {
    let wrong = if !Resources::is_vendors(name) {
        "expected memory, cpu, ephemeral-storage or a vendor's, such as nvidia.com/gpu".to_owned()
    } else if name.len() > NAME_MAX || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        format!("expected a name of at most {NAME_MAX} printable ASCII characters without spaces")
    } else if quantity.len() > QUANTITY_MAX || quantity.chars().any(char::is_control) {
        format!("expected a quantity of one line, of at most {QUANTITY_MAX} bytes")
    } else {
        return Ok(());
    };
    Err(Invalid(format!("invalid limit or request {name:?}: {wrong}")))
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
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_sent_is_kept_as_text_and_read_as_numbers() {
        let resources = Resources { memory: Some("1.5Gi".into()), cpu: Some("0.25".into()), ..Resources::default() };
        resources.check().unwrap();
        assert_eq!((resources.memory_bytes(), resources.cpu_millis()), (Some(3 << 29), Some(250)));
        assert_eq!((Resources::default().memory_bytes(), Resources::default().cpu_millis()), (None, None));
        assert!(Resources { cpu: Some("half".into()), ..Resources::default() }.check().is_err());
        let disk = |text: &str| Resources { ephemeral_storage: Some(text.into()), ..Resources::default() };
        assert_eq!((disk("2Gi").check(), disk("2Gi").storage_bytes()), (Ok(()), Some(2 << 30)));
        for slip in ["2", "1Ki", "lots", "500m"] {
            let Invalid(reason) = disk(slip).check().unwrap_err();
            assert!(reason.contains("ephemeral-storage"), "{reason}");
        }
    }

    fn named(name: &str, quantity: &str) -> BTreeMap<String, String> {
        [(name.to_owned(), quantity.to_owned())].into()
    }

    #[test]
    fn what_vendors_name_is_kept_beside_memory_and_cpu_and_what_is_empty_is_not() {
        for (sent, kept) in [
            (json!({}), None),
            (json!({ "memory": "", "amd.com/gpu": "" }), None),
            (json!({ "amd.com/gpu": "1" }), Some(json!({ "amd.com/gpu": "1" }))),
            (
                json!({ "memory": "1Gi", "cpu": "", "ephemeral-storage": "2Gi", "nvidia.com/gpu": "01" }),
                Some(json!({ "memory": "1Gi", "ephemeral-storage": "2Gi", "nvidia.com/gpu": "01" })),
            ),
        ] {
            let quantities: BTreeMap<String, String> = serde_json::from_value(sent.clone()).unwrap();
            let read = Resources::of(quantities);
            assert_eq!(read.as_ref().map(|read| serde_json::to_value(read).unwrap()), kept, "{sent}");
            let Some(read) = read else { continue };
            read.check().unwrap();
            assert_eq!(Resources::of(read.quantities()).as_ref(), Some(&read));
            assert_eq!(serde_json::from_value::<Resources>(kept.unwrap()).unwrap(), read);
        }
    }

    #[test]
    fn what_is_no_vendors_or_without_measure_is_refused_by_its_name() {
        let longest = format!("a/{}", "x".repeat(NAME_MAX - "a/".len()));
        for (name, quantity) in [("a/b", "any text"), (&longest, "1"), ("a/b", &"x".repeat(QUANTITY_MAX))] {
            Resources::of(named(name, quantity)).unwrap().check().unwrap();
        }
        for (name, quantity) in [
            ("memroy", "1Gi"),
            ("Memory", "1Gi"),
            ("a/b c", "1"),
            ("a/\n", "1"),
            ("a/ä", "1"),
            (&format!("{longest}x"), "1"),
            ("a/b", "1\n"),
            ("a/b", &"x".repeat(QUANTITY_MAX + 1)),
        ] {
            let Invalid(reason) = Resources::of(named(name, quantity)).unwrap().check().unwrap_err();
            assert!(reason.contains(&format!("{name:?}")), "{reason}");
        }
        let many = |count| (0..count).map(|n| (format!("a/{n}"), "1".to_owned())).collect();
        Resources::of(many(OTHERS_MOST)).unwrap().check().unwrap();
        assert!(Resources::of(many(OTHERS_MOST + 1)).unwrap().check().is_err());
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
