//! Containers and processes, as their calls and their image's behaviour make them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::machine::{Container, Machine, Process, State};
use super::{Behaviour, PORT};
use crate::function::{Exit, InstanceId, SecretName};
use crate::host::{
    Attachment, HostError, InstanceConfig, InstanceRecord, Signal, Termination, Usage, effective_environment,
    stop_signal,
};

const SIGKILL: u32 = 9;

impl State {
    /// What is wrong with what is to be prepared, if anything.
    fn refuse(&mut self, config: &InstanceConfig) -> Result<(), HostError> {
        let id = &config.id;
        let image = self.unpacked.iter().find(|(image, _)| *image == config.image);
        let missing = config.spec.secrets.iter().find(|name| !config.secrets.contains_key(*name));
        let wrong = if self.containers.contains_key(id) || self.remains.contains(id) {
            "it exists already".to_owned()
        } else if self.created.contains(id) {
            "the id was used before".to_owned()
        } else if image.is_none() {
            format!("image {} ({}) is not on this machine", config.image.reference, config.image.digest)
        } else if let Some(name) = missing {
            format!("no value was given for secret {name}")
        } else {
            return Ok(());
        };
        Err(self.violation(format!("prepare {id}: {wrong}")))
    }
}

impl Machine {
    pub(super) async fn prepare(&self, config: &InstanceConfig, half: bool) -> Result<(), HostError> {
        let mut state = self.lock();
        let id = &config.id;
        state.refuse(config)?;
        state.created.insert(id.clone());
        state.remains.insert(id.clone());
        if half {
            return Err(HostError::Failed(format!("prepare {id}: stopped halfway")));
        }
        state.begin_log(id, &config.function);
        state.prepared.insert(id.clone(), config.clone());
        Ok(())
    }

    pub(super) async fn create(&self, id: &InstanceId, at: &Attachment, half: bool) -> Result<(), HostError> {
        let mut state = self.lock();
        let attachment = state.attachments.get(id).cloned().flatten();
        let Some(config) = state.prepared.remove(id) else {
            return Err(state.violation(format!("create {id}: it was not prepared")));
        };
        if attachment.as_ref() != Some(at) {
            let (netns, address) = (at.netns.display(), at.address);
            let wrong = format!("create {id}: it is not attached to {netns} with address {address}");
            return Err(state.violation(wrong));
        }
        if half {
            return Err(HostError::Failed(format!("create {id}: stopped halfway")));
        }
        let behaviour = state.unpacked.iter().find(|(image, _)| *image == config.image).map(|(_, it)| it.clone());
        let behaviour = behaviour.unwrap_or_default();
        if let Some(reason) = &behaviour.hopeless {
            return Err(HostError::Spec(format!("create {id}: {reason}")));
        }
        let container = Container {
            of: (config.function.clone(), config.generation),
            behaviour,
            termination: Termination::of(
                stop_signal(&config.image.config),
                &effective_environment(&config.image.config, &config.spec).into_iter().collect(),
            ),
            secrets: config.secrets,
            process: watch::Sender::new(Process::default()),
            log: None,
            asked_to_end: false,
            beside: None,
        };
        state.remains.remove(id);
        state.containers.insert(id.clone(), container);
        Ok(())
    }

    pub(super) async fn start(&self, id: &InstanceId, _half: bool) -> Result<(), HostError> {
        let now = Instant::now();
        let beside = {
            let mut state = self.lock();
            let address = state.address(id).map(|ip| SocketAddr::new(ip, PORT));
            let wrong = match state.containers.get(id) {
                None => Some("it was not created"),
                Some(it) if it.process.borrow().started.is_some() => Some("it was started before"),
                Some(it) if it.process.borrow().ended(now).is_some() => Some("its process was killed before"),
                Some(_) if address.is_none() => Some("it is not attached"),
                Some(_) => None,
            };
            if let Some(wrong) = wrong {
                return Err(state.violation(format!("start {id}: {wrong}")));
            }
            let mut words = String::new();
            if let Some(container) = state.containers.get_mut(id) {
                words.clone_from(&container.behaviour.log);
                container.log = Some(words.clone());
                let ends = container.behaviour.exits.clone().map(|(after, exit)| (now + after, exit));
                container.process.send_replace(Process::started(now, ends));
            }
            state.write_log(id, words.as_bytes(), Timestamp::now());
            state.on_start.clone().zip(address)
        };
        // Not under the lock: a test's server may look at the fake.
        if let Some((on_start, address)) = beside {
            let server = on_start.0(id, address);
            if let Some(container) = self.lock().containers.get_mut(id) {
                container.beside = Some(server);
            }
        }
        Ok(())
    }

    pub(super) async fn wait(&self, id: &InstanceId, _half: bool) -> Result<Exit, HostError> {
        let Some(mut process) = self.lock().containers.get(id).map(|it| it.process.subscribe()) else {
            return Ok(Exit::Vanished);
        };
        loop {
            let now = Instant::now();
            let (ended, ends_at) = {
                let process = process.borrow_and_update();
                (process.ended(now), process.ends_at())
            };
            if let Some(exit) = ended {
                return Ok(exit);
            }
            let at = ends_at.unwrap_or(now + Duration::from_secs(86_400 * 365));
            tokio::select! {
                () = sleep_until(at) => {}
                changed = process.changed() => if changed.is_err() && process.borrow().ends.is_none() {
                    return Ok(Exit::Vanished);
                },
            }
        }
    }

    pub(super) async fn termination(&self, id: &InstanceId, _half: bool) -> Result<Termination, HostError> {
        let state = self.lock();
        let container = state.containers.get(id).ok_or_else(|| HostError::NotFound(format!("container {id}")))?;
        Ok(container.termination)
    }

