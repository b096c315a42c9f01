//! Keys that are read from a function's labels or annotations, and what is said of those that can't be read.
//!
//! ```text
//! com.openfaas.scale.*   label, else annotation
//! actord.*               annotation
//! ```
//! Everything that can be read is read, and the first fault is noted. The door refuses a spec with a fault; of a spec that
//! was accepted before the key had a rule, the default holds instead.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Invalid, SpecDraft, parse_duration};

/// The keys of one spec.
#[derive(Debug)]
pub(super) struct Keys<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    fault: Option<Invalid>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(spec: &'a SpecDraft) -> Self {
        Self { labels: &spec.labels, annotations: &spec.annotations, fault: None }
    }

    /// The first thing that was wrong with a key that was read.
    pub(super) fn fault(self) -> Result<(), Invalid> {
        self.fault.map_or(Ok(()), Err)
    }

    /// Notes that something is wrong; the first one is told.
    pub(super) fn refuse(&mut self, why: String) {
        self.fault.get_or_insert(Invalid(why));
    }

    /// The value of a label or annotation, as `parse` reads it; none if there is none or it can't be read.
    pub(super) fn label<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match self.labels.get(key) {
            Some(text) => self.read("label", key, text, parse),
            None => self.annotation(key, parse),
        }
    }

    /// The value of an annotation, as `parse` reads it; none if there is none or it can't be read.
    pub(super) fn annotation<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.read("annotation", key, self.annotations.get(key)?, parse)
    }

    fn read<T>(
        &mut self,
        kind: &str,
        key: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let read = parse(text.trim());
        read.map_err(|expected| self.refuse(format!("invalid {kind} {key}={text:?}: expected {expected}"))).ok()
    }
}

/// Reads a whole number from `least` to `most`.
pub(super) fn whole(least: u32, most: u32) -> impl FnOnce(&str) -> Result<u32, String> {
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("a number from {least} to {most}"))
    }
}

/// Reads a decimal number above 0, at most `most`.
pub(super) fn decimal(text: &str, most: f64) -> Result<f64, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.parse().ok().filter(|number| plain && *number > 0.0 && *number <= most);
    number.ok_or_else(|| format!("a number above 0, at most {most}"))
}

/// Reads a time as Go writes it, from `least` to `most`.
pub(super) fn time(least: Duration, most: Duration) -> impl FnOnce(&str) -> Result<Duration, String> {
    move |text| {
        let time = parse_duration(text).ok().filter(|time| (least..=most).contains(time));
        let from = if least.is_zero() { String::new() } else { format!("from {least:?} ") };
        time.ok_or_else(|| format!("a time such as 90s, 15m or 1h30m, {from}to {}h", most.as_secs() / 3600))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A function with these labels and annotations.
    pub(in crate::function::spec) fn draft(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> SpecDraft {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SpecDraft { labels: map(labels), annotations: map(annotations), ..SpecDraft::default() }
    }

    #[test]
    fn a_label_goes_before_the_annotation_of_the_same_name_even_if_it_can_not_be_read() {
        for (labels, annotations, read) in [
            (&[][..], &[][..], None),
            (&[("k", "1")], &[("k", "2")], Some(1)),
            (&[], &[("k", " 2 ")], Some(2)),
            (&[("k", "x")], &[("k", "2")], None),
        ] {
            assert_eq!(Keys::of(&draft(labels, annotations)).label("k", whole(0, 9)), read, "{labels:?}");
            let alone = annotations.first().map(|_| 2);
            assert_eq!(Keys::of(&draft(labels, annotations)).annotation("k", whole(0, 9)), alone, "{annotations:?}");
        }
    }

    #[test]
    fn the_first_fault_is_told_with_key_value_and_what_is_expected_and_the_rest_is_read_all_the_same() {
        let draft = draft(&[("a", "many"), ("b", "3")], &[("c", "soon")]);
        let mut keys = Keys::of(&draft);
        assert_eq!(keys.label("a", whole(1, 9)), None);
        assert_eq!(keys.label("c", time(Duration::from_secs(1), Duration::from_secs(7200))), None);
        assert_eq!(keys.label("b", whole(1, 9)), Some(3));
        let Invalid(reason) = keys.fault().unwrap_err();
        assert_eq!(reason, "invalid label a=\"many\": expected a number from 1 to 9");
        let mut keys = Keys::of(&draft);
        keys.annotation("c", time(Duration::from_secs(1), Duration::from_secs(7200)));
        let Invalid(reason) = keys.fault().unwrap_err();
        assert_eq!(reason, "invalid annotation c=\"soon\": expected a time such as 90s, 15m or 1h30m, from 1s to 2h");
    }

    #[test]
    fn numbers_and_times_are_read_within_their_bounds_and_nothing_else_is() {
        for text in ["", "0", "10", "-1", "1.0", "+ 1", "0x1"] {
            assert!(whole(1, 9)(text).is_err(), "{text}");
        }
        for (text, number) in [("1", 1.0), ("0.5", 0.5), (".5", 0.5), ("9.", 9.0)] {
            assert_eq!(decimal(text, 9.0), Ok(number), "{text}");
        }
        for text in ["", "0", "0.0", "9.1", "-1", "1e0", "inf", "NaN", "1,5", "."] {
            assert!(decimal(text, 9.0).is_err(), "{text}");
        }
        let seconds = Duration::from_secs;
        for (text, read) in [("1h30m", Some(5400)), ("90", Some(90)), ("2h", Some(7200)), ("2h1s", None), ("0", None)] {
            assert_eq!(time(seconds(1), seconds(7200))(text).ok(), read.map(seconds), "{text}");
        }
    }
}
