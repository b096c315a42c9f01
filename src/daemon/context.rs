//! What the actors and the scaler work with, from the settings.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Handle;

use super::bounds;
use super::machine::{Machine, capabilities, runtime_names};
use crate::actors::{Context, Settings, Watermarks};
use crate::config::Config;
use crate::function::{Compat32Bit, Resting};
use crate::routes::Routes;
use crate::scaler;
use crate::store::{Secrets, Store};

/// Opens the desired state of these settings.
pub(super) fn open_store(config: &Config) -> anyhow::Result<Store> {
    let path = config.store_path();
    Store::open(&path).with_context(|| format!("open {}", path.display()))
}

/// After how long without a call functions rest that ask for it.
pub(super) fn resting(config: &Config) -> Resting {
    Resting { freeze_after: Some(config.freeze_after), zero_after: Some(config.zero_duration) }
}

/// What the scaler goes by where functions do not say otherwise.
pub(super) fn scaler_settings(config: &Config) -> scaler::Settings {
    scaler::Settings { resting: resting(config), down_window: config.scale_down_window }
}

/// How many attachments are kept ready for starts to come: no more than a quarter of the addresses.
fn warm_attachments(config: &Config) -> usize {
    // What the plugins of a user's own list keep elsewhere can't be looked at without them: whether an attachment of an
    // hour ago is still whole, only a new one tells.
    if config.cni_conflist.is_some() {
        return 0;
    }
    let addresses = 1_usize << u32::from(config.cni_subnet.max_prefix_len() - config.cni_subnet.prefix_len());
    config.warm_attachments.min(addresses / 4)
}

/// None where no image is to be removed early, or it is not known where images are.
fn image_watermarks(config: &Config) -> Option<Watermarks> {
    let Config { image_high_watermark: high, image_low_watermark: low, .. } = *config;
    let on = high > 0 && !config.image_retention.is_zero() && config.containerd.is_none();
    on.then_some(Watermarks { high, low: low.min(high) })
}

/// The actors' context over this machine. Needs an actix system and a tokio runtime around it.
pub(super) fn function_context(
    config: &Config,
    machine: &Machine,
    routes: Arc<Routes>,
    store: Store,
    secrets: Secrets,
) -> Arc<Context> {
    let settings = Settings {
        deploy_wait: config.deploy_wait,
        pull_policy: config.pull_policy,
        pull_timeout: config.pull_timeout,
        parallel_pulls: config.parallel_pulls,
        max_functions: config.max_functions,
        max_memory_requests: config.max_memory_requests,
        image_retention: config.image_retention,
        image_watermarks: image_watermarks(config),
        host_timeout: config.host_timeout,
        parallel_attachments: config.parallel_attachments,
        warm_attachments: warm_attachments(config),
        parallel_starts: config.parallel_starts,
        ready_timeout: config.ready_timeout,
        drain_timeout: config.drain_timeout,
        grace_period: config.grace_period,
        runtimes: runtime_names(config),
        capabilities: capabilities(config),
        compat_32bit: Compat32Bit(config.compat_32bit),
        ephemeral_storage: bounds::ephemeral_storage(config),
    };
    Context::new(machine.host(), store, secrets, routes, settings, Handle::current())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::given::config;

    #[test]
    fn images_go_early_only_where_they_may_go_at_all_and_it_is_known_where_they_are() {
        for (arguments, expected) in [
            ("", Some((85, 80))),
            ("--image-high-watermark 60", Some((60, 60))),
            ("--image-high-watermark 90 --image-low-watermark 50", Some((90, 50))),
            ("--image-high-watermark 0", None),
            ("--image-retention 0", None),
            ("--containerd /run/containerd/containerd.sock", None),
        ] {
            let marks = image_watermarks(&config(arguments)).map(|marks| (marks.high, marks.low));
            assert_eq!(marks, expected, "{arguments}");
        }
    }

    #[test]
    fn a_small_subnet_keeps_most_of_its_addresses_for_functions_and_a_list_of_ones_own_has_no_pool() {
        for (arguments, expected) in [
            ("", 64),
            ("--warm-attachments 0", 0),
            ("--cni-subnet 10.9.0.0/25", 32),
            ("--cni-subnet 10.9.0.0/29", 2),
            ("--cni-subnet 10.9.0.0/29 --warm-attachments 1", 1),
            ("--cni-conflist /etc/own.conflist", 0),
        ] {
            assert_eq!(warm_attachments(&config(arguments)), expected, "{arguments}");
        }
    }
}
