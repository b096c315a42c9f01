//! What is asked for: `?name=&namespace=&instance=&tail=&follow=&since=`.

use jiff::{Timestamp, ToSpan as _};

use crate::engine::LogQuery;
use crate::function::{FunctionId, FunctionName, Namespace};

/// How far back an answer goes that neither a time nor a number of lines was asked for.
const SINCE_MINUTES: i64 = 5;

/// A number or a time that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Reads the query of a request that came `now`; none for a name that no function can have. Of a parameter that is given
/// twice the last one counts, an empty one is as good as none.
pub(super) fn parse(pairs: &[(String, String)], now: Timestamp) -> Result<Option<LogQuery>, Unreadable> {
    let given = |key: &str| {
        let value = pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    };
    let function = || {
        let namespace = given("namespace").map_or_else(|| Ok(Namespace::default()), str::parse).ok()?;
        Some(FunctionId::new(given("name")?.parse::<FunctionName>().ok()?, namespace))
    };
    let tail = given("tail").map(str::parse::<i64>).transpose().map_err(|_| Unreadable)?;
    // None and less are no limit: faas-cli sends -1 unless told otherwise.
    let tail = tail.and_then(|lines| u64::try_from(lines).ok()).filter(|lines| *lines > 0);
    let since = given("since").map(str::parse::<Timestamp>).transpose().map_err(|_| Unreadable)?;
    let lately = || now.checked_sub(SINCE_MINUTES.minutes()).ok();
    Ok(function().map(|function| LogQuery {
        function,
        instance: given("instance").map(str::to_owned),
        tail,
        since: if since.is_none() && tail.is_none() { lately() } else { since },
        follow: matches!(given("follow"), Some("1" | "t" | "T" | "true" | "TRUE" | "True")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn parsed(query: &[(&str, &str)]) -> Result<Option<LogQuery>, Unreadable> {
        let pairs: Vec<_> = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        parse(&pairs, NOW)
    }

    #[test]
    fn without_a_time_or_a_number_of_lines_it_goes_back_five_minutes() {
        let five = NOW.checked_sub(5.minutes()).unwrap();
        let time = "2026-01-02T03:04:05+01:00";
        for (query, tail, since) in [
            (vec![], None, Some(five)),
            (vec![("tail", "-1")], None, Some(five)),
            (vec![("tail", "0")], None, Some(five)),
            (vec![("tail", "7")], Some(7), None),
            (vec![("since", time)], None, Some(time.parse().unwrap())),
            (vec![("since", time), ("tail", "7")], Some(7), Some(time.parse().unwrap())),
            (vec![("since", ""), ("tail", "")], None, Some(five)),
        ] {
            let read = parsed(&[query.clone(), vec![("name", "f")]].concat()).unwrap().unwrap();
            assert_eq!((read.tail, read.since), (tail, since), "{query:?}");
        }
    }

    #[test]
    fn the_last_of_a_parameter_counts() {
        let read =
            parsed(&[("name", "a"), ("name", "b"), ("tail", "x"), ("tail", "2"), ("follow", "true"), ("follow", "0")]);
        let read = read.unwrap().unwrap();
        assert_eq!(read.function, "b".parse().unwrap());
        assert_eq!((read.tail, read.follow), (Some(2), false));
    }

    #[test]
    fn what_is_no_number_and_no_time_can_not_be_read() {
        for bad in [("tail", "x"), ("tail", "1.5"), ("since", "yesterday"), ("since", "2026-01-02"), ("since", "5m")] {
            assert_eq!(parsed(&[bad]), Err(Unreadable), "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_no_function_can_have_is_nobodys() {
        for query in [vec![], vec![("name", "a/b")], vec![("name", "a"), ("namespace", "..")]] {
            assert_eq!(parsed(&query).unwrap(), None, "{query:?}");
        }
        let read = parsed(&[("name", "a"), ("namespace", "dev")]).unwrap().unwrap();
        assert_eq!(read.function, "a.dev".parse().unwrap());
    }
}
