//! The way down for all functions at once: `actord down`, and `actord up --stop-functions` at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use actix::System;
use anyhow::anyhow;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::context::{function_context, open_store};
use super::machine::Machine;
use super::{boot, last_run, multi_threaded, must_be_root, ownership};
use crate::actors::tear_down;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::function::InstanceId;
use crate::host::containerd::instances::thaw_all;
use crate::routes::Routes;
use crate::store::Secrets;
use crate::upgrade::{Home, refuse_meanwhile};

/// `actord down`: removes every function and all that actord made on this machine, with their logs; other
/// data stays.
///
/// # Errors
/// What could not be removed is named; the next try goes on from there.
pub fn down(config: &Config, upgrade_dir: &Path) -> anyhow::Result<()> {
    must_be_root()?;
    let home = Home::new(upgrade_dir);
    refuse_meanwhile(&home, &config.data_dir)?;
    let data = DataDir::open(&config.data_dir)?;
    // None can begin from here on: only an actord that has the directory is upgraded.
    refuse_meanwhile(&home, &config.data_dir)?;
    last_run::must_be_of_the_last(config, &data)?;
    boot::forget_earlier(&config.state_dir, config.boot_id_path())?;
    ownership::claim(config, &data)?;
    remove_everything(config, &data, true)
}

/// Removes every function; with its logs, unless it is for a while only.
pub(super) fn remove_everything(config: &Config, data: &DataDir, logs: bool) -> anyhow::Result<()> {
    System::with_tokio_rt(multi_threaded).block_on(async {
        // Whatever goes wrong from here on: nothing stays frozen that nobody thaws.
        thaw_all(&config.cgroup_parent)?;
        let machine = Machine::open(config, data.host_id(), config.listen.port()).await?;
        let (routes, secrets) = (Arc::new(Routes::default()), Secrets::new(config.secrets_dir()));
        // Nothing will start any more.
        let config = &Config { warm_attachments: 0, ..config.clone() };
        let context = function_context(config, &machine, routes, open_store(config)?, secrets);
        let host = machine.host();
        let found = host.runtime.list().await?.into_iter().map(|found| found.id);
        let attached = host.network.list().await?;
        let all: BTreeSet<InstanceId> = found.chain(attached).collect();
        tracing::info!(instances = all.len(), "removing");
        let removed = stream::iter(&all).map(|id| tear_down(&context, id)).buffer_unordered(16);
        let errors = removed.filter_map(|removed| async { removed.err().map(|errors| errors.to_string()) });
        let errors: Vec<String> = errors.collect().await;
        if !errors.is_empty() {
            return Err(anyhow!("could not be removed completely, try again: {}", errors.join("; ")));
        }
        if logs {
            host.logs.sweep(&BTreeMap::new(), Timestamp::now()).await?;
        }
        machine.remove_shared().await?;
        ownership::release(config)?;
        last_run::forget(data)?;
        tracing::info!("everything is removed; the data directory stays");
        Ok(())
    })
}
