//! Rights of root that a function asks for, one by one: the kernel's capabilities. It has none that it does not ask for, and
//! may ask only for those that the operator lists.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::keys::Keys;
use super::{Invalid, Spec};

/// The annotation that asks.
const CAPABILITIES: &str = "actord.capabilities";

/// How the kernel's headers begin each name.
const PREFIX: &str = "CAP_";

/// What the kernel knows, without the prefix, as of Linux 5.9.
const NAMES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// One of the kernel's capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(&'static str);

impl Capability {
    /// Its name in capitals, without `CAP_`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl FromStr for Capability {
    type Err = Invalid;

    /// Reads a name in any case, with or without `CAP_`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix(PREFIX).unwrap_or(&upper);
        let known = NAMES.iter().find(|known| **known == name);
        known.map(|known| Self(known)).ok_or_else(|| Invalid("expected a capability such as CHOWN or CAP_CHOWN".into()))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What the function asks for.
pub(super) fn capabilities(keys: &mut Keys<'_>) -> BTreeSet<Capability> {
    let read = |text: &str| {
        let names = text.split(',').map(str::parse).collect::<Result<_, Invalid>>();
        names.map_err(|_| "names of capabilities such as CHOWN,SETUID".to_owned())
    };
    keys.annotation(CAPABILITIES, read).unwrap_or_default()
}

/// The capabilities that functions may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantableCapabilities(BTreeSet<Capability>);

impl GrantableCapabilities {
    /// Those that the operator lists.
    pub fn new(listed: impl IntoIterator<Item = Capability>) -> Self {
        Self(listed.into_iter().collect())
    }

    /// The capabilities of a function: those that it asks for.
    ///
    /// # Errors
    /// [`Invalid`] with those that there are, where it asks for another.
    pub fn of(&self, spec: &Spec) -> Result<BTreeSet<Capability>, Invalid> {
        let asked = spec.capabilities();
        let Some(refused) = asked.difference(&self.0).next() else { return Ok(asked) };
        let all = self.0.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", ");
        let all = if all.is_empty() { "none".to_owned() } else { all };
        Err(Invalid(format!(
            "annotation {CAPABILITIES}: this machine does not grant {refused}, it grants {all}: the setting capabilities \
             lists them"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::SpecDraft;
    use super::*;

    fn of(text: &str) -> SpecDraft {
        let annotations = [(CAPABILITIES.to_owned(), text.to_owned())].into();
        SpecDraft { image: "i".into(), annotations, ..SpecDraft::default() }
    }

    fn grantable(names: &[&str]) -> GrantableCapabilities {
        GrantableCapabilities::new(names.iter().map(|name| name.parse().unwrap()))
    }

    fn granted(listed: &[&str], text: &str) -> Vec<&'static str> {
        let spec = of(text).try_into().unwrap();
        grantable(listed).of(&spec).unwrap().into_iter().map(Capability::as_str).collect()
    }

    #[test]
    fn a_function_has_what_it_asks_for_of_what_is_listed_and_nothing_that_it_does_not_ask_for() {
        let listed = ["CHOWN", "cap_setuid", "NET_RAW"];
        let silent = Spec::try_from(SpecDraft { image: "i".into(), ..SpecDraft::default() }).unwrap();
        assert_eq!(grantable(&listed).of(&silent), Ok(BTreeSet::new()));
        assert_eq!(granted(&listed, "CHOWN"), ["CHOWN"]);
        assert_eq!(granted(&listed, " CAP_SETUID , chown,CHOWN"), ["CHOWN", "SETUID"]);
    }

    #[test]
    fn one_that_is_not_listed_is_refused_with_those_that_are() {
        let told = |listed: &[&str]| {
            let spec = of("CHOWN,SYS_ADMIN").try_into().unwrap();
            grantable(listed).of(&spec).unwrap_err().0
        };
        let begin = "annotation actord.capabilities: this machine does not grant";
        let end = "the setting capabilities lists them";
        assert_eq!(told(&["SETUID", "CHOWN"]), format!("{begin} SYS_ADMIN, it grants CHOWN, SETUID: {end}"));
        assert_eq!(told(&[]), format!("{begin} CHOWN, it grants none: {end}"));
    }

    #[test]
    fn what_is_no_capability_is_refused_at_the_door_and_grants_nothing_where_it_was_accepted_before() {
        for text in ["", "ALL", "CHOWN,", "CHOWN SETUID", "CAP_CAP_CHOWN", "CAP_", "0"] {
            let Invalid(reason) = Spec::try_from(of(text)).unwrap_err();
            assert!(reason.contains(CAPABILITIES) && reason.contains("such as CHOWN,SETUID"), "{reason}");
            assert_eq!(Spec::accepted_before(of(text)).capabilities(), BTreeSet::new(), "{text}");
        }
    }
}
