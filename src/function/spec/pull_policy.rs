//! When a registry is asked for an image: the machine's setting, or the annotation of the function whose image it is.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::Invalid;

/// The annotation that goes before the machine's setting.
const ANNOTATION: &str = "com.openfaas.image.pull-policy";

/// When to ask the registry for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PullPolicy {
    /// On every deploy and update: a tag may have moved.
    Always,
    /// Only when the machine does not have it.
    #[default]
    IfNotPresent,
    /// Never: an image that is not there is an error.
    Never,
}

impl FromStr for PullPolicy {
    type Err = Invalid;

    /// In any case, with or without hyphens: `IfNotPresent` and `if-not-present` are the same.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.trim().replace('-', "").to_ascii_lowercase().as_str() {
            "always" => Ok(Self::Always),
            "ifnotpresent" => Ok(Self::IfNotPresent),
            "never" => Ok(Self::Never),
            _ => Err(Invalid("expected always, if-not-present or never".to_owned())),
        }
    }
}

/// What a function's annotations say about it, if anything.
///
/// # Errors
/// [`Invalid`] with the annotation and the rule.
pub(super) fn annotated(annotations: &BTreeMap<String, String>) -> Result<Option<PullPolicy>, Invalid> {
    let Some(text) = annotations.get(ANNOTATION) else { return Ok(None) };
    let refused = |Invalid(rule)| Invalid(format!("invalid annotation {ANNOTATION}={text:?}: {rule}"));
    text.parse().map(Some).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<PullPolicy>, Invalid> {
        annotated(&BTreeMap::from([(ANNOTATION.to_owned(), text.to_owned())]))
    }

    #[test]
    fn the_policy_is_read_in_any_case_and_with_or_without_hyphens() {
        for (text, policy) in [
            ("Always", PullPolicy::Always),
            ("always", PullPolicy::Always),
            ("IfNotPresent", PullPolicy::IfNotPresent),
            ("if-not-present", PullPolicy::IfNotPresent),
            ("IFNOTPRESENT", PullPolicy::IfNotPresent),
            (" never ", PullPolicy::Never),
        ] {
            assert_eq!(of(text), Ok(Some(policy)), "{text:?}");
        }
        assert_eq!(annotated(&BTreeMap::new()), Ok(None));
    }

    #[test]
    fn garbage_is_refused_by_the_name_of_its_annotation() {
        for text in ["", "sometimes", "always never", "true"] {
            let Invalid(reason) = of(text).unwrap_err();
            assert!(reason.contains(ANNOTATION) && reason.contains("never"), "{reason}");
        }
    }
}
