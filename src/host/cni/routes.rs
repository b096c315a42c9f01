//! Whether a subnet is free on this host, by its routes.

use std::net::Ipv4Addr;

use rscni_types::ipnet::Ipv4Net;

use super::{CniOptions, refusal};
use crate::host::HostError;

/// The main table of our network namespace.
const ROUTES: &str = "/proc/thread-self/net/route";

/// `RTF_REJECT` (linux/ipv6_route.h): packets are refused.
const REJECT: u32 = 0x200;
/// What the table shows of a route without a link.
const NO_LINK: &str = "*";

#[derive(Debug, PartialEq, Eq)]
struct Route {
    link: String,
    network: Ipv4Net,
    /// Whether it is one of those that refuse a subnet without its bridge: this actord's, or another one's.
    refusal: bool,
}

/// Refuses a subnet that this host routes elsewhere: replies to some of its machines would go to functions.
/// `earlier` is the subnet that an earlier start made a route for that refuses it.
pub(super) fn check(options: &CniOptions, earlier: Option<Ipv4Net>) -> Result<(), HostError> {
    let text = std::fs::read_to_string(ROUTES).map_err(|error| HostError::Failed(format!("{ROUTES}: {error}")))?;
    check_against(&text, &options.bridge, options.subnet, earlier).map_err(HostError::Failed)
}

/// As [`check`], by the table's text.
pub(super) fn check_against(
    table: &str,
    bridge: &str,
    subnet: Ipv4Net,
    earlier: Option<Ipv4Net>,
) -> Result<(), String> {
    for Route { link, network, refusal } in table.lines().skip(1).filter_map(parse) {
        if refusal && (network == subnet || Some(network) == earlier) {
            // Ours, which stays while the bridge comes and goes. An actord with this subnet and another bridge is found by
            // that bridge's own route.
        } else if link == bridge {
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

/// `link destination gateway flags refcnt use metric mask ...`, addresses and flags in hexadecimal, addresses in the host's
/// byte order.
fn parse(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [link, destination, _, flags, _, _, metric, mask, ..] = fields[..] else { return None };
    let refuses = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & REJECT != 0);
    let network = Ipv4Net::with_netmask(address(destination)?, address(mask)?).ok()?.trunc();
    let refusal = refuses && link == NO_LINK && metric == refusal::METRIC.to_string();
    Some(Route { link: link.to_owned(), network, refusal })
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
        check_against(TABLE, bridge, subnet.parse().unwrap(), None)
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
    #[cfg(target_endian = "little")]
    fn the_route_that_refuses_our_own_subnet_is_no_overlap_and_another_subnets_is() {
        let told = |flags: &str, metric: u32, earlier: Option<&'static str>| {
            let line = format!("*\t0007E70A\t00000000\t{flags}\t0\t0\t{metric}\t00FFFFFF\t0\t0\t0\n");
            move |subnet: &str| {
                check_against(
                    &format!("{TABLE}{line}"),
                    "br0",
                    subnet.parse().unwrap(),
                    earlier.map(|it| it.parse().unwrap()),
                )
            }
        };
        let refused = |flags: &str, metric: u32| told(flags, metric, None);
        refused("0201", refusal::METRIC)("10.231.7.0/24").unwrap();
        told("0201", refusal::METRIC, Some("10.231.7.0/24"))("10.231.0.0/16").unwrap();
        for overlap in ["10.231.0.0/16", "10.231.7.0/25"] {
            let error = refused("0201", refusal::METRIC)(overlap).unwrap_err();
            assert!(error.contains("10.231.7.0/24"), "{error}");
        }
        // An administrator's own, and one that leads somewhere.
        assert!(refused("0201", 0)("10.231.7.0/24").is_err());
        assert!(refused("0001", refusal::METRIC)("10.231.7.0/24").is_err());
    }

    #[test]
    fn the_default_route_overlaps_with_nothing() {
        check("br0", "172.30.0.0/16").unwrap();
    }
}
