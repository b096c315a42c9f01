//! CNI: plugins executed. The only place that knows their protocol.
//!
//! ```text
//! once:   IPv4 forwarding, rules for the whole bridge (forwarding), a route that refuses its subnet without it (refusal)
//! attach: named netns (quiet, lo up) -> bridge ADD (host-local) -> address -> neighbour -> its port isolated
//!         each result into the cache
//! detach: neighbour removed -> bridge DEL -> leftovers of iptables -> netns removed -> cache removed
//! limits: where its function may send to, in the filter of its port
//! warm:   attached ahead of time, for the instance that will claim it
//! kept:   bridge, its ports, address and routes (bridge), forwarding and rules: what others undo is put back
//! ```
//! A network list of the user's own may have more plugins; each gets its ADD, CHECK and DEL in turn.
//! An attach that fails is undone by the same code that detaches. Everything is found again by what is on the host:
//! namespaces named `BRIDGE.INSTANCE` or `BRIDGE.warm_...`, cached results and leases.

mod adopted;
mod bridge;
mod cache;
mod chain;
mod cleanup;
mod conflist;
mod detach;
mod exec;
mod forwarding;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod holder;
mod host_lock;
mod iptables;
mod leases;
mod neighbours;
mod netlink;
mod netns;
mod options;
mod pin;
mod plugin;
mod ports;
mod preflight;
mod quiet;
mod refusal;
mod routes;
mod rules;
mod warm;
mod whole;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use tokio::sync::{Mutex, RwLock};
use tracing::warn;

pub use exec::PATH as PROGRAM_PATH;
pub use forwarding::FORWARDING;
pub use options::{CniOptions, Ipv4Net};
pub use preflight::{FoundPlugin, Preflight};

use self::cache::{Cache, Cached};
use self::chain::Chain;
use self::conflist::Conflist;
use self::holder::Holder;
use self::iptables::Iptables;
use self::plugin::{Fault, PluginError, Plugins};
use super::detached::to_its_end;
use super::keyed_lock::KeyedLock;
use super::{Attachment, HostError, Network, WarmId};
use crate::function::{InstanceId, Outbound};

/// The network that functions live in, by CNI plugins. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CniNetwork(Arc<Cni>);

#[derive(Debug)]
struct Cni {
    options: CniOptions,
    list: Conflist,
    plugins: Plugins,
    /// The plugins of the list, as they were found at the start.
    binaries: Vec<PathBuf>,
    cache: Cache,
    iptables: Iptables,
    /// One act at a time for one holder: a detach that comes while an abandoned attach still runs waits for its end, and
    /// so finds all that it made.
    changing: KeyedLock<Holder>,
    /// Held for writing while the first ADD makes what all share: the bridge, its address and the firewall's chains.
    /// The plugins do that without a lock of their own, and two at once fail.
    shared: RwLock<()>,
    /// Our rules as they were seen the last time; none while the way out is not known to be open.
    open: Mutex<Option<Vec<String>>>,
    /// What is wrong with the bridge, until it is mended.
    fault: std::sync::Mutex<Option<String>>,
    /// The bridge's ports, when all were seen to be well.
    ports: std::sync::Mutex<Option<ports::Ports>>,
    /// Whether all network namespaces are quiet, those of an earlier version's attachments among them.
    quiet: AtomicBool,
    /// Whether the kernel has no filters that hold instances to their own addresses.
    unpinned: AtomicBool,
}

impl CniNetwork {
    /// Reads the network list and checks all that can be checked before the first attach: the bridge's name, the
    /// subnet and its overlap with routes of this host, the plugins' binaries, iptables and forwarding.
    ///
    /// # Errors
    /// [`HostError::Failed`] names what is wrong and what to install or set.
    pub fn new(options: CniOptions) -> Result<Self, HostError> {
        options.check()?;
        let list = Conflist::load(&options)?;
        let plugins = Plugins::new(options.plugin_dirs.clone(), options.deadline);
        let binaries: Result<Vec<_>, _> = list.binaries().map(|binary| plugins.find(binary)).collect();
        let binaries = binaries.map_err(|error| HostError::Failed(error.to_string()))?;
        if options.conflist.is_none() {
            routes::check(&options, refusal::earlier(&options))?;
            refusal::forget_earlier(&options)?;
        }
        if (options.conflist.is_none() || list.needs_iptables()) && !Iptables::installed() {
            let text =
                "the functions' network needs iptables, which is not installed (Debian: apt-get install iptables)";
            return Err(HostError::Failed(text.to_owned()));
        }
        let network = Self(Arc::new(Cni {
            cache: Cache::new(&options.state_dir, &list.name),
            iptables: Iptables::find(options.deadline),
            changing: KeyedLock::default(),
            shared: RwLock::new(()),
            open: Mutex::default(),
            fault: std::sync::Mutex::default(),
            ports: std::sync::Mutex::default(),
            quiet: AtomicBool::default(),
            unpinned: AtomicBool::default(),
            list,
            plugins,
            binaries,
            options,
        }));
        forwarding::forward()?;
        Ok(network)
    }

