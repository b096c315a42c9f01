//! The route that refuses the functions' subnet when their bridge is gone.
//!
//! The bridge's own route goes with its address, with the link, or when that goes down. A packet to a function would then
//! follow the default route out of this machine. This route comes after the bridge's by its metric, and needs no link:
//! without the bridge the sender is told at once that the function is unreachable, and nothing leaves. It is made with
//! the bridge and stays until `teardown_all`.
//!
//! A file in the state directory tells which subnet it is for, so that a start with another one removes it.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use tracing::info;

use super::netlink::{self, Route};
use super::{CniOptions, Ipv4Net};
use crate::host::HostError;

/// After every other route to the subnet.
pub(super) const METRIC: u32 = i32::MAX as u32;
/// Tells our routes from others'. No number of /etc/iproute2/rt_protos.
const PROTOCOL: u8 = 97;

const ROUTE: Route = Route::Refuse { metric: METRIC, protocol: PROTOCOL };

fn record(options: &CniOptions) -> PathBuf {
    options.state_dir.join("refused-subnet")
}

fn failed(subnet: Ipv4Net) -> impl Fn(std::io::Error) -> HostError {
    move |error| HostError::Failed(format!("route that refuses {subnet} when the bridge is gone: {error}"))
}

/// Makes the route if it is missing. Whether it was.
pub(super) fn ensure(options: &CniOptions) -> Result<bool, HostError> {
    let (subnet, failed) = (options.subnet, failed(options.subnet));
    if netlink::is_refused(subnet, METRIC, PROTOCOL).map_err(&failed)? {
        return Ok(false);
    }
    fs::create_dir_all(&options.state_dir).map_err(&failed)?;
    // First the file: what was made is always found again.
    fs::write(record(options), subnet.to_string()).map_err(&failed)?;
    netlink::add_route(subnet, ROUTE).map_err(&failed)?;
    Ok(true)
}

/// The subnet that an earlier start made the route for.
pub(super) fn earlier(options: &CniOptions) -> Option<Ipv4Net> {
    fs::read_to_string(record(options)).ok()?.trim().parse().ok()
}

/// Removes the route that an earlier start made for another subnet. Once it is known that this one can be had: functions
/// of the earlier one may be running.
pub(super) fn forget_earlier(options: &CniOptions) -> Result<(), HostError> {
    let Some(earlier) = earlier(options).filter(|earlier| *earlier != options.subnet) else { return Ok(()) };
    netlink::delete_route(earlier, ROUTE).map_err(failed(earlier))?;
    forget(options).map_err(failed(earlier))?;
    info!(subnet = %earlier, "removed the route that refused the functions' earlier subnet");
    Ok(())
}

/// Removes the route. Idempotent.
pub(super) fn remove(options: &CniOptions) -> Result<(), HostError> {
    netlink::delete_route(options.subnet, ROUTE).map_err(failed(options.subnet))?;
    forget(options).map_err(failed(options.subnet))
}

fn forget(options: &CniOptions) -> std::io::Result<()> {
    match fs::remove_file(record(options)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
