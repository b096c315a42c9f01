//! The machine in memory: the same contract as containerd and CNI, on tokio's clock, with faults on request.
//!
//! ```text
//! trait call -> seam (log it, ask the script for a fault) -> machine (what the call does to images, networks, processes)
//! test       -> FakeHost's controls: publish an image, end a process, write a fault into the script, look at the log
//! ```
//! What exists follows from the calls alone. The fake is strict: a call that a correct caller never makes (create without
//! a network, start of what is not there, an id used twice ...) is refused and noted in [`FakeHost::violations`].

mod behaviour;
mod calls;
mod images;
mod logs;
mod machine;
mod network;
mod runtime;
mod script;
mod seam;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

pub use behaviour::Behaviour;
pub use calls::{Call, Phase, Subject};
pub use machine::Leftovers;
pub use script::{Fault, Rule};
pub use seam::Method;

use crate::function::{Exit, FunctionId, FunctionName, Generation, InstanceId, Memory, Outbound, SecretName};
use crate::host::{Host, Signal, WarmId};
use calls::Calls;
use machine::Machine;
use script::Script;

/// The port that functions listen on, by convention.
pub const PORT: u16 = 8080;

/// A machine in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct FakeHost {
    machine: Arc<Machine>,
    script: Arc<Script>,
    calls: Arc<Calls>,
}

impl FakeHost {
    /// An empty machine: no image in the registry, nothing running, no fault in the script.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This machine as the actors see one.
    #[must_use]
    pub fn host(&self) -> Host {
        Host {
            images: Arc::new(self.clone()),
            network: Arc::new(self.clone()),
            runtime: Arc::new(self.clone()),
            probe: Arc::new(self.clone()),
            logs: Arc::new(self.clone()),
            disks: Arc::new(self.clone()),
            memory: Arc::new(self.clone()),
        }
    }

    // ---- what there is to run ------------------------------------------------------------------------------------

    /// Puts an image into the registry. Publishing a reference again moves its tag: the next pull has a new digest.
    pub fn publish_image(&self, reference: &str, behaviour: Behaviour) {
        self.machine.lock().publish(reference, behaviour);
    }

    /// Takes an image out of the registry; what was pulled stays.
    pub fn withdraw_image(&self, reference: &str) {
        self.machine.lock().withdraw(reference);
    }

    /// Says what an archive holds, for [`crate::host::Images::import`].
    pub fn add_archive(&self, path: &Path, images: impl IntoIterator<Item = (String, Behaviour)>) {
        self.machine.lock().archives.insert(path.to_owned(), images.into_iter().collect());
    }

    /// Whether an image is complete on this machine.
    #[must_use]
    pub fn has_image(&self, reference: &str) -> bool {
        self.machine.lock().has_image(reference)
    }

    /// Says what is wrong with the network that all instances share, or that nothing is.
    pub fn break_network(&self, fault: Option<&str>) {
        self.machine.lock().network_fault = fault.map(str::to_owned);
    }

    /// Says that its disks have no room for a deploy, and why, or that they have.
    pub fn fill_disk(&self, why: Option<&str>) {
        self.machine.lock().full = why.map(str::to_owned);
    }

    /// Says how short memory is.
    pub fn set_memory(&self, memory: Memory) {
        self.machine.lock().memory = Some(memory);
    }

    /// Says how full the disk of the images is, in percent: without them, and how much more for each.
    pub fn set_fullness(&self, without: u8, each: u8) {
        self.machine.lock().fullness = (without, each);
    }

    /// Lets an attachment that no instance has claimed go bad: it is there, and can't be used any more.
    pub fn spoil(&self, warm: &WarmId) {
        self.machine.lock().spoilt.insert(warm.clone());
    }

    /// Gives the instances of a function these addresses instead of made-up ones, so that a test can listen there, on
    /// [`PORT`]. Two are needed for an update: the new instance comes before the old one goes.
    pub fn serve_at(&self, function: &FunctionName, addresses: impl IntoIterator<Item = IpAddr>) {
        self.machine.lock().fixed_addresses.insert(function.clone(), addresses.into_iter().collect());
    }

    /// Calls `serve` for every process that starts, with the address that it has to listen on. What it returns lives as
    /// long as the process does (its drop must not look at the fake). Give the functions loopback addresses with [`FakeHost::serve_at`] for real listeners.
    pub fn on_start(&self, serve: impl Fn(&InstanceId, SocketAddr) -> Box<dyn Any + Send> + Send + Sync + 'static) {
        self.machine.lock().on_start = Some(machine::OnStart(Arc::new(serve)));
    }

    // ---- what happens to it --------------------------------------------------------------------------------------

    /// Ends an instance's process now; callers that wait for it are told. Says whether there was a process.
    pub fn exit(&self, id: &InstanceId, exit: Exit) -> bool {
        self.machine.lock().end(id, Instant::now(), exit)
    }

    /// Ends every process and takes all networks away, as a reboot does; containers and images stay.
    pub fn reboot(&self) {
        self.machine.lock().reboot(Instant::now());
    }

