//! The dashboard's part of this process: its socket, and the machine as it shows it.
//!
//! ```text
//! look -> not older than ten seconds: as it was
//!      -> else on a thread: what `actord doctor` finds; here: disks, memory, images
//! ```
//! One looks at a time, however many ask; the others get what that one finds.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use prometheus::{PullingGauge, Registry};
use rustix::fs::statvfs;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::examine::examine;
use super::sockets;
use crate::config::Config;
use crate::credentials::Access;
use crate::doctor::Finding;
use crate::function::Memory;
use crate::host::containerd::images::ContainerdImages;
use crate::host::{LocalMemory, MemoryGauge as _};
use crate::http::Machine;
use crate::wire::{DiskView, FindingView, ImagesView, MachineView, MemoryView};

/// Looking takes programs and disks some work: it is done so often at most.
const FRESH: Duration = Duration::from_secs(10);
/// Who asks waits no longer.
const LIMIT: Duration = Duration::from_secs(20);
const IMAGES_WITHIN: Duration = Duration::from_secs(5);

/// Binds the page's socket; none: there is to be none, or it can't be had. That stops nothing: functions and their API are
/// served as well without a page.
pub(super) fn listen(config: &Config) -> Option<TcpListener> {
    let address = config.dashboard_listen.0?;
    let bound = sockets::bind("dashboard-listen", address);
    bound.inspect_err(|error| tracing::error!("there is no dashboard, all else is served: {error:#}")).ok()
}

/// Has it counted how many sessions there are.
pub(super) fn measure(access: &Access, registry: &Registry) -> Result<(), prometheus::Error> {
    let access = access.clone();
    #[allow(clippy::cast_precision_loss, reason = "they are few")]
    let count = Box::new(move || access.sessions() as f64);
    let gauge =
        PullingGauge::new("actord_sessions", "Sessions that were begun by a password or token and hold", count)?;
    registry.register(Box::new(gauge))
}

/// Looks at this machine.
pub(super) struct Looks {
    config: Config,
    images: Arc<ContainerdImages>,
    runtime: Handle,
    begun: Instant,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    seen: Option<(Instant, MachineView)>,
    /// What looks; it goes on when who asked has left.
    looking: Option<JoinHandle<anyhow::Result<Vec<Finding>>>>,
}

impl Looks {
    pub(super) fn new(config: Config, images: Arc<ContainerdImages>, runtime: Handle) -> Self {
        Self { config, images, runtime, begun: Instant::now(), last: Mutex::default() }
    }

    /// What `actord doctor` finds.
    async fn findings(&self, last: &mut Last) -> Vec<FindingView> {
        let looking = last.looking.get_or_insert_with(|| {
            let config = self.config.clone();
            self.runtime.spawn_blocking(move || examine(&config))
        });
        let Ok(found) = timeout(LIMIT, looking).await else {
            return vec![unseen(format!("it is still looking after {LIMIT:?}"))];
        };
        last.looking = None;
        match found {
            Ok(Ok(found)) => found.into_iter().map(finding).collect(),
            Ok(Err(error)) => vec![unseen(format!("{error:#}"))],
            Err(lost) => vec![unseen(format!("its thread was lost: {lost}"))],
        }
    }

    async fn images(&self) -> Option<ImagesView> {
        let (count, bytes) = timeout(IMAGES_WITHIN, self.images.kept()).await.ok()?.ok()?;
        Some(ImagesView { count: count as u64, bytes })
    }
}

#[async_trait]
impl Machine for Looks {
    async fn look(&self) -> MachineView {
        let mut last = self.last.lock().await;
        if let Some((at, view)) = &last.seen
            && at.elapsed() < FRESH
        {
            return view.clone();
        }
        let findings = self.findings(&mut last).await;
        let (data, state) = (&self.config.data_dir, &self.config.state_dir);
        let view = MachineView {
            time: Timestamp::now().to_string(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            uptime_seconds: self.begun.elapsed().as_secs(),
            disks: [disk("data-dir", data), disk("state-dir", state)].into_iter().flatten().collect(),
            memory: memory().await,
            images: self.images().await,
            findings,
        };
        last.seen = Some((Instant::now(), view.clone()));
        view
    }
}

fn finding(Finding { check, state, found, remedy }: Finding) -> FindingView {
    // A state has a word as its JSON form.
    let state = serde_json::to_value(state).ok().and_then(|word| word.as_str().map(str::to_owned));
    FindingView { check, state: state.unwrap_or_default(), found, remedy }
}

fn unseen(found: String) -> FindingView {
    FindingView { check: "doctor".to_owned(), state: "unknown".to_owned(), found, remedy: None }
}

fn disk(name: &str, path: &Path) -> Option<DiskView> {
    let about = statvfs(path).ok()?;
    // As `df` counts: what root alone may still write is not free.
    let of = |blocks: u64| blocks.saturating_mul(about.f_frsize);
    let used = about.f_blocks.saturating_sub(about.f_bfree);
    let (name, path) = (name.to_owned(), path.display().to_string());
    Some(DiskView { name, path, bytes: of(used.saturating_add(about.f_bavail)), free: of(about.f_bavail) })
}

async fn memory() -> Option<MemoryView> {
    let pressure = match LocalMemory::default().memory().await {
        Ok(Memory::Waited(hundredths)) => Some(f64::from(hundredths) / 100.0),
        _ => None,
    };
    // The kernel makes these up as they are read: there is no disk to wait for.
    let (machine, process) = (fs::read_to_string("/proc/meminfo").ok()?, fs::read_to_string("/proc/self/status").ok()?);
    let (total, available) = (kib(&machine, "MemTotal:")?, kib(&machine, "MemAvailable:")?);
    Some(MemoryView { total, available, pressure, actord: kib(&process, "VmRSS:")? })
}

/// The bytes that a line of the kernel's tells in KiB.
fn kib(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::super::given;
    use super::*;

    #[test]
    fn a_port_that_is_taken_leaves_the_dashboard_out_and_stops_nothing() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert!(listen(&given::config(&format!("--dashboard-listen {address}"))).is_none());
        assert!(listen(&given::config("--dashboard-listen none")).is_none());
        assert!(listen(&given::config("--dashboard-listen 127.0.0.1:0")).is_some());
    }

    #[tokio::test]
    async fn what_the_kernel_tells_of_memory_and_disks_is_read() {
        assert_eq!(kib("MemTotal:        8000000 kB\nMemFree: 1 kB\n", "MemTotal:"), Some(8_192_000_000));
        for text in ["", "MemTotal: 8\n", "MemTotal: x kB\n"] {
            assert_eq!(kib(text, "MemTotal:"), None, "{text}");
        }
        let memory = memory().await.unwrap();
        assert!(memory.available <= memory.total && memory.actord > 0 && memory.actord < memory.total, "{memory:?}");
        let home = tempfile::tempdir().unwrap();
        let DiskView { name, bytes, free, .. } = disk("data-dir", home.path()).unwrap();
        assert!(name == "data-dir" && bytes > 0 && free <= bytes, "{bytes} {free}");
        assert_eq!(disk("gone", Path::new("/nonexistent")), None);
    }

    #[test]
    fn a_finding_is_told_with_the_word_for_its_state() {
        let warning = Finding::warning("memory", "little", "have more");
        let told = finding(warning);
        assert_eq!(
            (told.check.as_str(), told.state.as_str(), told.remedy.as_deref()),
            ("memory", "warning", Some("have more"))
        );
    }
}
