//! Puts the rooms together: Config -> Host -> actors -> http. With `main` the only place that knows every room.
//!
//! ```text
//! lock, credentials, sockets -> containerd -> archives -> recovery -> requests ... SIGTERM -> drain
//! ```
//! The sockets listen from the start, so clients that come early wait instead of being refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use actix::System;
use actord::actors::messages::Get;
use actord::actors::{Context as ActorContext, Registry, Settings, keep_invocations, tear_down};
use actord::config::Config;
use actord::credentials::Credentials;
use actord::data_dir::DataDir;
use actord::doctor::{Facts, Finding, Root};
use actord::function::{FunctionId, InstanceId};
use actord::host::Images as _;
use actord::host::containerd::daemon::Daemon;
use actord::host::containerd::images::ContainerdImages;
use actord::http;
use actord::routes::{Parking, Routes};
use actord::store::{Namespaces, Secrets, Store};
use anyhow::{Context, anyhow, bail};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::boot;
use crate::machine::{Machine, cni_options, connect, daemon_options, images_options};
use crate::preload;
use crate::pruning;
use crate::servers::Servers;
use crate::sockets::Sockets;
use crate::systemd;

/// `actord up`: runs until SIGTERM or SIGINT, then drains.
pub(crate) fn up(config: &Config, stop_functions: bool) -> anyhow::Result<()> {
    must_be_root()?;
    let data = DataDir::open(&config.data_dir)?;
    let credentials = Credentials::read_or_make(&config.auth_dir())?;
    boot::forget_earlier(&config.state_dir, &config.boot_id_path)?;
    boot::claim(config, &data)?;
    let sockets = Sockets::open(config)?;
    System::with_tokio_rt(multi_threaded).block_on(serve(config, &data, credentials, sockets))?;
    if stop_functions {
        systemd::status("removing every function");
        // The actors are gone by now, so nobody starts again what is removed here.
        remove_everything(config, &data, false)?;
    }
    Ok(())
}

/// Said first: what fails without it would fail later and less clearly.
fn must_be_root() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("containers and networks need root: run actord as root (sudo), or as a system service");
    }
    Ok(())
}

/// `actord down`: removes every function and all that actord made on this machine, with their logs; other
/// data stays.
pub(crate) fn down(config: &Config) -> anyhow::Result<()> {
    must_be_root()?;
    let data = DataDir::open(&config.data_dir)?;
    boot::forget_earlier(&config.state_dir, &config.boot_id_path)?;
    boot::claim(config, &data)?;
    remove_everything(config, &data, true)
}

/// `actord image import`: into the containerd of an actord that runs.
pub(crate) fn import(config: &Config, path: &Path) -> anyhow::Result<()> {
    let host_id = DataDir::host_id_of(&config.data_dir)?;
    multi_threaded().block_on(async {
        if config.containerd.is_none() && Daemon::adopt(daemon_options(config)).await?.is_none() {
            let directory = config.images_dir();
            bail!(
                "no containerd of ours runs: start `actord up`, or put the archive into {} to be imported at its next \
                 start",
                directory.display()
            );
        }
        let images = ContainerdImages::new(connect(config, &host_id)?, images_options(config));
        let archives = match path.is_dir() {
            true => preload::archives(path).with_context(|| format!("read {}", path.display()))?,
            false => vec![path.to_owned()],
        };
        if archives.is_empty() {
            bail!("{} holds no archive: no file in it ends with .tar, .tar.gz or .tgz", path.display());
        }
        for archive in archives {
            for reference in images.import(&archive).await? {
                println!("{reference}");
            }
        }
        Ok(())
    })
}

/// `actord doctor`: looks at this machine and at the actord that runs on it, and changes nothing.
pub(crate) fn examine(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let facts = runtime.block_on(Facts::gather(&Root::machine(), config, &cni_options(config)));
    Ok(facts.findings())
}

#[expect(clippy::expect_used, reason = "actix wants a runtime, not an error; without one there is nothing to do")]
fn multi_threaded() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system gives us threads")
}

