//! What a door asks of a spec before it is accepted.

use super::schedule::Timetable;
use crate::function::{Invalid, Spec};

/// Whether this machine knows the zones of a function's schedules: for the door, that a deploy is refused and not a night
/// missed.
///
/// # Errors
/// A sentence about the first one that it does not know.
pub fn check(spec: &Spec) -> Result<(), Invalid> {
    let schedules = spec.schedules().map(|schedules| schedules.each).unwrap_or_default();
    let unknown = schedules.iter().find_map(|schedule| Timetable::new(schedule).err());
    unknown.map_or(Ok(()), |why| Err(Invalid(format!("invalid annotation schedule or schedule.timezone: {why}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::SpecDraft;

    fn checked(annotations: &[(&str, &str)]) -> Result<(), Invalid> {
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let draft = SpecDraft { image: "hello".to_owned(), annotations, ..SpecDraft::default() };
        check(&Spec::try_from(draft).expect("it can be read"))
    }

    #[test]
    fn only_a_zone_that_a_schedule_goes_by_has_to_be_known() {
        let [topic, nowhere] = [("topic", "cron-function"), ("schedule.timezone", "Europe/Nowhere")];
        assert_eq!(checked(&[nowhere]), Ok(()), "nothing is due");
        assert_eq!(checked(&[topic, nowhere, ("schedule", "@every 5m;CRON_TZ=UTC @daily")]), Ok(()));
        let Invalid(why) = checked(&[topic, nowhere, ("schedule", "@daily")]).expect_err("no such zone");
        assert!(why.starts_with("invalid annotation schedule or schedule.timezone: "), "{why}");
        assert!(why.contains("\"Europe/Nowhere\""), "{why}");
    }
}
