//! Programs of 32 bits: a function that has some asks for their way into the kernel, and gets it where the operator lets
//! functions ask.

use super::keys::Keys;
use super::{Invalid, Spec};

/// The annotation that asks.
const COMPAT: &str = "actord.compat-32bit";

/// Whether the function asks for it.
pub(super) fn compat(keys: &mut Keys<'_>) -> bool {
    let read = |text: &str| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false".to_owned()),
    };
    keys.annotation(COMPAT, read).unwrap_or_default()
}

/// Whether functions may ask for the 32-bit way into the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compat32Bit(pub bool);

impl Compat32Bit {
    /// Whether a function has it: if it asks.
    ///
    /// # Errors
    /// [`Invalid`] where it asks and may not.
    pub fn of(self, spec: &Spec) -> Result<bool, Invalid> {
        match spec.compat_32bit() {
            true if !self.0 => Err(Invalid(format!(
                "annotation {COMPAT}: this machine runs no programs of 32 bits: the setting compat-32bit lets functions ask"
            ))),
            asked => Ok(asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SpecDraft;
    use super::*;

    fn of(text: &str) -> SpecDraft {
        let annotations = [(COMPAT.to_owned(), text.to_owned())].into();
        SpecDraft { image: "i".into(), annotations, ..SpecDraft::default() }
    }

    #[test]
    fn a_function_has_it_if_it_asks_and_the_operator_lets_functions_ask() {
        let silent = Spec::try_from(SpecDraft { image: "i".into(), ..SpecDraft::default() }).unwrap();
        for lets in [true, false] {
            assert_eq!(Compat32Bit(lets).of(&silent), Ok(false));
            assert_eq!(Compat32Bit(lets).of(&of("false").try_into().unwrap()), Ok(false));
        }
        let asks = of(" true ").try_into().unwrap();
        assert_eq!(Compat32Bit(true).of(&asks), Ok(true));
        let Invalid(why) = Compat32Bit::default().of(&asks).unwrap_err();
        assert!(why.contains(COMPAT) && why.contains("the setting compat-32bit"), "{why}");
    }

    #[test]
    fn what_is_neither_true_nor_false_is_refused_at_the_door_and_opens_nothing_where_it_was_accepted_before() {
        for text in ["", "yes", "1", "True"] {
            let Invalid(reason) = Spec::try_from(of(text)).unwrap_err();
            assert!(reason.contains(COMPAT) && reason.contains("true or false"), "{reason}");
            assert!(!Spec::accepted_before(of(text)).compat_32bit(), "{text}");
        }
    }
}
