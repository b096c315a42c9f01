//! What an answer has to be: its status, its content type, its body to the byte, and no header that nobody asked for.

use crate::raw_client::Answer;

/// The headers that say how an answer is framed, what follows it, and when and of what type it is.
const COMMON: [&str; 5] = ["connection", "content-length", "content-type", "date", "transfer-encoding"];

/// An answer that is due.
pub(super) enum Expected {
    /// This status, and no body.
    Bare(u16),
    /// 200 with this JSON.
    Json(String),
    /// 200 with this line of a log.
    Log(String),
    /// This status with this line of plain text, as Go's `http.Error` writes it.
    Line(u16, &'static str),
    /// 202 with an id of the call, and no body.
    Accepted,
    /// 200 with the function's own answer, which names no content type: its body.
    Called(&'static str),
}

impl Expected {
    /// Panics if this is not what came; `request` says of what.
    pub(super) fn compare(&self, answer: &Answer, request: &str) {
        let (status, content_type, body, headers): (_, _, _, &[_]) = match self {
            Self::Bare(status) => (*status, None, String::new(), &[]),
            Self::Json(json) => (200, Some("application/json"), json.clone(), &[]),
            Self::Log(line) => (200, Some("application/x-ndjson"), format!("{line}\n"), &[]),
            Self::Line(status, line) => {
                (*status, Some("text/plain; charset=utf-8"), format!("{line}\n"), &["x-content-type-options"])
            }
            Self::Accepted => (202, None, String::new(), &["x-call-id"]),
            Self::Called(body) => (200, None, (*body).to_owned(), &["x-call-id", "x-served-by", "x-start-time"]),
        };
        let came = (answer.status, answer.header("content-type"), answer.text());
        assert_eq!(came, (status, content_type, body), "{request}");
        assert_eq!(uncommon(answer), headers, "{request}: {answer:?}");
        for name in headers {
            let value = answer.header(name).unwrap();
            assert!(is_sound(name, value), "{request}: {name}: {value}");
        }
    }
}

/// The names of an answer's further headers, sorted.
fn uncommon(answer: &Answer) -> Vec<String> {
    let lines = answer.head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let names = lines.map(|(name, _)| name.to_ascii_lowercase()).filter(|name| !COMMON.contains(&name.as_str()));
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

fn is_sound(name: &str, value: &str) -> bool {
    match name {
        "x-content-type-options" => value == "nosniff",
        "x-served-by" => value == concat!("actord/", env!("CARGO_PKG_VERSION")),
        "x-call-id" => value.split('-').map(str::len).eq([8, 4, 4, 4, 12]),
        // Nanoseconds since 1970.
        "x-start-time" => value.parse().is_ok_and(|start: u64| start > 1_700_000_000_000_000_000),
        _ => false,
    }
}
