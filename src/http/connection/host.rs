//! Whom a request says that it is for: a `Host` header, or `:authority`. What reads a request after us may take one that is no
//! host for a path, or for two hosts.

pub(super) const NO_HOST: &str =
    "the request's Host is no host: it may be a name or an address, and a port behind a colon";

/// Whether it is a host and perhaps a port (RFC 9110, 7.2), or nothing, as a client sends it whose target names no host.
pub(super) fn is_host(value: &[u8]) -> bool {
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
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "",
            "h",
            "functions.example.com",
            "my_upstream",
            "h:8080",
            "h:",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:8080",
            "[v1.a:b]",
            "xn--bcher-kva.example",
            "a%20b",
            "*.example.com",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn what_another_reader_could_take_for_more_than_a_host_is_none() {
        for odd in [
            "a b",
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
        ] {
            assert!(!is_host(odd.as_bytes()), "{odd}");
        }
    }
}
