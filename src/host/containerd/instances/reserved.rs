//! Paths inside of an instance that are the kernel's or ours.

/// Where a function finds its secrets, as on every OpenFaaS provider.
pub(super) const SECRETS: &str = "/var/openfaas/secrets";

/// Those paths, with all below them: an image's volumes can't be there.
pub(super) const RESERVED: [&str; 6] = ["/proc", "/dev", "/sys", "/etc/resolv.conf", "/etc/hosts", SECRETS];
