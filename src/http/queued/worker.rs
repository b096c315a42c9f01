//! The threads that send calls which were kept. The proxy's connections belong to one thread each, so each of these has a proxy
//! of its own, and what is to be sent is handed to them.
//!
//! ```text
//! Queued::invoke -> job -> worker: exchange -> reply         whoever drops the wait drops the request to the function
//! ```

use std::io;
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, available_parallelism};
use std::time::Duration;

use actix_web::rt::{self, Runtime};
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::callback::Callbacks;
use super::exchange::exchange;
use crate::http::guesses::Guesses;
use crate::http::proxies::TrustedProxies;
use crate::http::proxy::Proxy;
use crate::http::{Services, Settings};
use crate::queue::retry::Came;
use crate::queue::seam::{Deliver, Delivered, Invoke, Post, Reply, Sending};

/// From so many processors on a second thread is worth its memory.
const MANY: usize = 8;

/// A call that is to be sent, and who waits for what comes of it.
struct Job {
    call: Sending,
    reply: oneshot::Sender<Reply>,
}

/// What sends calls that were kept, and their callbacks.
pub struct Queued {
    workers: Vec<mpsc::UnboundedSender<Job>>,
    next: AtomicUsize,
    callbacks: Callbacks,
}

impl Queued {
    /// Starts the threads. They end when this is dropped.
    ///
    /// # Errors
    /// When the machine has no thread for it.
    pub fn start(services: &Arc<Services>, settings: &Settings) -> io::Result<Arc<Self>> {
        let count = if available_parallelism().map_or(1, NonZero::get) >= MANY { 2 } else { 1 };
        let workers = (0..count).map(|_| {
            let (jobs, received) = mpsc::unbounded_channel();
            let (services, settings) = (services.clone(), settings.clone());
            let work = move || {
                if let Err(error) = work(services, &settings, received) {
                    tracing::error!(%error, "calls that were kept can't be sent");
                }
            };
            Builder::new().name("queue".to_owned()).spawn(work)?;
            Ok(jobs)
        });
        let callbacks = Callbacks::new(services.queue.rules().clone());
        Ok(Arc::new(Self { workers: workers.collect::<io::Result<_>>()?, next: AtomicUsize::new(0), callbacks }))
    }
}

/// What one thread does, until nobody hands it anything more.
fn work(services: Arc<Services>, settings: &Settings, mut received: mpsc::UnboundedReceiver<Job>) -> io::Result<()> {
    Runtime::new()?.block_on(async move {
        let proxy = Rc::new(Proxy::new(services, settings, Guesses::of("functions", TrustedProxies::default())));
        while let Some(Job { call, mut reply }) = received.recv().await {
            let proxy = proxy.clone();
            rt::spawn(async move {
                let came = tokio::select! {
                    biased;
                    () = reply.closed() => return,
                    came = exchange(&proxy, &call) => came,
                };
                let _ = reply.send(came);
            });
        }
    });
    Ok(())
}

#[async_trait]
impl Invoke for Queued {
    async fn invoke(&self, call: &Sending) -> Reply {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        let (reply, came) = oneshot::channel();
        let sent = self.workers[at].send(Job { call: call.clone(), reply });
        let lost = || Reply {
            came: Came::Internal {
                status: 502,
                retry_after: None,
                reason: "what sends calls failed: the log has a line of it".to_owned(),
            },
            answer: None,
            took: Duration::ZERO,
            held: None,
        };
        if sent.is_err() {
            return lost();
        }
        came.await.unwrap_or_else(|_| lost())
    }
}

#[async_trait]
impl Deliver for Queued {
    async fn deliver(&self, post: &Post) -> Delivered {
        self.callbacks.deliver(post).await
    }
}
