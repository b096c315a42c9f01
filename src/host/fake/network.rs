//! Networks: an address per attached instance, and whether anything answers at it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::time::{Instant, timeout};

use super::PORT;
use super::machine::{Machine, State};
use super::script::is_of;
use crate::function::{Answer, InstanceId, Outbound};
use crate::host::{Attachment, Check, HostError, WarmId};

/// Made-up addresses count up from here. They are loopback ones: a call to one stays on this machine.
const FIRST: u32 = u32::from_be_bytes([127, 62, 0, 2]);

impl State {
    pub(super) fn address(&self, id: &InstanceId) -> Option<IpAddr> {
        self.attachments.get(id)?.as_ref().map(|attachment| attachment.address)
    }

    pub(super) fn instance_at(&self, address: IpAddr) -> Option<InstanceId> {
        let mut attached = self.attachments.iter();
        attached.find(|(_, at)| at.as_ref().is_some_and(|at| at.address == address)).map(|(id, _)| id.clone())
    }

    /// An address that was never given before.
    fn new_address(&mut self) -> IpAddr {
        self.addresses_given += 1;
        Ipv4Addr::from(FIRST + self.addresses_given - 1).into()
    }

    /// An address that is not in use, of those that the test has given the function, or a new one.
    fn free_address(&mut self, id: &InstanceId) -> Result<IpAddr, HostError> {
        let Some((name, fixed)) = self.fixed_addresses.iter().find(|(name, _)| is_of(id, name)) else {
            return Ok(self.new_address());
        };
        if let Some(address) = fixed.iter().find(|address| self.instance_at(**address).is_none()) {
            return Ok(*address);
        }
        let text = format!("attach {id}: all {} addresses of function {name} are in use", fixed.len());
        Err(self.violation(text))
    }
}

impl State {
    /// Whether an instance may be attached; noted if not.
    fn must_be_new(&mut self, id: &InstanceId) -> Result<(), HostError> {
        if self.attachments.contains_key(id) {
            return Err(self.violation(format!("attach {id}: it is attached already")));
        }
        // What is being prepared beside this is there without a container.
        let is_there = self.containers.contains_key(id) || self.remains.contains(id);
        if self.created.contains(id) && !is_there {
            return Err(self.violation(format!("attach {id}: the id was used before")));
        }
        Ok(())
    }
}

impl Machine {
    pub(super) fn fault(&self) -> Option<String> {
        self.lock().network_fault.clone()
    }

    pub(super) async fn attach(&self, id: &InstanceId, half: bool) -> Result<Attachment, HostError> {
        let mut state = self.lock();
        state.must_be_new(id)?;
        if half {
            state.attachments.insert(id.clone(), None);
            return Err(HostError::Failed(format!("attach {id}: stopped halfway")));
        }
        let address = state.free_address(id)?;
        let attachment = Attachment { address, netns: PathBuf::from(format!("/run/netns/{id}")) };
        state.attachments.insert(id.clone(), Some(attachment.clone()));
        Ok(attachment)
    }

    pub(super) async fn restrict(&self, id: &InstanceId, outbound: &Outbound, _half: bool) -> Result<(), HostError> {
        let mut state = self.lock();
        if state.address(id).is_none() {
            return Err(HostError::NotFound(format!("network of {id}")));
        }
        if state.containers.contains_key(id) {
            return Err(state.violation(format!("restrict {id}: its container is there already")));
        }
        state.restricted.insert(id.clone(), outbound.clone());
        Ok(())
    }

    pub(super) async fn lookup(&self, id: &InstanceId, _half: bool) -> Result<Attachment, HostError> {
        let attachment = self.lock().attachments.get(id).cloned().flatten();
        attachment.ok_or_else(|| HostError::NotFound(format!("network of {id}")))
    }

