//! host-local's leases: one file for each address, named by it, with the container's id on its first line.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::Path;

use super::cache::names;
use super::holder::Holder;

/// Every lease in a network's directory. Files come and go while it is read; one that is gone is no lease.
pub(super) fn read(dir: &Path) -> io::Result<Vec<(Holder, IpAddr)>> {
    let mut found = Vec::new();
    for name in names(dir)? {
        // `lock` and `last_reserved_ip.0` are no addresses. IPv6 leases have `_` for `:`.
        let Ok(address) = name.replace('_', ":").parse::<IpAddr>() else { continue };
        let text = match fs::read_to_string(dir.join(&name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        found.extend(holder(&text).map(|holder| (holder, address)));
    }
    Ok(found)
}

/// For whom an address is leased.
pub(super) fn of(dir: &Path, address: IpAddr) -> Option<Holder> {
    holder(&fs::read_to_string(dir.join(address.to_string().replace(':', "_"))).ok()?)
}

fn holder(text: &str) -> Option<Holder> {
    text.lines().next().unwrap_or_default().trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_read_by_their_exact_id_and_other_files_are_not_leases() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("10.1.0.2", "echo-1\r\neth0"),
            ("fd00__2", "echo-2\neth0"),
            ("10.1.0.3", ""),
            ("lock", ""),
            ("last_reserved_ip.0", "10.1.0.2"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut found = read(dir.path()).unwrap();
        found.sort();
        let expected: [(Holder, IpAddr); 2] = [
            ("echo-1".parse().unwrap(), "10.1.0.2".parse().unwrap()),
            ("echo-2".parse().unwrap(), "fd00::2".parse().unwrap()),
        ];
        assert_eq!(found, expected);
        for (holder, address) in expected {
            assert_eq!(of(dir.path(), address), Some(holder));
        }
        assert_eq!(of(dir.path(), "10.1.0.4".parse().unwrap()), None);
        assert!(read(&dir.path().join("missing")).unwrap().is_empty());
    }
}
