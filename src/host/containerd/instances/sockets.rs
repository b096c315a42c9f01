//! What an instance listens on: the socket table of its network namespace, as the kernel shows it for a process in it.
//! Nothing is sent to the instance, and no namespace is entered.
//!
//! ```text
//! task -> pid -> /proc/PID/net/tcp and tcp6 -> the lines in state LISTEN
//! ```

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// `TCP_LISTEN` of the kernel, as the table writes it.
const LISTEN: &str = "0A";

/// What the processes listen on that share the network namespace of process `pid`; none when there is no such process.
pub(super) fn listening(pid: u32) -> io::Result<Option<Vec<SocketAddr>>> {
    let directory = Path::new("/proc").join(pid.to_string()).join("net");
    let Some(four) = table(&directory.join("tcp"))? else { return Ok(None) };
    // A kernel without IPv6 has no such table.
    let six = table(&directory.join("tcp6"))?.unwrap_or_default();
    let mut found: Vec<SocketAddr> = four.lines().chain(six.lines()).filter_map(listener).collect();
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

fn table(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        // The process went before it was opened, or while it was being read.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();

/// The address of a line, if it is that of a socket that listens: `0: 0100007F:1F90 00000000:0000 0A ...`.
fn listener(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_ascii_whitespace();
    let (local, state) = (words.nth(1)?, words.nth(1)?);
    if state != LISTEN {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    Some(SocketAddr::new(address(ip)?, u16::from_str_radix(port, 16).ok()?))
}

/// The kernel writes each 32 bits of an address as a number of this machine, whatever the order of its bytes.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |from: usize| u32::from_str_radix(hex.get(from..from + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_line_is_read_and_only_what_listens_counts() {
        for (line, expected) in [
            ("  0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000", Some("127.0.0.1:5000")),
            ("  1: 00000000:1F90 00000000:0000 0A 00000000:00000000", Some("0.0.0.0:8080")),
            ("  2: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A", Some("[::]:8080")),
            ("  3: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A", Some("[::1]:80")),
            ("  4: 0100007F:1388 0100007F:D431 01 00000000:00000000", None),
            ("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt", None),
            ("  5: 0100:1388 00000000:0000 0A", None),
            ("  6: 0100007F 00000000:0000 0A", None),
            ("", None),
        ] {
            assert_eq!(listener(line).map(|it| it.to_string()).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn what_this_process_listens_on_is_found() {
        let open = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"].map(TcpListener::bind);
        let found = listening(std::process::id()).unwrap().unwrap();
        // Some machines have no IPv6.
        for listener in open.iter().flatten() {
            let address = listener.local_addr().unwrap();
            assert!(found.contains(&address), "{address} is not in {found:?}");
        }
        assert!(found.is_sorted());
        assert_eq!(listening(u32::MAX).unwrap(), None, "no such process");
    }
}
