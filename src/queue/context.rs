//! What all parts of the queue share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::budget::{BESIDE, Budget};
use super::disk::Disk;
use super::ends::Ends;
use super::gate::Gate;
use super::metrics::Metrics;
use super::policy::Policies;
use super::room::Room;
use super::seam::{Deliver, Invoke};
use super::settling::Settling;
use super::under_way::UnderWay;
use crate::engine::Engine;
use crate::routes::Routes;
use crate::store::calls::LaneId;

/// Whether calls are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// They are.
    Running,
    /// Those under way end, and no other begins.
    Ending,
}

/// How a lane stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneShown {
    pub(super) gate: Gate,
    pub(super) in_flight: u32,
    /// Since when the first waits that could be sent, in ticks.
    pub(super) oldest: Option<i64>,
}

/// See the module.
pub(super) struct Context {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) routes: Arc<Routes>,
    pub(super) settings: Settings,
    pub(super) policies: Policies,
    pub(super) budget: Budget,
    pub(super) room: Arc<Room>,
    pub(super) under_way: UnderWay,
    pub(super) metrics: Metrics,
    pub(super) ends: Ends,
    pub(super) disk: Disk,
    /// When the first deadline is that was accepted, in ticks.
    pub(super) deadlines: watch::Sender<i64>,
    pub(super) run: watch::Sender<Run>,
    /// Whether nothing is under way, or left to be written down.
    pub(super) idle: watch::Sender<bool>,
    /// What was answered, on its way onto the disk.
    pub(super) settling: Settling,
    shown: Mutex<HashMap<LaneId, LaneShown>>,
}

/// What sends calls and callbacks.
pub(super) struct Senders {
    pub(super) invoke: Arc<dyn Invoke>,
    pub(super) deliver: Arc<dyn Deliver>,
}

impl Context {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        routes: Arc<Routes>,
        settings: Settings,
        end: CancellationToken,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self {
            policies: Policies::new(engine.clone()),
            engine,
            routes,
            disk: Disk::new(settings.directory.clone()),
            room: Arc::new(Room::new(settings.max_bytes, (settings.max_body + BESIDE) as u64)),
            settings,
            budget: Budget::new(),
            under_way: UnderWay::default(),
            metrics: Metrics::new()?,
            ends: Ends::new(),
            deadlines: watch::Sender::new(i64::MAX),
            run: watch::Sender::new(Run::Running),
            idle: watch::Sender::new(true),
            settling: Settling::new(end),
            shown: Mutex::default(),
        })
    }

    /// How the lanes stand.
    pub(super) fn shown(&self) -> MutexGuard<'_, HashMap<LaneId, LaneShown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
