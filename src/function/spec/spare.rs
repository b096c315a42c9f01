//! How many instances are kept beyond those that are asked for, to take over when one dies.

use super::keys::{Keys, whole};

const SPARE: &str = "actord.spare";

/// Each one takes the memory of an instance: more than a few are a typing error.
const SPARE_MAX: u32 = 4;

/// What the function says; none where it says nothing.
pub(super) fn spare(keys: &mut Keys<'_>) -> u32 {
    keys.annotation(SPARE, whole(0, SPARE_MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::spec::SpecDraft;

    #[test]
    fn a_few_can_be_asked_for_and_anything_else_is_refused_by_its_name() {
        let of = |text: &str| SpecDraft {
            annotations: [(SPARE.to_owned(), text.to_owned())].into(),
            ..SpecDraft::default()
        };
        assert_eq!(spare(&mut Keys::of(&SpecDraft::default())), 0);
        for (text, count) in [("0", 0), ("1", 1), (" 4 ", 4)] {
            assert_eq!(spare(&mut Keys::of(&of(text))), count, "{text:?}");
        }
        for text in ["", "5", "-1", "one", "1.0"] {
            let draft = of(text);
            let mut keys = Keys::of(&draft);
            assert_eq!(spare(&mut keys), 0);
            let reason = keys.fault().unwrap_err().to_string();
            assert!(reason.contains(SPARE) && reason.contains("0 to 4"), "{reason}");
        }
    }
}
