//! The ports that actord listens on: free, ours, or somebody else's, and then whose.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::finding::Finding;
use super::source::Root;
use crate::config::Config;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A process that may hold a port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    pid: u32,
    name: String,
}

/// A socket that somebody listens on.
#[derive(Debug, Clone)]
struct Listener {
    address: SocketAddr,
    /// None where other people's processes can't be looked into.
    holder: Option<Holder>,
}

/// A port that actord wants.
#[derive(Debug, Clone)]
struct Wanted {
    setting: &'static str,
    address: SocketAddr,
    /// Whether the address is one of this machine's.
    local: bool,
}

/// What is known of the ports.
#[derive(Debug)]
pub(super) struct Ports {
    wanted: Vec<Wanted>,
    listeners: Option<Vec<Listener>>,
}

impl Ports {
    pub(super) fn read(root: &Root, config: &Config) -> Self {
        let wanted = [
            ("listen", Some(config.listen)),
            ("provider-listen", Some(config.provider_listen)),
            ("metrics-listen", Some(config.metrics_listen)),
            ("dashboard-listen", config.dashboard_listen.0),
        ];
        // A datagram socket on any port tells whether the address is ours, and takes nobody's place.
        let local = |address: SocketAddr| UdpSocket::bind((address.ip(), 0)).is_ok();
        let wanted = wanted.into_iter().filter_map(|(setting, address)| {
            let address = address?;
            Some(Wanted { setting, address, local: local(address) })
        });
        let wanted = wanted.collect();
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| root.text(table));
        let listeners = tables.iter().any(Option::is_some).then(|| {
            let holders = holders(root);
            let lines = tables.iter().flatten().flat_map(|table| table.lines().skip(1)).filter_map(listening);
            lines.map(|(address, inode)| Listener { address, holder: holders.get(&inode).cloned() }).collect()
        });
        Self { wanted, listeners }
    }

    /// `actord`: the process that runs with these settings, if one does.
    pub(super) fn check(&self, actord: Option<u32>) -> Vec<Finding> {
        self.wanted.iter().map(|wanted| self.port(wanted, actord)).collect()
    }

    fn port(&self, Wanted { setting, address, local }: &Wanted, actord: Option<u32>) -> Finding {
        let check = format!("port {}", address.port());
        if !local {
            let found = format!("{} is no address of this machine", address.ip());
            return Finding::failure(
                check,
                found,
                format!("set another --{setting}; `ip address` lists this machine's"),
            );
        }
        let Some(listeners) = &self.listeners else {
            return Finding::unknown(check, "/proc/net/tcp can't be read");
        };
        let Some(taken) = listeners.iter().find(|listener| clash(*address, listener.address)) else {
            return Finding::ok(check, format!("{address} is free"));
        };
        match &taken.holder {
            Some(holder) if Some(holder.pid) == actord => Finding::ok(check, format!("actord listens on {address}")),
            Some(holder) if holder.pid == 1 => {
                Finding::ok(check, format!("{} holds {address} for actord", holder.name))
            }
            Some(Holder { pid, name }) => Finding::failure(
                check,
                format!("{name} (pid {pid}) listens on {}", taken.address),
                format!("end it, or set another --{setting}"),
            ),
            None if actord.is_some() => {
                Finding::unknown(check, format!("somebody listens on {}; only root sees who", taken.address))
            }
            None => Finding::failure(
                check,
                format!("somebody listens on {}", taken.address),
                format!("sudo ss -ltnp 'sport = :{}' says who; end it, or set another --{setting}", address.port()),
            ),
        }
    }
}

/// Whether both can't be listened on.
fn clash(wanted: SocketAddr, taken: SocketAddr) -> bool {
    let same = wanted.ip() == taken.ip() || wanted.ip().is_unspecified() || taken.ip().is_unspecified();
    // Port 0 is any that is free.
    wanted.port() == taken.port() && wanted.port() != 0 && same
}

