//! Image references as Docker writes them: `nginx` means `docker.io/library/nginx:latest`.

use std::net::IpAddr;

use oci_spec::distribution::Reference;

use crate::host::HostError;

/// Reads and normalises a reference.
///
/// # Errors
/// [`HostError::Image`] says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Reference, HostError> {
    let refuse = |why: &str| Err(HostError::Image(format!("image reference {text:?}: {why}")));
    let reference: Reference = match text.parse() {
        Ok(reference) => reference,
        Err(error) => return refuse(&format!("{error}: write it as registry/name:tag or registry/name@sha256:...")),
    };
    // The parser lets an upper-case first component pass as a part of the repository; no registry would.
    if reference.repository().chars().any(char::is_uppercase) {
        return refuse("repository names are lower case");
    }
    match reference.digest() {
        Some(digest) if !digest.starts_with("sha256:") => {
            refuse("its digest must be a sha256: containerd keeps no other")
        }
        Some(digest) if digest.chars().any(char::is_uppercase) => refuse("digests are lower case"),
        _ => Ok(reference),
    }
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
