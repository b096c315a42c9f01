//! A service that an operator lets functions reach: of this machine, or at a link-local address.

use std::net::Ipv4Addr;
use std::str::FromStr;

/// Any address of this machine, as an operator writes it.
const HOST: &str = "host";

/// See the module. By TCP and by UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostService {
    /// None: at any address of this machine.
    pub address: Option<Ipv4Addr>,
    /// Its port.
    pub port: u16,
}

impl FromStr for HostService {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected an IPv4 address or host, and a port, such as 10.0.0.5:5432 or host:9090".to_owned();
        let (address, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
        let address = if address == HOST { None } else { Some(address.parse().map_err(|_| wrong())?) };
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        Ok(Self { address, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_an_address_or_host_with_a_port() {
        let read = |text: &str| text.parse::<HostService>();
        assert_eq!(read("10.0.0.5:5432"), Ok(HostService { address: Some(Ipv4Addr::new(10, 0, 0, 5)), port: 5432 }));
        assert_eq!(read("host:9090"), Ok(HostService { address: None, port: 9090 }));
        for bad in ["", "host", "host:", "host:0", "host:70000", "db:5432", "10.0.0.5", "[::1]:80", "10.0.0.0/8:80"] {
            assert!(read(bad).unwrap_err().contains("host:9090"), "{bad}");
        }
    }
}
