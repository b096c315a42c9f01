//! What the kernel does by itself in an instance's network namespace: next to nothing.
//!
//! ```text
//! IPv6 off on every link but loopback      no router and no redirect is believed, none is sent, nothing is forwarded
//! ```
//! A new namespace takes IPv4's settings from the host's, where forwarding is on: an instance would pass on what its
//! neighbours send it. It is made quiet before its first link comes.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// In the network namespace of the thread that looks.
const SETTINGS: &str = "/proc/sys/net";
/// The first two are for all links and for those to come. Forwarding comes first: it sets others.
const IPV4: [(&str, &str); 5] = [
    ("forwarding", "0"),
    ("accept_redirects", "0"),
    ("secure_redirects", "0"),
    ("send_redirects", "0"),
    ("accept_source_route", "0"),
];
const IPV6: [(&str, &str); 4] =
    [("forwarding", "0"), ("accept_ra", "0"), ("accept_redirects", "0"), ("disable_ipv6", "1")];

/// Which of the two are made quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Families {
    Both,
    /// A network list of the user's own may give its instances IPv6.
    Ipv4,
}

/// Makes the network namespace of the calling thread quiet. What is so already is not touched.
pub(super) fn quieten(families: Families) -> io::Result<()> {
    set_all("ipv4", &IPV4)?;
    match families {
        Families::Both => set_all("ipv6", &IPV6),
        Families::Ipv4 => Ok(()),
    }
}

fn set_all(family: &str, settings: &[(&str, &str)]) -> io::Result<()> {
    let dir = Path::new(SETTINGS).join(family).join("conf");
    let links = match fs::read_dir(&dir) {
        // A kernel without IPv6.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        links => links?,
    };
    let mut links = links.map(|link| Ok(link?.file_name())).collect::<io::Result<Vec<_>>>()?;
    links.sort_by_key(|link| (link != "all", link != "default"));
    for link in links {
        for (setting, value) in settings {
            // Programs in there may talk to each other by `::1`. What is set for all is set for loopback, too.
            let value = if link == "lo" && *setting == "disable_ipv6" { "0" } else { *value };
            set(&dir.join(&link).join(setting), value)?;
        }
    }
    Ok(())
}

fn set(path: &Path, value: &str) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match fs::read_to_string(path) {
        Ok(found) if found.trim() == value => Ok(()),
        // The link has gone meanwhile, or this kernel has no such setting.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(named(error)),
        Ok(_) => fs::write(path, value).map_err(named),
    }
}
