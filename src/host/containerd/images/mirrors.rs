//! Mirrors: registries that are asked before the one that a reference names.
//!
//! ```text
//! docker.io/library/nginx:1  --docker.io=cache.lan:5000-->    cache.lan:5000/library/nginx:1
//!                            --docker.io=harbor.lan/hub-->    harbor.lan/hub/library/nginx:1, and at last as it is
//! ```

use oci_spec::distribution::Reference;

/// A registry that has, or fetches, what another one has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The registry that references name: `docker.io`, `ghcr.io`, `registry.lan:5000`.
    pub of: String,
    /// The registry to ask: `host` or `host:port`.
    pub host: String,
    /// What it puts before the repository: empty, or such as `hub`.
    pub path: String,
}

/// One place that may have an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The image there.
    pub(crate) reference: Reference,
    /// Whether it is a mirror.
    pub(crate) mirror: bool,
}

/// Where to look for an image: its mirrors in their order, then the registry that it names.
pub(crate) fn sources(reference: &Reference, mirrors: &[Mirror]) -> Vec<Source> {
    let mirrors = mirrors.iter().filter(|mirror| docker_hub(&mirror.of) == docker_hub(reference.registry()));
    let mut sources: Vec<_> =
        mirrors.map(|mirror| Source { reference: mirror.reference(reference), mirror: true }).collect();
    sources.push(Source { reference: reference.clone(), mirror: false });
    sources
}

impl Mirror {
    fn reference(&self, original: &Reference) -> Reference {
        let (host, repository) = (self.host.clone(), original.repository());
        let repository = match self.path.as_str() {
            "" => repository.to_owned(),
            path => format!("{path}/{repository}"),
        };
        match (original.tag().map(str::to_owned), original.digest().map(str::to_owned)) {
            (Some(tag), Some(digest)) => Reference::with_tag_and_digest(host, repository, tag, digest),
            (None, Some(digest)) => Reference::with_digest(host, repository, digest),
            (tag, None) => Reference::with_tag(host, repository, tag.unwrap_or_else(|| "latest".to_owned())),
        }
    }
}

/// Docker Hub has several names, and references are kept with one of them.
pub(crate) fn docker_hub(registry: &str) -> &str {
    match registry {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::parse;
    use super::*;

    fn mirror(of: &str, host: &str, path: &str) -> Mirror {
        Mirror { of: of.to_owned(), host: host.to_owned(), path: path.to_owned() }
    }

    fn asked(text: &str, mirrors: &[Mirror]) -> Vec<String> {
        sources(&parse(text).unwrap(), mirrors).iter().map(|source| source.reference.whole()).collect()
    }

    #[test]
    fn the_mirrors_of_a_registry_are_asked_in_their_order_and_then_itself() {
        let mirrors = [
            mirror("docker.io", "one.lan:5000", ""),
            mirror("ghcr.io", "other.lan", ""),
            mirror("index.docker.io", "two.lan", "hub/cache"),
        ];
        assert_eq!(
            asked("nginx:1", &mirrors),
            ["one.lan:5000/library/nginx:1", "two.lan/hub/cache/library/nginx:1", "docker.io/library/nginx:1"]
        );
        assert_eq!(asked("ghcr.io/a/b", &mirrors), ["other.lan/a/b:latest", "ghcr.io/a/b:latest"]);
        assert_eq!(asked("quay.io/a/b:2", &mirrors), ["quay.io/a/b:2"]);
    }

    #[test]
    fn a_pinned_image_is_pinned_at_its_mirror_too() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let mirrors = [mirror("ghcr.io", "m.lan", "")];
        for pinned in [format!("a/b@{digest}"), format!("a/b:v1@{digest}")] {
            let found = sources(&parse(&format!("ghcr.io/{pinned}")).unwrap(), &mirrors);
            assert_eq!(found[0].reference.whole(), format!("m.lan/{pinned}"));
            assert_eq!(found[0].reference.digest(), Some(digest.as_str()));
            assert!(found[0].mirror && !found[1].mirror);
        }
    }
}