    pub(super) async fn detach(&self, id: &InstanceId, half: bool) -> Result<(), HostError> {
        let mut state = self.lock();
        let now = Instant::now();
        let alone = |it: &super::machine::Container| it.process.borrow().runs(now) && !it.asked_to_end;
        if state.containers.get(id).is_some_and(alone) {
            return Err(state.violation(format!("detach {id}: its process runs and nobody asked it to end")));
        }
        if half && let Some(attachment) = state.attachments.get_mut(id) {
            *attachment = None;
            return Err(HostError::Failed(format!("detach {id}: stopped halfway")));
        }
        state.attachments.remove(id);
        state.restricted.remove(id);
        Ok(())
    }

    pub(super) async fn attached(&self, _half: bool) -> Result<Vec<InstanceId>, HostError> {
        Ok(self.lock().attachments.keys().cloned().collect())
    }

    pub(super) async fn warm(&self, warm: &WarmId, half: bool) -> Result<(), HostError> {
        let mut state = self.lock();
        if state.warm.contains_key(warm) {
            return Err(state.violation(format!("attach {warm}: it is there already")));
        }
        if half {
            state.warm.insert(warm.clone(), None);
            return Err(HostError::Failed(format!("attach {warm}: stopped halfway")));
        }
        let attachment = Attachment { address: state.new_address(), netns: format!("/run/netns/{warm}").into() };
        state.warm.insert(warm.clone(), Some(attachment));
        Ok(())
    }

    pub(super) async fn claim(&self, warm: &WarmId, id: &InstanceId, _half: bool) -> Result<Attachment, HostError> {
        let mut state = self.lock();
        state.must_be_new(id)?;
        let attachment = state.warm.get(warm).cloned().flatten().filter(|_| !state.spoilt.contains(warm));
        let mut attachment = attachment.ok_or_else(|| HostError::NotFound(format!("attachment {warm}")))?;
        if state.fixed_addresses.keys().any(|name| is_of(id, name)) {
            attachment.address = state.free_address(id)?;
        }
        state.warm.remove(warm);
        state.attachments.insert(id.clone(), Some(attachment.clone()));
        Ok(attachment)
    }

    pub(super) async fn discard(&self, warm: &WarmId, half: bool) -> Result<(), HostError> {
        let mut state = self.lock();
        if half && let Some(attachment) = state.warm.get_mut(warm) {
            *attachment = None;
            return Err(HostError::Failed(format!("discard {warm}: stopped halfway")));
        }
        state.warm.remove(warm);
        Ok(())
    }

    pub(super) async fn list_warm(&self, _half: bool) -> Result<Vec<(WarmId, bool)>, HostError> {
        let state = self.lock();
        let fit = |(warm, made): (&WarmId, &Option<_>)| (warm.clone(), made.is_some() && !state.spoilt.contains(warm));
        Ok(state.warm.iter().map(fit).collect())
    }

    /// What is attached at the address answers as its behaviour says, whatever it is asked for: what is frozen, when it is
    /// thawed while it is being asked.
    pub(super) async fn ask(&self, check: &Check, _half: bool) -> Result<Answer, String> {
        let frozen = {
            let state = self.lock();
            let instance = state.instance_at(check.address.ip()).filter(|_| check.address.port() == PORT);
            instance.and_then(|id| state.containers.get(&id)).map(|it| it.process.subscribe())
        };
        if let Some(mut process) = frozen {
            let thawed = timeout(check.timeout, process.wait_for(|process| !process.is_frozen())).await.is_ok();
            if !thawed {
                return Err(format!("ask {}: no answer in time", check.address));
            }
        }
        let now = Instant::now();
        let state = self.lock();
        let refused = |address: SocketAddr| format!("connect to {address}: connection refused");
        let instance = state.instance_at(check.address.ip()).filter(|_| check.address.port() == PORT);
        let Some(container) = instance.and_then(|id| state.containers.get(&id)) else {
            return Err(refused(check.address));
        };
        let process = container.process.borrow().clone();
        match &container.behaviour.ready {
            Ok(after) if process.runs(now) && process.awake(now) >= *after => {
                Ok(container.behaviour.answer(process.awake(now)))
            }
            Err(reason) if process.runs(now) => Err(reason.clone()),
            _ => Err(refused(check.address)),
        }
    }
}
