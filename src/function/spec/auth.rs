//! Whether a call of the function needs a token.

use std::collections::BTreeMap;

use super::Invalid;

const ANNOTATION: &str = "actord.auth";

/// What a function's annotations say; no if they say nothing.
///
/// # Errors
/// [`Invalid`] for any other value than `token`: a typing error must not leave the function open.
pub(super) fn annotated(annotations: &BTreeMap<String, String>) -> Result<bool, Invalid> {
    match annotations.get(ANNOTATION).map(|text| text.trim()) {
        None => Ok(false),
        Some("token") => Ok(true),
        Some(text) => Err(Invalid(format!(
            "invalid annotation {ANNOTATION}={text:?}: expected token, or no such annotation for a function that all may call"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_token_or_not_there_and_anything_else_is_refused_by_its_name() {
        let of = |text: &str| annotated(&BTreeMap::from([(ANNOTATION.to_owned(), text.to_owned())]));
        assert_eq!(annotated(&BTreeMap::new()), Ok(false));
        assert_eq!((of("token"), of(" token ")), (Ok(true), Ok(true)));
        for text in ["", "none", "Token", "basic", "true", "tokens"] {
            let Invalid(reason) = of(text).unwrap_err();
            assert!(reason.contains(ANNOTATION) && reason.contains("expected token"), "{reason}");
        }
    }
}
