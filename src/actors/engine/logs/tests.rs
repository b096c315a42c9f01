//! The reading of logs against the plainest way to do it: all lines of all logs, sorted, filtered, and cut.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::cursor::LINE_MAX;
use super::reader::Reader;
use crate::engine::LogQuery;
use crate::function::{FunctionId, InstanceId};
use crate::host::fake::{FakeHost, Method};

/// What one instance wrote, piece by piece, each some seconds after the one before.
type Story = Vec<(u8, Vec<u8>)>;

fn function() -> FunctionId {
    "f".parse().unwrap()
}

fn instance(number: usize) -> InstanceId {
    format!("f-{number}").parse().unwrap()
}

fn time(second: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(second).unwrap())
}

/// The whole answer: instance, second and text of each line.
async fn answer(host: &FakeHost, query: &LogQuery) -> Vec<(String, u64, String)> {
    let mut reader = Reader::open(host.host().logs, query.clone()).await.unwrap();
    let mut lines = Vec::new();
    loop {
        let batch = reader.batch().await.unwrap();
        if batch.is_empty() {
            return lines;
        }
        for line in batch {
            lines.push((line.instance.to_string(), u64::try_from(line.time.as_second()).unwrap(), line.text));
        }
    }
}

fn query(tail: Option<u64>, since: Option<Timestamp>) -> LogQuery {
    LogQuery { function: function(), instance: None, tail, since, follow: false }
}

fn host_with(stories: &[(Story, bool)]) -> FakeHost {
    let host = FakeHost::new();
    for (number, (story, ended)) in stories.iter().enumerate() {
        let (id, mut now) = (instance(number), 0);
        host.begin_log(&id, &function());
        for (later, bytes) in story {
            now += u64::from(*later);
            host.write_log(&id, bytes, time(now));
        }
        if *ended {
            host.end_log(&id);
        }
    }
    host
}

/// All lines of one log.
fn lines(id: &InstanceId, story: &Story, ended: bool) -> Vec<(String, u64, String)> {
    let (mut lines, mut line, mut begun, mut now) = (Vec::new(), Vec::new(), None, 0);
    for (later, bytes) in story {
        now += u64::from(*later);
        for byte in bytes {
            let first = *begun.get_or_insert(now);
            if *byte == b'\n' {
                let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
                lines.push((id.to_string(), first, text));
                (line, begun) = (Vec::new(), None);
            } else {
                line.push(*byte);
            }
        }
    }
    if let Some(first) = begun.filter(|_| ended) {
        lines.push((id.to_string(), first, String::from_utf8_lossy(&line).into_owned()));
    }
    lines
}

fn stories() -> impl Strategy<Value = Vec<(Story, bool)>> {
    let byte = prop_oneof![3 => Just(b'\n'), 1 => Just(b'\r'), 1 => Just(0xff), 6 => b'a'..=b'z'];
    let write = (0_u8..3, prop::collection::vec(byte, 0..20));
    prop::collection::vec((prop::collection::vec(write, 0..12), any::<bool>()), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_logs_are_read_as_if_all_lines_were_sorted_filtered_and_cut(
        stories in stories(),
        tail in prop::option::of(1_u64..12),
        since in prop::option::of(0_u64..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let host = host_with(&stories);
        let mut wanted: Vec<_> = stories
            .iter()
            .enumerate()
            .flat_map(|(number, (story, ended))| lines(&instance(number), story, *ended))
            .filter(|(_, at, _)| since.is_none_or(|since| *at >= since))
            .collect();
        wanted.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        let cut = wanted.len().saturating_sub(tail.map_or(usize::MAX, |tail| usize::try_from(tail).unwrap()));
        let query = query(tail, since.map(time));
        for _ in 0..2 {
            prop_assert_eq!(runtime.block_on(answer(&host, &query)), &wanted[cut..], "tail {:?}, since {:?}", tail, since);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_comes_in_parts_of_which_nothing_is_lost_and_no_character_is_cut() {
    for (shift, ended) in [(0, true), (1, true), (2, false), (3, false)] {
        let long = format!("{}{}", "x".repeat(shift), "ä€😀".repeat(40_000));
        let story = vec![(1, format!("before\n{long}\nafter\n").into_bytes())];
        let host = host_with(&[(story, ended)]);
        let texts: Vec<String> = answer(&host, &query(None, None)).await.into_iter().map(|line| line.2).collect();
        assert_eq!((texts[0].as_str(), texts.last().unwrap().as_str()), ("before", "after"));
        assert!(texts.len() >= 2 + long.len() / LINE_MAX && texts.iter().all(|text| text.len() <= LINE_MAX));
        assert_eq!(texts[1..texts.len() - 1].concat(), long);
        let last: Vec<String> = answer(&host, &query(Some(2), None)).await.into_iter().map(|line| line.2).collect();
        assert_eq!(last.concat(), format!("{long}after"), "it is one line to those who count");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_lines_are_found_without_reading_the_rest() {
    let line = "a line of forty characters, more or less\n";
    let host = host_with(&[(vec![(1, line.repeat(200_000).into_bytes())], false)]);
    assert_eq!(answer(&host, &query(Some(3), None)).await.len(), 3);
    assert!(host.count(Method::LogsRead) <= 3, "{} reads of a log of 8 MB", host.count(Method::LogsRead));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_while_it_is_read_is_passed_over() {
    let host = host_with(&[(vec![(1, "0123456\n".repeat(100_000).into_bytes())], false)]);
    let mut reader = Reader::open(host.host().logs, query(None, None)).await.unwrap();
    let first = reader.batch().await.unwrap();
    host.shorten_log(&instance(0), 8 * 99_990);
    let mut rest = Vec::new();
    loop {
        let batch = reader.batch().await.unwrap();
        if batch.is_empty() {
            break;
        }
        rest.extend(batch);
    }
    let (first, rest) = (first.len(), rest.len());
    assert!(first > 0 && rest >= 10 && first + rest < 30_000, "{rest}");
    host.remove_log(&instance(0));
    let kept = reader.look().await.unwrap();
    reader.update(&kept, true);
    assert!(reader.batch().await.unwrap().is_empty());
    assert!(answer(&host, &query(Some(1), None)).await.is_empty());
}
