//! `actord up`: from nothing to requests that are answered, and the orderly end.
//!
//! ```text
//! lock, credentials, sockets -> containerd -> archives -> recovery -> requests ... SIGTERM -> drain -> thaw, if for good
//! ```
//! The sockets listen from the start, so clients that come early wait instead of being refused.

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use actix::System;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::calls;
use super::certificate::files;
use super::context::{function_context, open_store, resting, scaler_settings};
use super::down::remove_everything;
use super::for_good::ends_for_good;
use super::machine::Machine;
use super::servers::Servers;
use super::sockets::Sockets;
use super::{
    boot, dashboard, housekeeping, last_run, memory, multi_threaded, must_be_root, open_files, ownership, preload,
    systemd, trial, upgrade,
};
use crate::actors::{LocalEngine, keep_invocations};
use crate::audit::Audit;
use crate::config::{Config, unknown_variables};
use crate::credentials::Access;
use crate::cron::{Cron, MachineClock};
use crate::data_dir::DataDir;
use crate::doctor::{Root, refuses_user_namespaces};
use crate::events::Events;
use crate::history::History;
use crate::host::containerd::instances::thaw_all;
use crate::http;
use crate::routes::{Parking, Routes};
use crate::scaler::Scaler;
use crate::store::{Namespaces, Secrets};
use crate::tls::Tls;
use crate::upgrade::{Addresses, Home};

/// `actord up`: runs until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// Why it could not start, in a sentence for the operator.
pub fn up(config: &Config, stop_functions: bool, upgrade_dir: &Path) -> anyhow::Result<()> {
    must_be_root()?;
    // Before anything is taken, of what is handed over and of the data directory: another program may go on from here.
    let home = Home::new(upgrade_dir);
    upgrade::settle(&home, config)?;
    if let Some(why) = refuses_user_namespaces(&Root::machine(), config) {
        anyhow::bail!(why);
    }
    for variable in unknown_variables(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!(
            variable,
            "no setting has a variable of this name: it changes nothing; actord up --help lists them"
        );
    }
    memory::set_up();
    open_files::raise(config);
    let data = DataDir::open(&config.data_dir)?;
    let access = Access::open(&config.auth_dir())?;
    let tls = files(config).map(Tls::open).transpose()?;
    boot::forget_earlier(&config.state_dir, config.boot_id_path())?;
    ownership::claim(config, &data)?;
    let sockets = (Sockets::open(config)?, dashboard::listen(config));
    let for_good = System::with_tokio_rt(multi_threaded).block_on(async {
        upgrade::have_watched(home.clone(), config.data_dir.clone());
        serve(config, (&data, &home), access, sockets, tls).await?;
        anyhow::Ok(ends_for_good().await)
    })?;
    // The actors are gone by now, so nothing starts again what is removed here, or freezes what is thawed.
    if stop_functions {
        systemd::status("removing every function");
        remove_everything(config, &data, false)?;
    } else if for_good {
        let instances = thaw_all(&config.cgroup_parent)?;
        tracing::info!(instances, "stopped for good: what was frozen goes on");
    }
    Ok(())
}

