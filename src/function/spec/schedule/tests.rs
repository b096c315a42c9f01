use super::*;
use crate::function::spec::{Invalid, SpecDraft};

fn draft(annotations: &[(&str, &str)]) -> SpecDraft {
    let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    SpecDraft { annotations, ..SpecDraft::default() }
}

fn read(annotations: &[(&str, &str)]) -> Result<Option<Schedules>, String> {
    let draft = draft(annotations);
    let mut keys = Keys::of(&draft);
    let read = schedules(&mut keys);
    keys.fault().map_err(|Invalid(why)| why)?;
    Ok(read)
}

fn each(text: &str) -> Vec<Schedule> {
    read(&[(TOPIC, CRON_TOPIC), (SCHEDULE, text)]).expect(text).expect("it is called by the clock").each
}

#[test]
fn only_the_topic_of_cron_makes_a_schedule() {
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[(SCHEDULE, "soon")]), Ok(None));
    assert_eq!(read(&[(TOPIC, "payments"), (SCHEDULE, "soon"), (MISSED, "often")]), Ok(None));
    assert_eq!(read(&[(TOPIC, "cron-functions"), (SCHEDULE, "soon")]), Ok(None));
    for topic in ["cron-function", " cron-function ", "payments, cron-function"] {
        let read = read(&[(TOPIC, topic), (SCHEDULE, "@hourly")]).expect(topic);
        assert!(read.is_some(), "{topic}");
    }
}

#[test]
fn words_and_five_fields_mean_the_same() {
    for (word, fields) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@Hourly", "0 * * * *"),
    ] {
        assert_eq!(each(word)[0].when, each(fields)[0].when, "{word}");
        assert_eq!(each(word)[0].text, word);
    }
}

#[test]
fn every_so_often_is_in_whole_seconds_from_one_on() {
    for (text, seconds) in [("@every 90s", 90), ("@every 1h30m", 5400), ("@every  2", 2), ("@EVERY 1.5s", 1)] {
        assert_eq!(each(text)[0].when, When::Every(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["@every", "@every 0", "@every 999ms", "@every day", "@every -5s", "@every 9000h", "@every90s"] {
        let why = read(&[(TOPIC, CRON_TOPIC), (SCHEDULE, text)]).expect_err(text);
        assert!(why.contains("expected @every"), "{why}");
    }
}

#[test]
fn several_stand_beside_each_other_and_the_same_one_counts_once() {
    let found = each("0 8 * * *; 0 20 * * * ;@every 5m;0 8 * * *;");
    let texts: Vec<_> = found.iter().map(|schedule| schedule.text.as_str()).collect();
    assert_eq!(texts, ["0 8 * * *", "0 20 * * *", "@every 5m"]);
    let many = (0..=MOST).map(|minute| format!("{minute} * * * *")).collect::<Vec<_>>().join(";");
    let why = read(&[(TOPIC, CRON_TOPIC), (SCHEDULE, &many)]).expect_err("too many");
    assert!(why.contains("more than 32 schedules"), "{why}");
}

#[test]
fn a_zone_of_its_own_goes_before_the_functions_and_that_before_utc() {
    let zones = |annotations: &[(&str, &str)]| -> Vec<String> {
        let all =
            [&[(TOPIC, CRON_TOPIC), (SCHEDULE, "0 8 * * *;CRON_TZ=Asia/Tokyo 0 8 * * *;TZ=UTC @daily")], annotations]
                .concat();
        let found = read(&all).expect("zones").expect("schedules");
        found.each.into_iter().map(|schedule| schedule.zone).collect()
    };
    assert_eq!(zones(&[]), ["UTC", "Asia/Tokyo", "UTC"]);
    assert_eq!(zones(&[(TIMEZONE, "Europe/Berlin")]), ["Europe/Berlin", "Asia/Tokyo", "UTC"]);
}

#[test]
fn in_another_zone_it_is_another_schedule_and_every_so_often_has_none() {
    let keys = |text| each(text).iter().map(Schedule::key).collect::<Vec<_>>();
    assert_eq!(
        keys("0 8 * * *;CRON_TZ=Asia/Tokyo 0 8 * * *;CRON_TZ=Asia/Tokyo @every 5m;@every 5m"),
        ["0 8 * * *", "CRON_TZ=Asia/Tokyo 0 8 * * *", "@every 5m"]
    );
}

#[test]
fn rules_are_read_and_have_defaults() {
    let rules = |annotations: &[(&str, &str)]| {
        let read = read(&[&[(TOPIC, CRON_TOPIC), (SCHEDULE, "@daily")], annotations].concat()).expect("rules");
        read.map(|read| (read.missed, read.overlap))
    };
    assert_eq!(rules(&[]), Some((Missed::None, Overlap::Allow)));
    assert_eq!(rules(&[(MISSED, "run-once"), (OVERLAP, "skip")]), Some((Missed::RunOnce, Overlap::Skip)));
    assert_eq!(rules(&[(MISSED, "none"), (OVERLAP, "allow")]), Some((Missed::None, Overlap::Allow)));
}

#[test]
fn what_can_not_be_read_is_refused_with_its_annotation() {
    for (annotations, expected) in [
        (&[][..], "no annotation schedule: the topic cron-function asks for one"),
        (&[(SCHEDULE, "")], "invalid annotation schedule=\"\": \"\" has 0 of the five fields"),
        (&[(SCHEDULE, "@daily;;@hourly")], "has 0 of the five fields"),
        (&[(SCHEDULE, "0 0 * * *;0 25 * * *")], "the field hour of \"0 25 * * *\" is \"25\""),
        (&[(SCHEDULE, "@reboot")], "@reboot is no time"),
        (&[(SCHEDULE, "@often")], "\"@often\" is not known: expected @every and a time, or @yearly"),
        (&[(SCHEDULE, "@daily twice")], "\"@daily twice\" is not known"),
        (&[(SCHEDULE, "CRON_TZ=../x @daily")], "\"../x\" is no name of a time zone"),
        (&[(SCHEDULE, "CRON_TZ= @daily")], "\"\" is no name of a time zone"),
        (&[(SCHEDULE, "CRON_TZ=UTC")], "has 0 of the five fields"),
        (&[(SCHEDULE, "@daily"), (TIMEZONE, "not a zone")], "invalid annotation schedule.timezone=\"not a zone\""),
        (
            &[(SCHEDULE, "@daily"), (MISSED, "twice")],
            "invalid annotation schedule.missed=\"twice\": expected none or run-once",
        ),
        (
            &[(SCHEDULE, "@daily"), (OVERLAP, "no")],
            "invalid annotation schedule.overlap=\"no\": expected allow or skip",
        ),
    ] {
        let why = read(&[&[(TOPIC, CRON_TOPIC)], annotations].concat()).expect_err(expected);
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn of_a_spec_that_was_accepted_before_what_can_not_be_read_counts_as_not_given() {
    let bad = draft(&[(TOPIC, CRON_TOPIC), (SCHEDULE, "soon")]);
    assert_eq!(schedules(&mut Keys::of(&bad)), None);
    let rule = draft(&[(TOPIC, CRON_TOPIC), (SCHEDULE, "@daily"), (OVERLAP, "no"), (TIMEZONE, "?")]);
    let read = schedules(&mut Keys::of(&rule)).expect("the schedule holds");
    assert_eq!((read.overlap, read.each[0].zone.as_str()), (Overlap::Allow, "UTC"));
}
