//! Whether an address is one of this machine.
//!
//! A list of them would be old in a moment: networks come and go, and a callback must not reach this machine by an address that
//! came after the start. So the kernel is asked each time, which routes to what is its own from that same address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Any port: nothing is sent there.
const PORT: u16 = 9;

/// Whether the kernel would hand to this machine what is sent to this address.
#[must_use]
pub fn is_local(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let chosen = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, PORT))?;
        Ok(socket.local_addr()?.ip())
    };
    // Where there is no way to it, nothing can be sent to it either.
    chosen().is_ok_and(|chosen| chosen == address)
        || (!binds_anything(address) && UdpSocket::bind((address, 0)).is_ok())
}

/// Whether any address can be bound here, so that being able to says nothing. Else it tells the second address of a network,
/// which the kernel routes to from the first.
fn binds_anything(address: IpAddr) -> bool {
    let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
    let setting = std::fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind"));
    setting.is_ok_and(|setting| setting.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_this_machine_are_told_from_those_of_others() {
        for local in ["127.0.0.1", "127.8.9.10", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        for other in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(!is_local(other.parse().unwrap()), "{other}");
        }
        // The address by which this machine goes to others, if it has any.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert!(is_local(own), "{own}");
        }
    }
}