/// Address and inode of a listening socket, from a line of `/proc/net/tcp` or `tcp6`.
fn listening(line: &str) -> Option<(SocketAddr, u64)> {
    let mut words = line.split_whitespace().skip(1);
    let (address, port) = words.next()?.split_once(':')?;
    if words.nth(1)? != LISTENING {
        return None;
    }
    let inode = words.nth(5)?.parse().ok()?;
    Some((SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?), inode))
}

/// An address as the kernel prints it: words of 32 bits in hexadecimal, each in the machine's byte order.
fn ip(hex: &str) -> Option<IpAddr> {
    let words = hex.as_bytes().chunks(8).map(|word| u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Some(Ipv4Addr::from(bytes).into()),
        Err(_) => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).to_canonical()),
    }
}

/// Who has which socket, as far as it can be seen.
fn holders(root: &Root) -> BTreeMap<u64, Holder> {
    let mut found = BTreeMap::new();
    for pid in root.names("/proc").iter().filter_map(|name| name.parse::<u32>().ok()) {
        let descriptors = fs::read_dir(root.at(format!("/proc/{pid}/fd"))).into_iter().flatten().flatten();
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        for target in targets {
            let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode {
                let name = root.text(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
                // A socket that was handed over is held by systemd as well: who serves it counts.
                let holder = Holder { pid, name };
                found.entry(inode).and_modify(|known: &mut Holder| *known = holder.clone()).or_insert(holder.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::super::source::tree;
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
        1: 0100007F:1F91 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n";
    const TCP6: &str = "  sl  local_address remote_address st\n\
        0: 00000000000000000000000000000000:1F92 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 4713 1 0 0\n";

    fn ports(listeners: Vec<Listener>) -> Ports {
        let wanted = |setting, port| Wanted { setting, address: SocketAddr::from(([127, 0, 0, 1], port)), local: true };
        Ports { wanted: vec![wanted("listen", 8080), wanted("provider-listen", 8081)], listeners: Some(listeners) }
    }

    fn nginx(pid: u32) -> Option<Holder> {
        Some(Holder { pid, name: "nginx".into() })
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_tables_are_read_for_both_families() {
        let all: Vec<_> = TCP.lines().chain(TCP6.lines()).filter_map(listening).collect();
        assert_eq!(all, [("127.0.0.1:8080".parse().unwrap(), 4711), ("[::]:8082".parse().unwrap(), 4713)]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_port_is_free_ours_or_anothers_by_name() {
        let (_dir, root) = tree(&[("/proc/net/tcp", TCP), ("/proc/77/comm", "nginx\n"), ("/proc/77/fd/x", "")]);
        std::os::unix::fs::symlink("socket:[4711]", root.at("/proc/77/fd/3")).unwrap();
        let address = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(holders(&root)[&4711], nginx(77).unwrap());
        let ports = ports(vec![Listener { address, holder: holders(&root).remove(&4711) }]);
        let found = ports.check(None);
        assert_eq!(found.iter().map(|finding| finding.state).collect::<Vec<_>>(), [State::Failure, State::Ok]);
        assert!(found[0].found.contains("nginx (pid 77)") && found[0].remedy.as_ref().unwrap().contains("--listen"));
        assert_eq!(ports.check(Some(77))[0].state, State::Ok);
    }

    #[test]
    fn a_wildcard_takes_every_address_and_an_unseen_holder_is_said() {
        let all = ports(vec![Listener { address: "[::]:8081".parse().unwrap(), holder: None }]);
        assert_eq!(all.check(None)[1].state, State::Failure);
        assert_eq!(all.check(Some(5))[1].state, State::Unknown);
        let systemd = ports(vec![Listener { address: "0.0.0.0:8080".parse().unwrap(), holder: nginx(1) }]);
        assert_eq!(systemd.check(None)[0].state, State::Ok);
        assert_eq!(Ports { listeners: None, ..ports(vec![]) }.check(None)[0].state, State::Unknown);
    }

    #[test]
    fn an_address_of_another_machine_is_a_failure() {
        let mut ports = ports(vec![]);
        ports.wanted[0].local = false;
        assert_eq!(ports.check(None)[0].state, State::Failure);
        assert!(!clash("127.0.0.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()));
    }
}
