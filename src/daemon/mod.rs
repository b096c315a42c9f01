//! The rooms introduced to each other: Config -> Host -> actors -> http. The only room that knows every other one.
//!
//! ```text
//! up:     lock, credentials, sockets -> containerd -> archives -> recovery -> requests ... SIGTERM -> drain (-> thaw)
//! down:   lock -> everything that actord made on this machine is removed
//! import: archives -> the containerd that runs -> archives: export_images          examine: this machine -> findings
//! ```
//! `up` is [`mod@up`], with the host from `machine` and `shim_link`, image archives from `preload`, listeners from `sockets`
//! and `servers`, the page's own and what it shows of the machine in `dashboard`, words to the service manager in `systemd`, what it has in mind in `for_good`, and the periodic jobs begun in
//! `housekeeping`; `memory` has the allocator give back what is free, `certificate` follows that of TLS. `boot` and `ownership` keep what
//! the state directory says true; `last_run` tells the other verbs which settings `up` had; `upgrade` is what `up` does while it is being upgraded. `main` parses the command line and calls the functions below.

mod boot;
mod bounds;
mod calls;
mod certificate;
mod context;
mod dashboard;
mod down;
mod emptied;
mod examine;
mod for_good;
#[cfg(test)]
mod given;
mod housekeeping;
mod import;
mod last_run;
mod machine;
mod memory;
mod open_files;
mod ownership;
pub mod preload;
mod servers;
mod shim_link;
mod sockets;
mod systemd;
mod trial;
mod up;
mod upgrade;

use anyhow::bail;

pub use down::down;
pub use examine::examine;
pub use import::{export_images, import};
pub use up::up;
pub use upgrade::{description, to_be_upgraded, watch_upgrade};

#[expect(clippy::expect_used, reason = "actix wants a runtime, not an error; without one there is nothing to do")]
fn multi_threaded() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system gives us threads")
}

/// Said first: what fails without it would fail later and less clearly.
fn must_be_root() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("containers and networks need root: run actord as root (sudo), or as a system service");
    }
    Ok(())
}
