//! Which OCI runtime makes a function's containers: the machine's default, or one of those that its operator lists.

use std::collections::BTreeSet;

use super::keys::Keys;
use super::name::RuntimeName;
use super::{Invalid, Spec};

/// The annotation that chooses.
const RUNTIME: &str = "actord.runtime";

impl RuntimeName {
    /// actord's own.
    pub const BUILTIN: &str = "builtin";
    /// The `runc` that is found in `PATH`.
    pub const RUNC: &str = "runc";

    /// Whether it needs no path: actord brings it, or it is looked for in `PATH`.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self.as_str(), Self::BUILTIN | Self::RUNC)
    }
}

/// What the function says; none where it says nothing.
pub(super) fn runtime(keys: &mut Keys<'_>) -> Option<RuntimeName> {
    keys.annotation(RUNTIME, |text| text.parse().map_err(|Invalid(_)| "the name of a runtime, such as runc".to_owned()))
}

/// The runtimes that functions may have. The default is always among them: a default that is a sandbox is one that no
/// function can leave, unless the operator lists another runtime beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeNames {
    default: RuntimeName,
    all: BTreeSet<RuntimeName>,
}

impl RuntimeNames {
    /// A default, and those beside it that a function may choose.
    pub fn new(default: RuntimeName, others: impl IntoIterator<Item = RuntimeName>) -> Self {
        let all = others.into_iter().chain([default.clone()]).collect();
        Self { default, all }
    }

    /// The one of functions that do not choose.
    #[must_use]
    pub fn default_name(&self) -> &RuntimeName {
        &self.default
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &RuntimeName> {
        self.all.iter()
    }

    /// The runtime of a function.
    ///
    /// # Errors
    /// [`Invalid`] with those that there are, where it chooses another.
    pub fn of(&self, spec: &Spec) -> Result<RuntimeName, Invalid> {
        let Some(name) = spec.runtime() else { return Ok(self.default.clone()) };
        if self.all.contains(&name) {
            return Ok(name);
        }
        let all = self.all.iter().map(RuntimeName::as_str).collect::<Vec<_>>().join(", ");
        Err(Invalid(format!("annotation {RUNTIME}={name}: this machine has no such runtime, it has {all}")))
    }
}

impl Default for RuntimeNames {
    /// actord's own alone.
    fn default() -> Self {
        Self::new(RuntimeName::default(), [])
    }
}

#[cfg(test)]
mod tests {
    use super::super::SpecDraft;
    use super::*;

    fn of(text: &str) -> SpecDraft {
        let annotations = [(RUNTIME.to_owned(), text.to_owned())].into();
        SpecDraft { image: "i".into(), annotations, ..SpecDraft::default() }
    }

    fn names(default: &str, others: &[&str]) -> RuntimeNames {
        RuntimeNames::new(default.parse().unwrap(), others.iter().map(|name| name.parse().unwrap()))
    }

    #[test]
    fn a_function_has_the_default_or_one_that_is_listed() {
        let silent = Spec::try_from(SpecDraft { image: "i".into(), ..SpecDraft::default() }).unwrap();
        let names = names("runc", &["gvisor"]);
        assert_eq!(names.of(&silent).unwrap().as_str(), "runc");
        for name in ["gvisor", " gvisor ", "runc"] {
            assert_eq!(names.of(&of(name).try_into().unwrap()).unwrap().as_str(), name.trim());
        }
        let Invalid(reason) = names.of(&of("kata").try_into().unwrap()).unwrap_err();
        assert_eq!(reason, "annotation actord.runtime=kata: this machine has no such runtime, it has gvisor, runc");
    }

    #[test]
    fn a_default_that_is_a_sandbox_is_left_only_for_what_is_listed_beside_it() {
        for left in [RuntimeName::RUNC, RuntimeName::BUILTIN] {
            let spec = of(left).try_into().unwrap();
            names("gvisor", &[]).of(&spec).unwrap_err();
            assert_eq!(names("gvisor", &[left]).of(&spec).unwrap().as_str(), left);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_at_the_door_and_counts_as_not_given_where_it_was_accepted_before() {
        for text in ["", "a/b", "../runc", "Runc", "a b"] {
            let Invalid(reason) = Spec::try_from(of(text)).unwrap_err();
            assert!(reason.contains(RUNTIME) && reason.contains("such as runc"), "{reason}");
            assert_eq!(Spec::accepted_before(of(text)).runtime(), None);
        }
    }
}
