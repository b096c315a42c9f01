//! What happens to containers, told to containerd. Nothing waits for it: what is told goes into a queue, and a task of its
//! own sends it, in that order.
//!
//! Who needs to know of an end for certain asks with Wait. Events are for those who look on: one that containerd does not
//! take for a while, because it is being restarted, is tried again for some seconds and then dropped.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use containerd_shim_protos::api::ForwardRequest;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use containerd_shim_protos::ttrpc::context;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How many events may wait. More are dropped, the newest first.
const QUEUE: usize = 1_024;
/// How long containerd may take for one.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often one is tried, and how long between two tries.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);
/// How long the last events may take when the server ends.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// A kind of event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    topic: &'static str,
    /// The full name of its message. The library could tell it, and would build tables of all messages for that.
    message: &'static str,
}

pub(super) const CREATE: Kind = Kind { topic: "/tasks/create", message: "containerd.events.TaskCreate" };
pub(super) const START: Kind = Kind { topic: "/tasks/start", message: "containerd.events.TaskStart" };
pub(super) const EXIT: Kind = Kind { topic: "/tasks/exit", message: "containerd.events.TaskExit" };
pub(super) const DELETE: Kind = Kind { topic: "/tasks/delete", message: "containerd.events.TaskDelete" };
pub(super) const PAUSED: Kind = Kind { topic: "/tasks/paused", message: "containerd.events.TaskPaused" };
pub(super) const RESUMED: Kind = Kind { topic: "/tasks/resumed", message: "containerd.events.TaskResumed" };

/// The way to containerd's events.
#[derive(Debug)]
pub(super) struct Events {
    namespace: String,
    queue: Mutex<Option<mpsc::Sender<Envelope>>>,
}

/// Sends what is told, until [`Events`] is dropped.
#[derive(Debug)]
pub(super) struct Sending(JoinHandle<()>);

impl Events {
    /// Events of this namespace, for the containerd that listens there.
    pub(super) fn to(address: &str, namespace: String) -> (Self, Sending) {
        let (queue, told) = mpsc::channel(QUEUE);
        (
            Self { namespace, queue: Mutex::new(Some(queue)) },
            Sending(tokio::spawn(send(format!("unix://{address}"), told))),
        )
    }

    /// Tells containerd, by and by.
    pub(super) fn tell(&self, kind: Kind, event: &impl Message) {
        let Ok(value) = event.write_to_bytes() else { return };
        let type_url = kind.message.to_owned();
        let envelope = Envelope {
            timestamp: MessageField::some(timestamp(SystemTime::now())),
            namespace: self.namespace.clone(),
            topic: kind.topic.to_owned(),
            event: MessageField::some(Any { type_url, value, ..Any::default() }),
            ..Envelope::default()
        };
        if let Some(queue) = &*self.queue() {
            let _ = queue.try_send(envelope);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Option<mpsc::Sender<Envelope>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sending {
    /// Waits a little until all is sent. Nothing can be told any more.
    pub(super) async fn end(self, events: &Events) {
        events.queue().take();
        let _ = timeout(LAST_EVENTS, self.0).await;
    }
}

/// A time as protobuf has it.
pub(super) fn timestamp(at: SystemTime) -> Timestamp {
    at.into()
}

async fn send(address: String, mut told: mpsc::Receiver<Envelope>) {
    let mut connection = None;
    while let Some(envelope) = told.recv().await {
        let request = ForwardRequest { envelope: MessageField::some(envelope), ..ForwardRequest::default() };
        for _ in 0..TRIES {
            if connection.is_none() {
                connection = Client::connect(&address).await.map(EventsClient::new).ok();
            }
            let Some(client) = &connection else {
                sleep(PAUSE).await;
                continue;
            };
            match timeout(PATIENCE, client.forward(context::with_duration(PATIENCE), &request)).await {
                Ok(Ok(_)) => break,
                // A new connection at once: this one may be of a containerd that was restarted.
                Ok(Err(_)) | Err(_) => connection = None,
            }
        }
    }
}
