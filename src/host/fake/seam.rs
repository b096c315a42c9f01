//! The trait methods, all alike: log the call, draw a fault, do the work, log the answer.
//!
//! [`Method`] and the trait impls come from one table, so a method that a trait has and the table has not does not
//! compile, and none can be without its faults. What is told after `=>` is no call to the host: it has no faults.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::script::Done;
use super::{FakeHost, Fault, Subject};
use crate::function::{Answer, Exit, FunctionId, InstanceId, Memory, Outbound, SecretName};
use crate::host::{
    Attachment, Check, Disks, HostError, Image, Images, InstanceConfig, InstanceRecord, LogChunk, LogSet, Logs,
    MemoryGauge, Network, Probe, Progress, PullPolicy, PulledImage, Runtime, Signal, Termination, Usage, WarmId,
};

macro_rules! seam {
    ($($trait:ident: $error:ty {
        $(=> $fact:ident($($known:ident: $by:ty)?) -> $told:ty;)?
        $($variant:ident: $method:ident($($arg:ident: $type:ty),*) -> $answer:ty, about $subject:expr, does $work:ident;)*
    })*) => {
        /// Every method of the seam.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $($(
                #[doc = concat!("[`", stringify!($trait), "::", stringify!($method), "`]")]
                $variant,
            )*)*
        }

        impl Method {
            /// All of them.
            pub const ALL: &'static [Self] = &[$($(Self::$variant,)*)*];
        }

        $(
            #[async_trait]
            impl $trait for FakeHost {
                $(
                    fn $fact(&self $(, $known: $by)?) -> $told {
                        self.machine.$fact($($known)?)
                    }
                )?
                $(
                    async fn $method(&self, $($arg: $type),*) -> Result<$answer, $error> {
                        self.call(Method::$variant, $subject, |done| self.machine.$work($($arg,)* done)).await
                    }
                )*
            }
        )*
    };
}

seam! {
    Images: HostError {
        => progress(reference: &str) -> Option<Progress>;
        ImagesEnsure: ensure(reference: &str, policy: PullPolicy) -> Image,
            about Subject::Image(reference.to_owned()), does ensure;
        ImagesImport: import(archive: &Path) -> Vec<String>,
            about Subject::Archive(archive.to_owned()), does import;
        ImagesPulled: pulled(needed: &BTreeSet<String>) -> Vec<PulledImage>, about Subject::Everything, does pulled;
        ImagesNoteUnneeded: note_unneeded(known: &PulledImage, unneeded: Option<Duration>) -> bool,
            about Subject::Image(known.name.clone()), does note_unneeded;
        ImagesRemove: remove(known: &PulledImage, wait: bool) -> bool,
            about Subject::Image(known.name.clone()), does remove_image;
    }
    Network: HostError {
        => fault() -> Option<String>;
        NetworkAttach: attach(id: &InstanceId) -> Attachment, about Subject::Instance(id.clone()), does attach;
        NetworkRestrict: restrict(id: &InstanceId, outbound: &Outbound) -> (),
            about Subject::Instance(id.clone()), does restrict;
        NetworkLookup: lookup(id: &InstanceId) -> Attachment, about Subject::Instance(id.clone()), does lookup;
        NetworkDetach: detach(id: &InstanceId) -> (), about Subject::Instance(id.clone()), does detach;
        NetworkList: list() -> Vec<InstanceId>, about Subject::Everything, does attached;
        NetworkWarm: warm(warm: &WarmId) -> (), about Subject::Warm(warm.clone()), does warm;
        NetworkClaim: claim(warm: &WarmId, id: &InstanceId) -> Attachment,
            about Subject::Instance(id.clone()), does claim;
        NetworkDiscard: discard(warm: &WarmId) -> (), about Subject::Warm(warm.clone()), does discard;
        NetworkListWarm: list_warm() -> Vec<(WarmId, bool)>, about Subject::Everything, does list_warm;
    }
    Runtime: HostError {
        RuntimePrepare: prepare(config: &InstanceConfig) -> (),
            about Subject::Instance(config.id.clone()), does prepare;
        RuntimeCreate: create(id: &InstanceId, at: &Attachment) -> (),
            about Subject::Instance(id.clone()), does create;
        RuntimeStart: start(id: &InstanceId) -> (), about Subject::Instance(id.clone()), does start;
        RuntimeWait: wait(id: &InstanceId) -> Exit, about Subject::Instance(id.clone()), does wait;
        RuntimeTermination: termination(id: &InstanceId) -> Termination,
            about Subject::Instance(id.clone()), does termination;
        RuntimeKill: kill(id: &InstanceId, signal: Signal) -> (),
            about Subject::Instance(id.clone()), does kill;
        RuntimeFreeze: freeze(id: &InstanceId) -> (), about Subject::Instance(id.clone()), does freeze;
        RuntimeThaw: thaw(id: &InstanceId) -> (), about Subject::Instance(id.clone()), does thaw;
        RuntimeUpdateSecrets: update_secrets(id: &InstanceId, secrets: &BTreeMap<SecretName, Vec<u8>>) -> (),
            about Subject::Instance(id.clone()), does update_secrets;
        RuntimeRemove: remove(id: &InstanceId) -> (), about Subject::Instance(id.clone()), does remove;
        RuntimeList: list() -> Vec<InstanceRecord>, about Subject::Everything, does found;
        RuntimeUsage: usage(id: &InstanceId) -> Usage, about Subject::Instance(id.clone()), does usage;
        RuntimeWritten: written(id: &InstanceId, most: u64) -> u64, about Subject::Instance(id.clone()), does written;
        RuntimeListening: listening(id: &InstanceId) -> Option<Vec<SocketAddr>>,
            about Subject::Instance(id.clone()), does listening;
        RuntimeLogTail: log_tail(id: &InstanceId, bytes: usize) -> String,
            about Subject::Instance(id.clone()), does log_tail;
    }
    Logs: HostError {
        LogsKept: kept(function: &FunctionId) -> LogSet, about Subject::Function(function.clone()), does kept;
        LogsRead: read(id: &InstanceId, from: u64, most: usize) -> LogChunk,
            about Subject::Instance(id.clone()), does read;
        LogsChanged: changed(function: &FunctionId, seen: u64) -> (),
            about Subject::Function(function.clone()), does changed;
        LogsForget: forget(function: &FunctionId, before: Timestamp) -> (),
            about Subject::Function(function.clone()), does forget;
        LogsSweep: sweep(known: &BTreeMap<FunctionId, Timestamp>, before: Timestamp) -> (),
            about Subject::Everything, does sweep;
    }
    Disks: HostError {
        DisksRoom: room() -> (), about Subject::Everything, does room;
        DisksUsedPercent: used_percent() -> u8, about Subject::Everything, does used_percent;
    }
    MemoryGauge: HostError {
        MemoryLook: memory() -> Memory, about Subject::Everything, does memory;
    }
    Probe: String {
        ProbeAsk: ask(check: &Check) -> Answer, about Subject::Address(check.address), does ask;
    }
}

