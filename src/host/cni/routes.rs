//! Whether a subnet is free on this host, by its routes.

use std::net::Ipv4Addr;

use rscni_types::ipnet::Ipv4Net;

use super::CniOptions;
use crate::host::HostError;

/// The main table of our network namespace.
const ROUTES: &str = "/proc/net/route";

#[derive(Debug, PartialEq, Eq)]
struct Route {
    link: String,
    network: Ipv4Net,
}

/// Refuses a subnet that this host routes elsewhere: replies to some of its machines would go to functions.
pub(super) fn check(options: &CniOptions) -> Result<(), HostError> {
    let text = std::fs::read_to_string(ROUTES).map_err(|error| HostError::Failed(format!("{ROUTES}: {error}")))?;
    check_against(&text, &options.bridge, options.subnet).map_err(HostError::Failed)
}

/// As [`check`], by the table's text.
pub(super) fn check_against(table: &str, bridge: &str, subnet: Ipv4Net) -> Result<(), String> {
    for Route { link, network } in table.lines().skip(1).filter_map(parse) {
        if link == bridge {
            if network != subnet {
                return Err(format!(
                    "subnet {subnet}: bridge {bridge} has the network {network} from an earlier start: set the subnet \
                     back to it, or run `actord down` first"
                ));
            }
        } else if network.prefix_len() > 0 && (network.contains(&subnet) || subnet.contains(&network)) {
            return Err(format!(
                "subnet {subnet}: overlaps with this host's route to {network} by {link}: set another subnet for the \
                 functions' network"
            ));
        }
    }
    Ok(())
}

/// `link destination gateway flags refcnt use metric mask ...`, addresses in hexadecimal and in the host's byte order.
fn parse(line: &str) -> Option<Route> {
    let mut fields = line.split_whitespace();
    let link = fields.next()?.to_owned();
    let destination = address(fields.next()?)?;
    let mask = address(fields.nth(5)?)?;
    Some(Route { link, network: Ipv4Net::with_netmask(destination, mask).ok()?.trunc() })
}

fn address(hex: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(hex, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel prints it: a default route, 192.0.2.0/24 on eth0 and 10.7.5.0/24 on br7.
    const TABLE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        br7\t0005070A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

    fn check(bridge: &str, subnet: &str) -> Result<(), String> {
        check_against(TABLE, bridge, subnet.parse().unwrap())
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_subnet_inside_or_around_a_route_is_refused_and_names_the_route() {
        for subnet in ["192.0.2.0/24", "192.0.2.128/25", "192.0.0.0/16", "10.7.0.0/16"] {
            let error = check("br0", subnet).unwrap_err();
            assert!(error.contains("overlaps with this host's route to "), "{error}");
            assert!(error.contains("by eth0") || error.contains("by br7"), "{error}");
        }
        check("br0", "10.8.0.0/16").unwrap();
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn our_own_bridge_is_no_overlap_unless_its_network_was_another() {
        check("br7", "10.7.5.0/24").unwrap();
        assert!(check("br7", "10.9.0.0/16").unwrap_err().contains("10.7.5.0/24 from an earlier start"));
    }

    #[test]
    fn the_default_route_overlaps_with_nothing() {
        check("br0", "172.30.0.0/16").unwrap();
    }
}