    /// Sees to it that packets of instances find their way out: the kernel forwards, our rules are there, every
    /// instance's link is on the bridge and alone, and nothing leaves by another way without it. Meant to be called from time to
    /// time: other software undoes all of that. What was missing is said in the log.
    ///
    /// # Errors
    /// [`HostError::Failed`] when it can't be mended, with the next step.
    pub async fn keep_open(&self) -> Result<(), HostError> {
        forwarding::forward()?;
        self.0.keep_ports();
        self.0.keep_quiet().await;
        self.0.reopen().await
    }

    /// Sees to it that the bridge is there, up, and has its address and its route; puts back what is missing, so that
    /// running instances are reached again. Cheap while nothing is: meant to be called every second.
    ///
    /// # Errors
    /// [`HostError::Failed`] when it can't be mended, with the kernel's reason.
    pub async fn keep_bridge(&self) -> Result<(), HostError> {
        self.0.keep_bridge().await
    }
}

impl Cni {
    fn chain<'a>(&'a self, list: &'a Conflist, container: &'a str, netns: Option<&'a Path>) -> Chain<'a> {
        Chain { plugins: &self.plugins, list, container, netns }
    }

    /// The firewall plugin's binary, if the list has that plugin.
    fn firewall(&self) -> Option<std::path::PathBuf> {
        self.list.binaries().find(|binary| *binary == "firewall").and_then(|binary| self.plugins.find(binary).ok())
    }

    /// Makes our rules where they are missing.
    async fn reopen(&self) -> Result<(), HostError> {
        let mut open = self.open.lock().await;
        let mut rules = Vec::new();
        if self.options.conflist.is_none() {
            self.keep_refusal()?;
            rules = forwarding::open(&self.iptables, &self.options, open.as_deref()).await?;
        }
        *open = Some(rules);
        Ok(())
    }

    /// Makes sure, once, that packets find their way out.
    async fn see_to_the_way_out(&self) -> Result<(), HostError> {
        let open = self.open.lock().await.is_some();
        if open { Ok(()) } else { self.reopen().await }
    }