    /// Begins a log as if an instance of the function had been made.
    pub fn begin_log(&self, id: &InstanceId, function: &FunctionId) {
        self.machine.lock().begin_log(id, function);
    }

    /// Lets an instance write, at a time of the test's own.
    pub fn write_log(&self, id: &InstanceId, bytes: &[u8], at: Timestamp) {
        self.machine.lock().write_log(id, bytes, at);
    }

    /// Ends a log as the removal of its instance does.
    pub fn end_log(&self, id: &InstanceId) {
        self.machine.lock().end_log(id);
    }

    /// Gives back what lies before a place in a log, as the cap on its size does.
    pub fn shorten_log(&self, id: &InstanceId, begins: u64) {
        self.machine.lock().shorten_log(id, begins);
    }

    /// Takes a log away.
    pub fn remove_log(&self, id: &InstanceId) {
        self.machine.lock().remove_log(id);
    }

    /// Writes a fault into the script. Rules are tried in the order in which they were written; one applies to a call.
    pub fn fault(&self, rule: Rule) {
        self.script.add(rule);
    }

    /// Lets every call that hangs go on as if nothing had been.
    pub fn release(&self) {
        self.script.release();
    }

    /// Empties the script; calls that hang go on hanging.
    pub fn clear_faults(&self) {
        self.script.clear();
    }

    /// Returns when a call met [`Fault::Halt`]: its caller is dead, and to be dropped.
    pub async fn halted(&self) {
        self.script.halted().await;
    }

    /// Serves new callers after [`Fault::Halt`]; what the dead one asked for stays unanswered.
    pub fn resume(&self) {
        self.script.halt(false);
    }

    // ---- what became of it ---------------------------------------------------------------------------------------

    /// Everything that exists and would have to be removed.
    #[must_use]
    pub fn leftovers(&self) -> Leftovers {
        self.machine.lock().leftovers()
    }

    /// The instances whose process runs.
    #[must_use]
    pub fn running(&self) -> BTreeSet<InstanceId> {
        let now = Instant::now();
        let state = self.machine.lock();
        state.containers.iter().filter(|(_, it)| it.process.borrow().runs(now)).map(|(id, _)| id.clone()).collect()
    }

    /// The instances whose process runs and is frozen.
    #[must_use]
    pub fn frozen(&self) -> BTreeSet<InstanceId> {
        let now = Instant::now();
        let state = self.machine.lock();
        let frozen = |process: &machine::Process| process.runs(now) && process.is_frozen();
        state.containers.iter().filter(|(_, it)| frozen(&it.process.borrow())).map(|(id, _)| id.clone()).collect()
    }

    /// Returns when an instance is not frozen, at once if it is not there: what a test's own server of it waits for
    /// before each answer (see [`FakeHost::on_start`]).
    pub async fn thawed(&self, id: &InstanceId) {
        let process = self.machine.lock().containers.get(id).map(|it| it.process.subscribe());
        if let Some(mut process) = process {
            // The last value outlives the container, and what was removed was thawed.
            let _ = process.wait_for(|process| !process.is_frozen()).await;
        }
    }

    /// Where an instance is, if it is attached.
    #[must_use]
    pub fn address(&self, id: &InstanceId) -> Option<SocketAddr> {
        self.machine.lock().address(id).map(|ip| SocketAddr::new(ip, PORT))
    }

    /// What an instance was made of, if there is a container of it.
    #[must_use]
    pub fn generation(&self, id: &InstanceId) -> Option<(FunctionId, Generation)> {
        self.machine.lock().containers.get(id).map(|it| it.of.clone())
    }

    /// The secrets that an instance was given.
    #[must_use]
    pub fn secrets(&self, id: &InstanceId) -> BTreeMap<SecretName, Vec<u8>> {
        self.machine.lock().containers.get(id).map(|it| it.secrets.clone()).unwrap_or_default()
    }

    /// Where an instance may send to, if it was restricted.
    #[must_use]
    pub fn restricted(&self, id: &InstanceId) -> Option<Outbound> {
        self.machine.lock().restricted.get(id).cloned()
    }

    /// The signals that an instance was sent, in their order.
    #[must_use]
    pub fn signals(&self, id: &InstanceId) -> Vec<Signal> {
        let state = self.machine.lock();
        state.signals.iter().filter(|(to, _)| to == id).map(|(_, signal)| *signal).collect()
    }

    /// The functions of which logs are kept.
    #[must_use]
    pub fn logged(&self) -> BTreeSet<FunctionId> {
        self.machine.lock().logs.values().map(|log| log.function.clone()).collect()
    }

    /// Calls that a correct caller never makes, as sentences.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.machine.lock().violations.clone()
    }

    /// The log: every call, when it began and how it came to its end.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.all()
    }

    /// How many calls of a method began.
    #[must_use]
    pub fn count(&self, method: Method) -> usize {
        self.calls.begun(method)
    }

    /// The greatest number of calls of a method that were under way at once.
    #[must_use]
    pub fn most_at_once(&self, method: Method) -> usize {
        self.calls.most_at_once(method)
    }

    /// Returns when `count` calls of a method have begun.
    pub async fn called(&self, method: Method, count: usize) {
        self.calls.called(method, count).await;
    }
}
