//! The headers of a call that comes from elsewhere: what the door would have kept of them, whoever wrote the file.

use crate::credentials::looks_like_token;
use crate::queue::head::{CHAIN, Head, is_of_one_hop};
use crate::queue::redact;

/// Whether a value may leave this machine without being asked for: one of which the API shows all.
pub(super) fn may_leave(name: &str, value: &[u8]) -> bool {
    redact::value(name, value, looks_like_token).is_some_and(|shown| shown == String::from_utf8_lossy(value))
}

/// The headers of a call whose body has this length. What frames a request is made of the body, and what is told of a client
/// is told by no file: functions believe it.
pub(super) fn of_call(head: Head, length: usize) -> Head {
    let is_framed = length > 0 || head.0.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut head = taken(head.0);
    if is_framed {
        head.set("content-length", length.to_string());
    }
    head
}

/// The headers of an answer, which its callback has.
pub(super) fn of_answer(head: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    taken(head).0
}

fn taken(head: Vec<(String, Vec<u8>)>) -> Head {
    let lower = head.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    Head(lower.filter(|(name, value)| is_taken(name, value)).collect())
}

fn is_taken(name: &str, value: &[u8]) -> bool {
    // Servers of many languages read `_` as `-`, so such a name says the same.
    let read = name.replace('_', "-");
    let is_forwarding = read.starts_with("x-forwarded-") || read == "x-real-ip" || read == "forwarded";
    let is_ours = match name {
        // Without it a chain would begin anew by being moved.
        CHAIN => value.len() > 4 || !value.iter().all(u8::is_ascii_digit),
        _ => read.starts_with("x-actord-"),
    };
    !(is_of_one_hop(name) || matches!(name, "expect" | "host") || is_forwarding || is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(head: &[(String, Vec<u8>)]) -> Vec<String> {
        head.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect()
    }

    fn head(lines: &[(&str, &str)]) -> Head {
        Head(lines.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect())
    }

    #[test]
    fn a_file_frames_no_request_and_says_nothing_of_clients() {
        let sent = head(&[
            ("Content-Length", "0"),
            ("content-length", "7"),
            ("Transfer-Encoding", "chunked"),
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("host", "elsewhere"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "10.0.0.1"),
            ("X_Real_IP", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("x-actord-call", "another"),
            ("x-actord-chain", "3"),
            ("x-call-id", "mine"),
            ("X-Plain", "1"),
        ]);
        let kept = ["x-actord-chain: 3", "x-call-id: mine", "x-plain: 1"];
        let with = |length: &'static str| [&kept[..], &[length]].concat();
        assert_eq!(lines(&of_call(sent.clone(), 30).0), with("content-length: 30"));
        assert_eq!(lines(&of_call(sent.clone(), 0).0), with("content-length: 0"));
        assert_eq!(lines(&of_answer(sent.0)), kept);
        assert_eq!(lines(&of_call(head(&[]), 30).0), ["content-length: 30"], "a body is never without its length");
        assert!(of_call(head(&[("x-actord-chain", "-1")]), 0).0.is_empty());
    }

    #[test]
    fn a_value_leaves_only_where_all_of_it_is_shown() {
        for (name, value, leaves) in [
            ("authorization", "Basic aaaa", false),
            ("x-upstream", "Bearer x", false),
            ("x-upstream", "eyJhbGciOiJub25lIn0.e30.", false),
            ("x-callback-url", "https://u:p@host/", false),
            ("x-callback-url", "http:/u:p@host/", false),
            ("x-callback-url", "https://host/?token=1", false),
            ("x-callback-url", "https://host/?a=1", true),
            ("x-plain", "1", true),
        ] {
            assert_eq!(may_leave(name, value.as_bytes()), leaves, "{name}: {value}");
        }
        assert!(may_leave("x-bytes", b"\xfc"));
    }
}