    async fn attach(&self, id: &Holder) -> Result<Attachment, HostError> {
        let _locked = self.changing.lock(id.clone()).await;
        let netns = self.options.netns(id);
        let exists = |what| HostError::Failed(format!("attach {id}: it has {what} already: detach it first"));
        if self.cache.read(id).is_some() {
            return Err(exists("an attachment"));
        }
        let begun = Cached::begun(&self.list, id, &netns, &self.binaries);
        if let Holder::Warm(_) = id {
            // Before anything is made: whatever the settings are by then, what a kill leaves of it is found again.
            let written = self.cache.write(id, &begun);
            written.map_err(|error| HostError::Failed(format!("attach {id}: cached result: {error}")))?;
        }
        match netns::create(netns.clone(), self.quiet_families()).await {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(exists("a network namespace"));
            }
            Err(error) => {
                return Err(HostError::Failed(format!("attach {id}: network namespace {}: {error}", netns.display())));
            }
            Ok(()) => {}
        }
        let error = match self.connect(id, &netns, &begun).await {
            Ok(attachment) => return Ok(attachment),
            Err(error) => error,
        };
        // On the way down nothing is assumed to be complete. What can't be undone now, a detach tries again.
        if let Err(left) = self.clear(id, true).await {
            warn!(instance = %id, "roll-back of a failed attach is not complete: {left}");
        }
        Err(error)
    }

    async fn connect(&self, id: &Holder, netns: &Path, begun: &Cached) -> Result<Attachment, HostError> {
        self.see_to_the_way_out().await?;
        let lock = host_lock::shared(self.firewall()).await;
        let lock = lock.map_err(|error| HostError::Failed(format!("attach {id}: lock of the chains: {error}")))?;
        let (mut together, mut alone) = (None, None);
        match netlink::link_exists(&self.options.bridge) {
            Ok(true) => together = Some(self.shared.read().await),
            _ => alone = Some(self.shared.write().await),
        }
        let result = self
            .chain(&self.list, id.as_str(), Some(netns))
            .add(|result, complete| {
                self.cache.write(id, &begun.with(result, complete)).map_err(|error| PluginError {
                    plugin: "result cache".to_owned(),
                    fault: Fault::Other(error.to_string()),
                })
            })
            .await;
        drop((together.take(), alone.take(), lock));
        let result = result.map_err(|error| self.attach_error(id, &error))?;
        self.make_first_neighbour(id, &result);
        let address = cache::address(&result)
            .ok_or_else(|| HostError::Failed(format!("attach {id}: the CNI plugins gave it no address")))?;
        // Before anything runs in there.
        let apart = self.set_apart(&begun.with(&result, true));
        apart.map_err(|error| HostError::Failed(format!("attach {id}: its port of the bridge: {error}")))?;
        Ok(Attachment { address, netns: netns.to_owned() })
    }

    fn attach_error(&self, id: &Holder, error: &PluginError) -> HostError {
        if error.is_deadline() {
            return HostError::Deadline(format!("attach {id}: {error}"));
        }
        let text = error.to_string();
        // host-local's words when all are taken.
        if text.contains("no IP addresses available") {
            let subnet = self.options.subnet;
            return HostError::Failed(format!(
                "attach {id}: every address of the functions' network {subnet} is taken: delete functions or set a \
                 larger subnet ({text})"
            ));
        }
        HostError::Failed(format!("attach {id}: {text}"))
    }

    async fn restrict(&self, id: &InstanceId, outbound: &Outbound) -> Result<(), HostError> {
        let holder = Holder::from(id);
        let _locked = self.changing.lock(holder.clone()).await;
        if self.options.conflist.is_some() && outbound.is_limited() {
            return Err(HostError::Spec(
                "annotation actord.outbound: with a network list of its own (cni-conflist) this machine leaves to that \
                 where functions send to: take the annotation away"
                    .to_owned(),
            ));
        }
        let mut entry = self.cache.read(&holder).ok_or_else(|| HostError::NotFound(format!("network of {id}")))?;
        entry.outbound = outbound.clone();
        let restricted = self.restrict_port(&holder, &entry);
        restricted.map_err(|error| HostError::Failed(format!("restrict where {id} may send to: {error}")))
    }

    async fn lookup(&self, id: &InstanceId) -> Result<Attachment, HostError> {
        let holder = Holder::from(id);
        let _locked = self.changing.lock(holder.clone()).await;
        let missing = || HostError::NotFound(format!("network of {id}"));
        let failed = |error: String| HostError::Failed(format!("network of {id}: {error}"));
        let entry = self.cache.read(&holder).ok_or_else(missing)?;
        let (address, netns) = self.there(&entry).map_err(|_| missing())?;
        if self.is_built_in(&entry) {
            self.look(&entry).map_err(failed)?;
            self.look_inside(&entry).await.map_err(failed)?;
            return Ok(Attachment { address, netns });
        }
        let list = entry.list().unwrap_or_else(|| self.list.clone());
        match self.chain(&list, entry.container(), Some(&netns)).check(&entry.result).await {
            Ok(()) => Ok(Attachment { address, netns }),
            Err(error) if error.is_deadline() => Err(HostError::Deadline(format!("network of {id}: {error}"))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

#[async_trait]
impl Network for CniNetwork {
    async fn attach(&self, id: &InstanceId) -> Result<Attachment, HostError> {
        let (cni, id) = (self.0.clone(), Holder::from(id));
        to_its_end("network", async move { cni.attach(&id).await }).await
    }

    async fn restrict(&self, id: &InstanceId, outbound: &Outbound) -> Result<(), HostError> {
        self.0.restrict(id, outbound).await
    }

    async fn lookup(&self, id: &InstanceId) -> Result<Attachment, HostError> {
        self.0.lookup(id).await
    }

    async fn detach(&self, id: &InstanceId) -> Result<(), HostError> {
        let (cni, id) = (self.0.clone(), Holder::from(id));
        to_its_end("network", async move { cni.detach(&id).await }).await
    }

    fn fault(&self) -> Option<String> {
        self.0.told()
    }

    async fn list(&self) -> Result<Vec<InstanceId>, HostError> {
        let found = self.0.holders().map_err(|error| HostError::Failed(format!("list networks: {error}")))?;
        Ok(found.into_iter().filter_map(Holder::instance).collect())
    }

    async fn warm(&self, warm: &WarmId) -> Result<(), HostError> {
        let (cni, warm) = (self.0.clone(), Holder::from(warm));
        to_its_end("network", async move { cni.attach(&warm).await.map(drop) }).await
    }

    async fn claim(&self, warm: &WarmId, id: &InstanceId) -> Result<Attachment, HostError> {
        let (cni, warm, id) = (self.0.clone(), warm.clone(), id.clone());
        to_its_end("network", async move { cni.claim(&warm, &id).await }).await
    }

    async fn discard(&self, warm: &WarmId) -> Result<(), HostError> {
        let (cni, warm) = (self.0.clone(), Holder::from(warm));
        to_its_end("network", async move { cni.detach(&warm).await }).await
    }

    async fn list_warm(&self) -> Result<Vec<(WarmId, bool)>, HostError> {
        self.0.list_warm().await
    }
}
