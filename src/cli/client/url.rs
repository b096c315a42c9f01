//! Which gateway is asked, and how its address is written.

use reqwest::Url;

use super::ClientError;

/// Where actord and the gateway listen by default.
const DEFAULT: &str = "http://127.0.0.1:8080";
/// That, where actord has a certificate.
const SECURE_DEFAULT: &str = "https://127.0.0.1:8080";

/// As `faas-cli` chooses: the flag, else the stack file if it names something else than the default, else the environment.
pub(super) fn choose<'a>(
    flag: Option<&'a str>,
    stack: Option<&'a str>,
    environment: Option<&'a str>,
    has_certificate: bool,
) -> &'a str {
    let stack = stack.filter(|url| !url.is_empty() && normal(url) != DEFAULT);
    flag.or(stack).or(environment).unwrap_or(if has_certificate { SECURE_DEFAULT } else { DEFAULT })
}

/// A gateway's URL in the form in which two of them can be compared.
pub(super) fn normal(url: &str) -> String {
    url.trim().trim_end_matches('/').to_ascii_lowercase()
}

/// Parses the base of all requests; a path in it is kept.
pub(super) fn parse(text: &str) -> Result<Url, ClientError> {
    let wrong = |reason: &str| {
        Err(ClientError::Usage(format!("gateway {text:?}: {reason}; expected a URL such as {DEFAULT} or https://host")))
    };
    match Url::parse(text.trim().trim_end_matches('/')) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => wrong("neither http nor https"),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => wrong("it has a query"),
        Ok(url) if url.host_str().is_none_or(str::is_empty) => wrong("it has no host"),
        Ok(url) => Ok(url),
        Err(error) => wrong(&error.to_string()),
    }
}

/// Whether the gateway is on this machine's loopback, where its data directory may be as well.
pub(super) fn is_loopback(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_stack_file_which_beats_the_environment_unless_it_names_the_default() {
        let (flag, stack, environment) = (Some("http://flag"), Some("http://stack"), Some("http://environment"));
        assert_eq!(choose(flag, stack, environment, false), "http://flag");
        assert_eq!(choose(None, stack, environment, false), "http://stack");
        assert_eq!(choose(None, Some("http://127.0.0.1:8080/"), environment, false), "http://environment");
        assert_eq!(choose(None, Some("http://127.0.0.1:8080"), None, false), DEFAULT);
        assert_eq!(choose(None, None, None, false), DEFAULT);
        assert_eq!(choose(None, Some("http://127.0.0.1:8080"), None, true), SECURE_DEFAULT);
        assert_eq!(choose(None, None, environment, true), "http://environment");
    }

    #[test]
    fn a_url_keeps_its_path_and_loses_its_last_slash() {
        assert_eq!(parse(" https://Example.COM/faas/ ").unwrap().as_str(), "https://example.com/faas");
        for (bad, reason) in
            [("127.0.0.1:8080", "expected"), ("ftp://x", "neither"), ("http://x?a=b", "query"), ("", "")]
        {
            let error = parse(bad).unwrap_err();
            assert!(
                error.to_string().contains(reason) && error.to_string().contains("http://127.0.0.1:8080"),
                "{error}"
            );
        }
    }

    #[test]
    fn this_machine_is_known_by_its_loopback() {
        for (url, here) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8080", true),
            ("http://LOCALHOST:8080", true),
            ("http://10.0.0.1:8080", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&parse(url).unwrap()), here, "{url}");
        }
    }
}
