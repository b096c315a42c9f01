//! How long a server asks to be left alone: `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3). Pure.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The wait that an answer's fields ask for, if they ask for any. A date counts from the answer's own, where it has one:
/// the server's clock may be wrong.
pub(crate) fn read(fields: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let asked = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(asked.parse().unwrap_or(u64::MAX)));
    }
    let then = httpdate::parse_http_date(asked).ok()?;
    let sent = fields.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    Some(then.duration_since(sent.unwrap_or(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (asked, date, expected) in [
            ("9", None, Some(9)),
            (" 9 ", None, Some(9)),
            ("0", None, Some(0)),
            ("99999999999999999999999", None, Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:46 GMT", None, Some(9)),
            ("Sunday, 06-Nov-94 08:49:46 GMT", None, Some(9)),
            ("Sun Nov  6 08:49:46 1994", None, Some(9)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", None, Some(0)),
            ("Sun, 06 Nov 1994 08:49:46 GMT", Some("Sun, 06 Nov 1994 08:49:40 GMT"), Some(6)),
            ("Sun, 06 Nov 1994 08:49:46 GMT", Some("today"), Some(9)),
            ("-1", None, None),
            ("1.5", None, None),
            ("soon", None, None),
            ("", None, None),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(RETRY_AFTER, HeaderValue::from_static(asked));
            if let Some(date) = date {
                fields.insert(DATE, HeaderValue::from_static(date));
            }
            assert_eq!(read(&fields, now), expected.map(Duration::from_secs), "{asked}");
        }
        assert_eq!(read(&HeaderMap::new(), now), None);
    }
}