    pub(super) async fn kill(&self, id: &InstanceId, signal: Signal, _half: bool) -> Result<(), HostError> {
        let now = Instant::now();
        let mut state = self.lock();
        state.set_frozen(id, false);
        let Some(container) = state.containers.get(id) else { return Ok(()) };
        let runs = container.process.borrow().runs(now);
        let created = container.process.borrow().started.is_none();
        let asks = container.termination.signal;
        match container.behaviour.term {
            _ if signal == Signal::KILL => state.end(id, now, Exit::Signal(SIGKILL)),
            // What waits in a created task for its start is runc, which has no handler of its own.
            _ if created => state.end(id, now, Exit::Signal(signal.number())),
            // A program handles the signal that its image names.
            Some(after) if runs && signal == asks => state.end(id, now + after, Exit::Code(0)),
            _ => false,
        };
        state.signals.push((id.clone(), signal));
        Ok(())
    }

    pub(super) async fn freeze(&self, id: &InstanceId, _half: bool) -> Result<(), HostError> {
        self.set_frozen(id, true)
    }

    pub(super) async fn thaw(&self, id: &InstanceId, _half: bool) -> Result<(), HostError> {
        self.set_frozen(id, false)
    }

    fn set_frozen(&self, id: &InstanceId, frozen: bool) -> Result<(), HostError> {
        match self.lock().set_frozen(id, frozen) {
            true => Ok(()),
            false => Err(HostError::NotFound(format!("process of {id}"))),
        }
    }

    pub(super) async fn update_secrets(
        &self,
        id: &InstanceId,
        secrets: &BTreeMap<SecretName, Vec<u8>>,
        _half: bool,
    ) -> Result<(), HostError> {
        let mut state = self.lock();
        let missing = || HostError::NotFound(format!("instance {id}"));
        let held = &mut state.containers.get_mut(id).ok_or_else(missing)?.secrets;
        if let Some(name) = secrets.keys().find(|name| !held.contains_key(*name)) {
            let wrong = format!("update secrets of {id}: it has no secret {name}");
            state.violation(wrong.clone());
            return Err(HostError::NotFound(wrong));
        }
        held.extend(secrets.clone());
        Ok(())
    }

    pub(super) async fn remove(&self, id: &InstanceId, half: bool) -> Result<(), HostError> {
        let mut state = self.lock();
        state.end(id, Instant::now(), Exit::Signal(SIGKILL));
        if half && (state.containers.contains_key(id) || state.remains.contains(id)) {
            return Err(HostError::Failed(format!("remove {id}: stopped halfway")));
        }
        state.containers.remove(id);
        state.prepared.remove(id);
        state.remains.remove(id);
        state.end_log(id);
        Ok(())
    }

    pub(super) async fn found(&self, _half: bool) -> Result<Vec<InstanceRecord>, HostError> {
        let now = Instant::now();
        let state = self.lock();
        let containers = state.containers.iter().map(|(id, it)| InstanceRecord {
            id: id.clone(),
            of: Some(it.of.clone()),
            running: it.process.borrow().runs(now),
        });
        let remains = state.remains.iter().map(|id| InstanceRecord { id: id.clone(), of: None, running: false });
        Ok(containers.chain(remains).collect())
    }

    pub(super) async fn usage(&self, id: &InstanceId, _half: bool) -> Result<Usage, HostError> {
        let now = Instant::now();
        let state = self.lock();
        let container = state.containers.get(id).filter(|it| it.process.borrow().runs(now));
        let container = container.ok_or_else(|| HostError::NotFound(format!("process of {id}")))?;
        let process = container.process.borrow();
        let age = process.started.map(|started| now - started).unwrap_or_default();
        let Behaviour { cpu_millis, memory_bytes, .. } = container.behaviour;
        Ok(Usage { cpu: process.awake(now) * cpu_millis / 1_000, memory_bytes, age })
    }

    pub(super) async fn written(&self, id: &InstanceId, _most: u64, _half: bool) -> Result<u64, HostError> {
        let now = Instant::now();
        let state = self.lock();
        let container = state.containers.get(id).ok_or_else(|| HostError::NotFound(format!("container {id}")))?;
        Ok(container.process.borrow().awake(now).as_secs() * container.behaviour.fills)
    }

    pub(super) async fn listening(&self, id: &InstanceId, _half: bool) -> Result<Option<Vec<SocketAddr>>, HostError> {
        let now = Instant::now();
        let state = self.lock();
        let container = state.containers.get(id).filter(|it| it.process.borrow().runs(now));
        let container = container.ok_or_else(|| HostError::NotFound(format!("process of {id}")))?;
        let Behaviour { ready, listens, own_network_stack, .. } = &container.behaviour;
        if *own_network_stack {
            return Ok(None);
        }
        let age = container.process.borrow().awake(now);
        let serves = ready.as_ref().ok().map(|from| (*from, SocketAddr::from(([0, 0, 0, 0], PORT))));
        let all = serves.into_iter().chain(listens.iter().copied());
        let mut open: Vec<_> = all.filter(|(from, _)| *from <= age).map(|(_, address)| address).collect();
        open.sort_unstable();
        open.dedup();
        Ok(Some(open))
    }

    pub(super) async fn log_tail(&self, id: &InstanceId, bytes: usize, _half: bool) -> Result<String, HostError> {
        let state = self.lock();
        let log = state.containers.get(id).and_then(|it| it.log.as_deref());
        let log = log.ok_or_else(|| HostError::NotFound(format!("log of {id}")))?;
        let start = (log.len().saturating_sub(bytes)..=log.len()).find(|at| log.is_char_boundary(*at));
        Ok(log[start.unwrap_or(log.len())..].to_owned())
    }
}
