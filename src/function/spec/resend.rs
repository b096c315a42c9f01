//! Whether a request may be sent a second time when its connection broke before an answer.

use std::collections::BTreeMap;

use super::Invalid;

const ANNOTATION: &str = "actord.resend";

/// What a function's annotations say; yes if they say nothing.
///
/// # Errors
/// [`Invalid`] for a value that is neither true nor false.
pub(super) fn annotated(annotations: &BTreeMap<String, String>) -> Result<bool, Invalid> {
    match annotations.get(ANNOTATION).map(|text| text.trim()) {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(text) => Err(Invalid(format!("invalid annotation {ANNOTATION}={text:?}: expected true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_true_or_false_and_anything_else_is_refused_by_its_name() {
        let of = |text: &str| annotated(&BTreeMap::from([(ANNOTATION.to_owned(), text.to_owned())]));
        assert_eq!(annotated(&BTreeMap::new()), Ok(true));
        for (text, resend) in [("true", true), ("false", false), (" false ", false)] {
            assert_eq!(of(text), Ok(resend), "{text:?}");
        }
        for text in ["", "no", "False", "0", "true false"] {
            let Invalid(reason) = of(text).unwrap_err();
            assert!(reason.contains(ANNOTATION) && reason.contains("true or false"), "{reason}");
        }
    }
}
