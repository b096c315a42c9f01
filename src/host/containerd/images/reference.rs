//! Image references as Docker writes them: `nginx` means `docker.io/library/nginx:latest`.

use std::net::IpAddr;

use oci_spec::distribution::Reference;

use crate::host::HostError;

/// The longest repository name, in bytes.
const NAME_MAX: usize = 255;
/// The longest tag, in bytes.
const TAG_MAX: usize = 128;
/// What a name without a registry means.
const DEFAULT_REGISTRY: &str = "docker.io";

/// Reads and normalises a reference.
///
/// By hand: the parser that comes with [`Reference`] compiles a regular expression that keeps 7 MB for as long as the
/// process lives, and 17 MB while it is compiled.
///
/// # Errors
/// [`HostError::Image`] says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Reference, HostError> {
    read(text).map_err(|why| {
        HostError::Image(format!(
            "image reference {text:?}: {why}: write it as registry/name:tag or registry/name@sha256:..."
        ))
    })
}

/// `[registry[:port]/]name[/name ...][:tag][@digest]`, or what is wrong with it.
fn read(text: &str) -> Result<Reference, String> {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    // A colon before a slash is that of a port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (registry, repository) = split_name(name)?;
    if repository.len() > NAME_MAX {
        return Err(format!("its name is longer than {NAME_MAX} bytes"));
    }
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    if let Some(digest) = digest {
        check_digest(digest)?;
    }
    let (tag, digest) = (tag.map(str::to_owned), digest.map(str::to_owned));
    Ok(match (tag, digest) {
        (Some(tag), Some(digest)) => Reference::with_tag_and_digest(registry, repository, tag, digest),
        (None, Some(digest)) => Reference::with_digest(registry, repository, digest),
        (tag, None) => Reference::with_tag(registry, repository, tag.unwrap_or_else(|| "latest".to_owned())),
    })
}

/// Registry and repository. What stands before the first slash is a registry where it has a dot or a port, or is
/// `localhost`, as Docker has it.
fn split_name(name: &str) -> Result<(String, String), String> {
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if first == "localhost" || first.contains(['.', ':']) => (Some(first), path),
        _ => (None, name),
    };
    if let Some(registry) = registry.filter(|registry| !is_registry(registry) && !is_component(registry)) {
        return Err(format!("{registry:?} can't be a registry"));
    }
    if let Some(component) = path.split('/').find(|component| !is_component(component)) {
        return Err(match component {
            "" => "a part of its name is empty".to_owned(),
            _ if component.chars().any(char::is_uppercase) => "repository names are lower case".to_owned(),
            _ => format!("{component:?} can't be a part of a name"),
        });
    }
    let registry = match registry {
        None | Some("index.docker.io") => DEFAULT_REGISTRY,
        Some(registry) => registry,
    };
    let official = registry == DEFAULT_REGISTRY && !path.contains('/');
    Ok((registry.to_owned(), if official { format!("library/{path}") } else { path.to_owned() }))
}

/// Whether it is a host name, with or without a port.
fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(is_label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether it can be a part of a repository's name: lower-case letters and digits, with `.`, `_`, `__` or any number of `-`
/// between them.
fn is_component(text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let between =
        |separator: &[u8]| matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-');
    let bytes = text.as_bytes();
    bytes.first().is_some_and(is_word) && bytes.last().is_some_and(is_word) && bytes.split(is_word).all(between)
}

fn check_tag(tag: &str) -> Result<(), String> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if tag.is_empty() || tag.len() > TAG_MAX || !tag.bytes().all(inside) || tag.starts_with(['.', '-']) {
        return Err(format!(
            "its tag must be 1 to {TAG_MAX} letters, digits, '_', '.' or '-', the first no '.' or '-'"
        ));
    }
    Ok(())
}

fn check_digest(digest: &str) -> Result<(), String> {
    let Some(hex) = digest.strip_prefix("sha256:") else {
        return Err("its digest must be a sha256: containerd keeps no other".to_owned());
    };
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("its digest must be 64 hexadecimal digits".to_owned());
    }
    if hex.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("digests are lower case".to_owned());
    }
    Ok(())
}

