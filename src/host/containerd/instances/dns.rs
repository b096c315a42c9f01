//! The name servers that functions ask: configured ones, else the host's real upstreams.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::host::HostError;

/// Where functions' name servers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dns {
    /// From here.
    Servers(Vec<IpAddr>),
    /// From a file as the host's `/etc/resolv.conf`, or from the one that systemd-resolved keeps of its upstreams where
    /// that stands between. Servers on the loopback are left out: an instance can't reach them from its own network
    /// namespace.
    Like(PathBuf),
}

/// The host's own servers.
pub const HOST: &str = "/etc/resolv.conf";
/// The servers that systemd-resolved asks for the host.
pub const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

impl Dns {
    /// Those that the host itself asks.
    #[must_use]
    pub fn host() -> Self {
        Self::Like(HOST.into())
    }

    /// The text of a new instance's `/etc/resolv.conf`.
    ///
    /// # Errors
    /// [`HostError::Failed`] when the host's file can't be read.
    pub(super) fn resolv_conf(&self) -> Result<String, HostError> {
        let text = self.read()?;
        if !names_a_server(&text) {
            tracing::warn!("{self} names no server that functions can reach: configure their DNS servers");
        }
        Ok(text)
    }

    /// The same as it is now, if it can be read and names a server.
    pub(super) fn newest(&self) -> Option<String> {
        self.read().ok().filter(|text| names_a_server(text))
    }

    fn read(&self) -> Result<String, HostError> {
        match self {
            Self::Servers(servers) => Ok(servers.iter().map(|server| format!("nameserver {server}\n")).collect()),
            Self::Like(path) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    HostError::Failed(format!("read {self}: {error}; or configure the functions' DNS servers"))
                })?;
                let upstream = if asks_resolved(&text) { fs::read_to_string(RESOLVED).ok() } else { None };
                Ok(reachable(upstream.as_deref().unwrap_or(&text)))
            }
        }
    }
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers(_) => f.write_str("the configuration"),
            Self::Like(path) => path.display().fmt(f),
        }
    }
}

fn names_a_server(text: &str) -> bool {
    text.lines().any(|line| server(line).is_some())
}

/// The servers of a host's `/etc/resolv.conf` that functions can reach; `resolved` is systemd-resolved's own list.
#[must_use]
pub fn reachable_servers(host: &str, resolved: Option<&str>) -> Vec<IpAddr> {
    let upstream = resolved.filter(|_| asks_resolved(host));
    reachable(upstream.unwrap_or(host)).lines().filter_map(|line| server(line)?.parse().ok()).collect()
}

/// The server that a line names, if it is such a line.
fn server(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    (words.next()? == "nameserver").then(|| words.next()).flatten()
}

/// Whether the text sends all questions to systemd-resolved's own listener.
fn asks_resolved(text: &str) -> bool {
    let mut servers = text.lines().filter_map(server).peekable();
    servers.peek().is_some() && servers.all(|server| matches!(server, "127.0.0.53" | "127.0.0.54"))
}

/// The text without comments, and without servers that only the host itself reaches.
fn reachable(text: &str) -> String {
    let reaches = |line: &&str| {
        server(line).is_none_or(|server| {
            // A link-local IPv6 server carries a zone of the host's interfaces.
            server.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
        })
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    lines.filter(reaches).fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_servers_are_taken_as_they_are() {
        let dns = Dns::Servers(vec!["10.0.0.2".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
        assert_eq!(dns.resolv_conf().unwrap(), "nameserver 10.0.0.2\nnameserver 2001:db8::1\n");
    }

    #[test]
    fn servers_on_the_loopback_are_left_out_and_search_domains_kept() {
        let text = "# made by hand\nnameserver 127.0.0.1\nnameserver ::1\nnameserver 10.1.1.1 \nnameserver fe80::1%eth0\n\
                    search a.example b.example\noptions edns0 trust-ad\n;x\n\n";
        assert_eq!(reachable(text), "nameserver 10.1.1.1\nsearch a.example b.example\noptions edns0 trust-ad\n");
    }

    #[test]
    fn a_file_that_names_no_server_or_is_not_there_is_no_news() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let dns = Dns::Like(file.path().to_owned());
        for (text, newest) in
            [("", None), ("nameserver 127.0.0.1\n", None), ("nameserver 10.0.0.1\n#", Some("nameserver 10.0.0.1\n"))]
        {
            fs::write(&file, text).unwrap();
            assert_eq!(dns.newest().as_deref(), newest, "{text:?}");
        }
        drop(file);
        assert_eq!(dns.newest(), None);
        assert!(dns.resolv_conf().unwrap_err().to_string().contains("DNS servers"));
    }

    #[test]
    fn a_stub_resolver_is_recognised_only_when_there_is_nothing_else() {
        assert!(asks_resolved("nameserver 127.0.0.53\noptions edns0\n"));
        assert!(!asks_resolved("nameserver 127.0.0.53\nnameserver 10.0.0.1\n"));
        assert!(!asks_resolved("search x\n"));
    }

    #[test]
    fn this_hosts_own_servers_can_be_read() {
        assert!(!Dns::host().resolv_conf().unwrap().contains("127.0.0."));
    }
}