async fn serve(config: &Config, data: &DataDir, credentials: Credentials, sockets: Sockets) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let asked_to_end = async {
        tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" }
    };
    tokio::pin!(asked_to_end);
    let store = open_store(config)?;
    let running = systemd::patiently(async {
        systemd::status("waiting for containerd");
        let machine = Machine::open(config, data.host_id()).await?;
        systemd::status("importing images");
        if let Err(error) = machine.images.recover().await {
            tracing::warn!(%error, "leases of interrupted pulls stay until they expire");
        }
        preload::import_before_start(machine.images.clone(), config.images_dir(), config.pull_timeout).await;
        let routes = Arc::new(Routes::new(Parking { time: config.park_time, requests: config.park_requests }));
        systemd::status("taking over the functions");
        let secrets = Secrets::new(config.secrets_dir());
        let namespaces = Namespaces::new(store.clone(), secrets.clone());
        let around = surroundings(config, &machine, routes.clone(), store.clone(), secrets);
        let metrics = http::Metrics::new()?;
        around.measure(metrics.registry())?;
        store.measure(metrics.registry())?;
        let registry = Registry::recover(around).await?;
        let services = http::Services {
            provider: registry.into(),
            routes,
            namespaces,
            metrics,
            draining: http::Draining::default(),
            logs: machine.host().logs,
        };
        anyhow::Ok((machine, Arc::new(services)))
    });
    let (machine, services) = tokio::select! {
        running = running => running?,
        signal = &mut asked_to_end => {
            tracing::info!("{signal} before everything was up");
            return Ok(());
        }
    };
    let way_out = tokio::spawn(Machine::keep_open(machine.network.clone()));
    let name_servers = tokio::spawn(Machine::keep_name_servers(machine.runtime.clone()));
    let pruning = tokio::spawn(pruning::keep_pruning(machine.images.clone(), store.clone(), config.image_retention));
    let (public, provider, metrics) = sockets.addresses()?;
    let servers = Servers::start(config, &credentials, sockets, &services)?;
    let watchdog = actix::spawn(watchdog(services.clone(), "watchdog".parse()?));
    tracing::info!(%public, %provider, %metrics, "ready");
    systemd::ready(&format!("functions answer on {public}"));
    let signal = asked_to_end.await;
    tracing::info!("{signal}: finishing the requests that are under way; functions go on running");
    systemd::stopping("finishing the requests that are under way");
    way_out.abort();
    name_servers.abort();
    pruning.abort();
    systemd::patiently(servers.drain()).await;
    watchdog.abort();
    if let Err(error) = keep_invocations(&store, &services.routes).await {
        tracing::warn!(%error, "how often functions were called in the last seconds is lost");
    }
    if let Err(error) = store.refresh_copy().await {
        tracing::warn!(%error, "the last good copy of the store is not from the end of this run");
    }
    Ok(())
}

/// Tells the service manager that the registry answers, as often as it wants to know. `id` is asked for, and may be
/// nobody's.
async fn watchdog(services: Arc<http::Services>, id: FunctionId) {
    systemd::watchdog(async || services.provider.now().get.send(Get { id: id.clone() }).await.ok()).await;
}

fn open_store(config: &Config) -> anyhow::Result<Store> {
    let path = config.store_path();
    Store::open(&path).with_context(|| format!("open {}", path.display()))
}

fn surroundings(
    config: &Config,
    machine: &Machine,
    routes: Arc<Routes>,
    store: Store,
    secrets: Secrets,
) -> Arc<ActorContext> {
    let settings = Settings {
        deploy_wait: config.deploy_wait,
        pull_policy: config.pull_policy,
        pull_timeout: config.pull_timeout,
        parallel_pulls: config.parallel_pulls,
        host_timeout: config.host_timeout,
        parallel_attachments: config.parallel_attachments,
        parallel_starts: config.parallel_starts,
        ready_timeout: config.ready_timeout,
        drain_timeout: config.drain_timeout,
        grace_period: config.grace_period,
    };
    ActorContext::new(machine.host(), store, secrets, routes, settings, Handle::current())
}

/// Removes every function, with its logs where it is not for a while only.
fn remove_everything(config: &Config, data: &DataDir, logs: bool) -> anyhow::Result<()> {
    System::with_tokio_rt(multi_threaded).block_on(async {
        let machine = Machine::open(config, data.host_id()).await?;
        let (routes, secrets) = (Arc::new(Routes::default()), Secrets::new(config.secrets_dir()));
        let around = surroundings(config, &machine, routes, open_store(config)?, secrets);
        let host = machine.host();
        let found = host.runtime.list().await?.into_iter().map(|found| found.id);
        let attached = host.network.list().await?;
        let all: BTreeSet<InstanceId> = found.chain(attached).collect();
        tracing::info!(instances = all.len(), "removing");
        let removed = stream::iter(&all).map(|id| tear_down(&around, id)).buffer_unordered(16);
        let errors: Vec<String> =
            removed.filter_map(|removed| async { removed.err().map(|errors| errors.to_string()) }).collect().await;
        if !errors.is_empty() {
            return Err(anyhow!("could not be removed completely, try again: {}", errors.join("; ")));
        }
        if logs {
            host.logs.sweep(&BTreeMap::new(), Timestamp::now()).await?;
        }
        machine.remove_shared().await?;
        boot::release(config)?;
        tracing::info!("everything is removed; the data directory stays");
        Ok(())
    })
}