/// A name that an archive gives an image, normalised. A bare tag names no image.
pub(crate) fn parse_name(text: &str) -> Result<Reference, HostError> {
    if text.contains(['/', ':', '@']) {
        return parse(text);
    }
    Err(HostError::Image(format!(
        "{text:?} is a tag without a name: give the image its full name in the annotation io.containerd.image.name"
    )))
}

/// Whether a registry is spoken to in plain http: it is on this machine, or configured as insecure.
pub(crate) fn speaks_plain_http(registry: &str, insecure: &[String]) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let loopback = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    loopback || insecure.iter().any(|name| name == registry || name == host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_are_normalised_like_docker_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, whole) in [
            ("nginx".to_owned(), "docker.io/library/nginx:latest".to_owned()),
            ("user/fn:1".to_owned(), "docker.io/user/fn:1".to_owned()),
            ("index.docker.io/user/fn".to_owned(), "docker.io/user/fn:latest".to_owned()),
            ("localhost:5000/a/b".to_owned(), "localhost:5000/a/b:latest".to_owned()),
            ("ghcr.io/a/b@".to_owned() + &digest, "ghcr.io/a/b@".to_owned() + &digest),
            ("ghcr.io/a/b:v1@".to_owned() + &digest, "ghcr.io/a/b:v1@".to_owned() + &digest),
        ] {
            assert_eq!(parse(&text).unwrap().whole(), whole);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_by_name() {
        let sha512 = format!("a@sha512:{}", "a".repeat(128));
        let upper = format!("a@sha256:{}", "A".repeat(64));
        for text in ["", "UPPER/x", "Nginx", "ghcr.io/Owner/x", "a b", "a:", "a@sha256:1", "-a", &sha512, &upper] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    proptest! {
        /// The parser of the field, with what is refused here besides: other digests than containerd keeps, upper case, and
        /// tags that no registry takes.
        #[test]
        fn references_are_read_as_by_the_parser_that_comes_with_their_type(
            registry in "((localhost|LOCAL|a-?|[a-c_-]{1,2}(\\.[a-z-]{1,2}){0,2})(:[0-9]{0,2})?/)?",
            name in "[a-cA._/-]{0,6}(/[a-c._-]{1,5}){0,2}",
            tag in "(:[a-zA0._-]{0,3})?(:[a-z]{129})?",
            digest in "(@sha(256|512):([a-f]{32}|[a-f]{64}|[A-F]{64}|[a-g]{64}|[a-f]{128}))?",
        ) {
            let text = format!("{registry}{name}{tag}{digest}");
            let theirs = text.parse::<Reference>().ok().filter(|reference| {
                let digest = reference.digest().is_none_or(|digest| {
                    digest.starts_with("sha256:") && !digest.contains(char::is_uppercase)
                });
                digest && !reference.repository().contains(char::is_uppercase)
            });
            prop_assert_eq!(parse(&text).ok(), theirs, "{}", text);
        }
    }

    #[test]
    fn names_and_tags_of_any_length_are_bounded_and_no_letter_from_elsewhere_gets_in() {
        assert!(parse(&format!("h.io/{}", "a".repeat(255))).is_ok());
        assert!(parse(&format!("h.io/{}", "a".repeat(256))).unwrap_err().to_string().contains("longer than 255"));
        assert!(parse(&format!("a:{}", "t".repeat(128))).is_ok());
        for text in [&format!("a:{}", "t".repeat(129)), "a:\u{e9}", "\u{e9}", "\u{e9}.io/a", "a@sha256:\u{e9}"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bare_tag_names_no_image() {
        assert!(parse_name("latest").is_err());
        assert_eq!(parse_name("fn:latest").unwrap().whole(), "docker.io/library/fn:latest");
    }

    #[test]
    fn plain_http_is_for_this_machine_and_for_configured_registries_only() {
        let insecure = ["registry.lan:5000".to_owned(), "10.0.0.9".to_owned()];
        for plain in
            ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3:80", "registry.lan:5000", "10.0.0.9:1"]
        {
            assert!(speaks_plain_http(plain, &insecure), "{plain}");
        }
        for tls in
            ["docker.io", "registry.lan", "registry.lan:443", "localhost.example.com", "127.example.com", "10.0.0.8:1"]
        {
            assert!(!speaks_plain_http(tls, &insecure), "{tls}");
        }
    }
}
