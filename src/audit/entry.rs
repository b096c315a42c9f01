//! One entry: who, from where, what, and what came of it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

/// Names only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When it was asked for.
    pub time: Timestamp,
    /// The user, or what the token is called; none: what was sent is known to be neither.
    pub who: Option<String>,
    /// The client's address: the peer's, or what a trusted proxy says.
    pub from: IpAddr,
    /// The method.
    pub method: String,
    /// The route's pattern, or `other`.
    pub route: String,
    /// The namespace that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The function, secret, namespace or token that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The status of its answer; none if the client left before, and what it asked for may have been done.
    pub status: Option<u16>,
}

impl Entry {
    /// `done`, `refused`, `failed` or `left`.
    fn outcome(&self) -> &'static str {
        match self.status {
            None => "left",
            Some(..400) => "done",
            Some(400..500) => "refused",
            Some(_) => "failed",
        }
    }

    /// Its line, with the line's end.
    pub(super) fn line(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(flatten)]
            entry: &'a Entry,
            outcome: &'static str,
        }
        // Texts and numbers have a JSON form.
        let mut line = serde_json::to_vec(&Line { entry: self, outcome: self.outcome() }).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::audit) fn of(name: &str) -> Entry {
        Entry {
            time: Timestamp::UNIX_EPOCH,
            who: Some("t-1".into()),
            from: "192.0.2.1".parse().unwrap(),
            method: "PUT".into(),
            route: "/system/functions".into(),
            namespace: Some("dev".into()),
            name: Some(name.into()),
            status: Some(202),
        }
    }

    #[test]
    fn a_line_says_who_from_where_what_and_what_came_of_it() {
        let line = String::from_utf8(of("a\nb").line()).unwrap();
        let expected = "{\"time\":\"1970-01-01T00:00:00Z\",\"who\":\"t-1\",\"from\":\"192.0.2.1\",\"method\":\"PUT\",\
                        \"route\":\"/system/functions\",\"namespace\":\"dev\",\"name\":\"a\\nb\",\"status\":202,\
                        \"outcome\":\"done\"}\n";
        assert_eq!(line, expected);
        for (status, outcome) in [(Some(200), "done"), (Some(403), "refused"), (Some(507), "failed"), (None, "left")] {
            assert_eq!(Entry { status, ..of("a") }.outcome(), outcome);
        }
    }
}