async fn serve(
    config: &Config,
    (data, home): (&DataDir, &Home),
    access: Access,
    (sockets, page): (Sockets, Option<TcpListener>),
    tls: Option<Tls>,
) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let asked_to_end = async {
        tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" }
    };
    tokio::pin!(asked_to_end);
    let store = open_store(config)?;
    let (public, provider, metrics) = sockets.addresses()?;
    let dashboard = page.as_ref().and_then(|page| page.local_addr().ok()).map(|address| address.to_string());
    let dashboard = dashboard.unwrap_or_else(|| "none".to_owned());
    // Told of before it is open, so that an end in the meantime can end that, too.
    let opening = OnceLock::new();
    let gate = trial::gate(home, &config.data_dir);
    let running = systemd::patiently(async {
        systemd::status("waiting for containerd");
        let machine = Machine::open(config, data.host_id(), public.port()).await?;
        // Not before: settings that this machine refuses are not those by which what runs on it is found.
        if let Err(error) = last_run::note(config, data, Addresses { public, provider, metrics }) {
            tracing::warn!(%error, "other verbs can't tell which settings this actord has: give them the same");
        }
        systemd::status("importing images");
        if let Err(error) = machine.images.recover().await {
            tracing::warn!(%error, "leases of interrupted pulls stay until they expire");
        }
        preload::import_before_start(machine.images.clone(), config.images_dir(), config.pull_timeout).await;
        let (time, waking, requests) = (config.park_time, config.ready_timeout, config.park_requests);
        let routes = Arc::new(Routes::new(Parking { time, waking, requests }));
        systemd::status("taking over the functions");
        let secrets = Secrets::new(config.secrets_dir());
        let namespaces = Namespaces::new(store.clone(), secrets.clone());
        let context = function_context(config, &machine, routes.clone(), store.clone(), secrets);
        let metrics = http::Metrics::new()?;
        dashboard::measure(&access, metrics.registry())?;
        context.measure(metrics.registry())?;
        machine.measure(metrics.registry())?;
        store.measure(metrics.registry())?;
        if let Some(tls) = &tls {
            tls.measure(metrics.registry())?;
        }
        let engine = LocalEngine::recover(context.clone()).await?;
        engine.shed_load(config.memory_pressure, resting(config));
        let (doors, settings) = (Arc::new(engine.clone()), scaler_settings(config));
        let scaler = Scaler::start(doors.clone(), routes.clone(), settings, &Handle::current())?;
        scaler.measure(metrics.registry())?;
        let history = History::start(doors.clone(), routes.clone(), &Handle::current());
        history.measure(metrics.registry())?;
        systemd::status("opening the asynchronous calls");
        let queue = calls::open(config, vec![public, provider], doors.clone(), routes.clone())?;
        let queue = opening.get_or_init(|| queue).clone();
        queue.opened(calls::OPENED).await;
        queue.measure(metrics.registry())?;
        let bodies = http::Bodies::of_at_most(queue.max_body());
        let calls = Arc::new(trial::Held { calls: Arc::new(queue.clone()), gate: gate.clone() });
        let clock = Arc::new(MachineClock);
        let cron = Cron::start(doors.clone(), routes.clone(), calls, clock, &Handle::current())?;
        cron.measure(metrics.registry())?;
        let places = Arc::new(namespaces.clone());
        let events = Events::start(doors.clone(), places.clone(), queue.clone(), history.loads(), &Handle::current());
        events.measure(metrics.registry())?;
        let services = http::Services {
            engine: doors,
            secrets: Arc::new(namespaces),
            namespaces: places,
            logs: Arc::new(engine.logs()),
            machine: Arc::new(dashboard::Looks::new(config.clone(), machine.images.clone(), Handle::current())),
            routes,
            metrics,
            draining: http::Draining::default(),
            gate,
            queue,
            schedules: cron.handle(),
            events,
            history,
            bodies,
        };
        anyhow::Ok((machine, context, engine, scaler, cron, Arc::new(services)))
    });
    let (machine, context, engine, scaler, cron, services) = tokio::select! {
        running = running => running?,
        signal = &mut asked_to_end => {
            tracing::info!("{signal} before everything was up");
            if let Some(queue) = opening.get() {
                systemd::patiently(queue.close()).await;
            }
            return Ok(());
        }
    };
    housekeeping::begin(config, &machine, (&store, &services.queue), tls.clone(), context.housekeeping());
    let audit = Audit::start(&config.audit_dir(), config.audit_max_size, services.metrics.registry())?;
    let servers = Servers::start(config, &access, &audit, (sockets, page), &services, tls.as_ref())?;
    let watchdog = actix::spawn(watchdog(engine));
    tracing::info!(%public, %provider, %metrics, dashboard, "ready");
    systemd::ready(&format!("functions answer on {public}"));
    let signal = asked_to_end.await;
    tracing::info!("{signal}: finishing the requests that are under way; functions go on running");
    systemd::stopping("finishing the requests that are under way");
    scaler.stop().await;
    cron.stop().await;
    services.history.stop().await;
    services.events.stop().await;
    // No call of the queue begins from here on; others are accepted for as long as somebody listens: they are durable.
    services.queue.end_dispatch();
    let since = Instant::now();
    systemd::patiently(servers.drain()).await;
    let left = config.drain_timeout.saturating_sub(since.elapsed());
    systemd::patiently(services.queue.finish(left)).await;
    audit.settle().await;
    watchdog.abort();
    context.stop_warming().await;
    context.housekeeping().stop().await;
    if let Err(error) = keep_invocations(&store, &services.routes).await {
        tracing::warn!(%error, "how often functions were called in the last seconds is lost");
    }
    if let Err(error) = store.refresh_copy().await {
        tracing::warn!(%error, "the last good copy of the store is not from the end of this run");
    }
    // Last, since it copies what may be a large file.
    systemd::patiently(services.queue.close()).await;
    Ok(())
}

/// Tells the service manager that the registry answers, as often as it wants to know.
async fn watchdog(engine: LocalEngine) {
    systemd::watchdog(async || engine.ping().await.ok()).await;
}