impl Method {
    /// Whether the call can be stopped in the middle, see [`super::Rule::halfway`].
    #[must_use]
    pub fn has_half(self) -> bool {
        matches!(self, Self::RuntimePrepare | Self::RuntimeCreate | Self::RuntimeRemove)
            || matches!(self, Self::NetworkAttach | Self::NetworkDetach)
            || matches!(self, Self::NetworkWarm | Self::NetworkDiscard)
    }
}

/// The error of a trait, made of a scripted one.
trait Scripted: std::fmt::Display {
    fn scripted(error: HostError) -> Self;
}

impl Scripted for HostError {
    fn scripted(error: HostError) -> Self {
        error
    }
}

impl Scripted for String {
    fn scripted(error: HostError) -> Self {
        error.to_string()
    }
}

impl FakeHost {
    /// One call: `work` is told whether to do only half of itself.
    async fn call<T, E, W>(&self, method: Method, subject: Subject, work: impl FnOnce(bool) -> W) -> Result<T, E>
    where
        E: Scripted,
        W: Future<Output = Result<T, E>>,
    {
        self.script.gate().await;
        let instance = match &subject {
            Subject::Instance(id) => Some(id.clone()),
            Subject::Address(address) => self.machine.lock().instance_at(address.ip()),
            _ => None,
        };
        let fault = self.script.draw(method, &subject, instance.as_ref());
        if let (Method::RuntimeKill | Method::RuntimeRemove, Some(id)) = (method, &instance) {
            self.machine.lock().asked_to_end(id);
        }
        let ticket = self.calls.begin(method, subject);
        let answer = self.work(method, fault, work).await;
        ticket.end(answer.as_ref().map(|_| ()).map_err(ToString::to_string));
        answer
    }

    async fn work<T, E, W>(
        &self,
        method: Method,
        fault: Option<(Fault, Done)>,
        work: impl FnOnce(bool) -> W,
    ) -> Result<T, E>
    where
        E: Scripted,
        W: Future<Output = Result<T, E>>,
    {
        let Some((fault, done)) = fault else { return work(false).await };
        let half = done == Done::Half && method.has_half();
        if half || done == Done::All {
            let answer = work(half).await;
            self.script.suffer(fault).await.map_err(E::scripted)?;
            return answer;
        }
        self.script.suffer(fault).await.map_err(E::scripted)?;
        work(false).await
    }
}
