//! Whom a request says that it is for: by a `Host` header, by `:authority`, by a target with a host in it. What reads a request
//! after us may take one that is no host for a path, or for two hosts.

use super::refusal::Refusal;

/// Looks at what a request says in its header and, if it does, elsewhere.
///
/// # Errors
/// Where one is no host, or the two differ.
pub(super) fn check(header: Option<&[u8]>, elsewhere: Option<&[u8]>) -> Result<(), Refusal> {
    if [header, elsewhere].into_iter().flatten().any(|named| !is_host(named)) {
        let words = "the request's Host is no host: it may be a name or an address, and a port behind a colon";
        return Err(Refusal::bad(words));
    }
    match (header, elsewhere) {
        (Some(header), Some(elsewhere)) if !header.eq_ignore_ascii_case(elsewhere) => {
            Err(Refusal::bad("the request's Host header names another host than its target"))
        }
        _ => Ok(()),
    }
}

/// The host in a target, where a proxy's client sends one with its scheme.
pub(super) fn of_target(target: &str) -> Option<&[u8]> {
    let (_, rest) = target.split_once("://").filter(|_| !target.starts_with('/'))?;
    Some(&rest.as_bytes()[..rest.find(['/', '?']).unwrap_or(rest.len())])
}

/// Whether it is a host and perhaps a port (RFC 9110, 7.2), or nothing, as a client sends it whose target names no host. No
/// name has a comma in it, though the RFC allows one: who joins headers of one name would take it for two hosts.
fn is_host(value: &[u8]) -> bool {
    let rest = match value {
        [b'[', literal @ ..] => match literal.iter().position(|byte| !is_of_name(*byte) && *byte != b':') {
            Some(end) if end > 0 && literal[end] == b']' => &literal[end + 1..],
            _ => return false,
        },
        name => &name[name.iter().take_while(|byte| is_of_name(**byte)).count()..],
    };
    match rest {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Unreserved, percent or a sub-delimiter (RFC 3986, 3.2.2).
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: [&str; 13] = [
        "",
        "h",
        "functions.example.com",
        "functions.example.com.",
        "my_upstream",
        "h:8080",
        "h:",
        "10.0.0.1:80",
        "[::1]",
        "[::1]:8080",
        "[fe80::1%25eth0]",
        "a%20b",
        "*.example.com",
    ];
    const ODD: [&str; 22] = [
        "a b",
        "a,b",
        "a/b",
        "a?b",
        "a#b",
        "user@h",
        "user:secret@h",
        "h:80:81",
        "h:x",
        "h:+80",
        "[::1",
        "::1",
        "[]",
        "[::1]x",
        "[::1]:x",
        "[a/b]",
        "ö",
        "a\tb",
        "a\"b",
        "a\\b",
        "<h>",
        "[[::1]]",
    ];

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port_and_nothing_that_another_reader_could_take_for_more() {
        for named in HOSTS {
            assert_eq!(check(Some(named.as_bytes()), None), Ok(()), "{named}");
        }
        for odd in ODD {
            assert!(check(Some(odd.as_bytes()), None).is_err() && check(None, Some(odd.as_bytes())).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_request_names_one_host_wherever_it_does() {
        let said = |header: &str, target| check(Some(header.as_bytes()), of_target(target)).is_ok();
        for (header, target) in
            [("h", "/x"), ("h", "http://h"), ("H:8", "http://h:8/x?y=://z"), ("h", "/http://other/")]
        {
            assert!(said(header, target), "{header} {target}");
        }
        for (header, target) in
            [("h", "http://other/x"), ("h", "http://h@other"), ("h", "http://h:8/"), ("", "http://h?x")]
        {
            assert!(!said(header, target), "{header} {target}");
        }
        assert_eq!(check(None, of_target("http://h/")), Ok(()), "HTTP/1.0 has no header for it");
    }
}
