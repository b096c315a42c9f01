//! The threads that send calls which were kept. The proxy's connections belong to one thread each, so each of these has a proxy
//! of its own, and what is to be sent is handed to them.
//!
//! ```text
//! Queued::invoke -> job -> worker: exchange -> reply         whoever drops the wait drops the request to the function
//!                             | no runtime: not tried, and one more look each second
//! ```

use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, available_parallelism, park_timeout};
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
use crate::queue::retry::{Came, Hold};
use crate::queue::seam::{Deliver, Delivered, Invoke, Post, Reply, Sending};

/// From so many processors on a second thread is worth its memory.
const MANY: usize = 8;

/// How often a thread that can't send looks whether it can.
const AGAIN: Duration = Duration::from_secs(1);

/// A call that is to be sent, and who waits for what comes of it.
struct Job {
    call: Sending,
    reply: oneshot::Sender<Reply>,
}

/// What sends calls that were kept, and their callbacks.
pub struct Queued {
    workers: Vec<Worker>,
    next: AtomicUsize,
    callbacks: Callbacks,
}

/// One thread, from outside.
struct Worker {
    jobs: mpsc::UnboundedSender<Job>,
    fails: Arc<AtomicBool>,
}

impl Queued {
    /// Starts the threads. They end when this is dropped.
    ///
    /// # Errors
    /// When the machine has no thread for it.
    pub fn start(services: &Arc<Services>, settings: &Settings) -> io::Result<Arc<Self>> {
        let count = if available_parallelism().map_or(1, NonZero::get) >= MANY { 2 } else { 1 };
        let workers = (0..count).map(|_| {
            let (services, settings) = (services.clone(), settings.clone());
            Worker::start(Runtime::new, move |runtime, received| {
                runtime.block_on(send(services.clone(), &settings, received));
            })
        });
        let callbacks = Callbacks::new(services.queue.rules().clone());
        Ok(Arc::new(Self { workers: workers.collect::<io::Result<_>>()?, next: AtomicUsize::new(0), callbacks }))
    }
}

impl Worker {
    /// A thread that sends by `work`, with what `make` makes. It ends when this is dropped.
    fn start<R>(
        mut make: impl FnMut() -> io::Result<R> + Send + 'static,
        mut work: impl FnMut(R, &mut mpsc::UnboundedReceiver<Job>) + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, mut received) = mpsc::unbounded_channel();
        let fails = Arc::new(AtomicBool::new(false));
        let shown = fails.clone();
        Builder::new().name("queue".to_owned()).spawn(move || {
            while let Some(runtime) = first(&mut make, &shown, &mut received) {
                // The panic of one call is its task's alone: this is another.
                if catch_unwind(AssertUnwindSafe(|| work(runtime, &mut received))).is_ok() {
                    return;
                }
                tracing::error!("what sends calls that were kept panicked: it begins anew");
                shown.store(true, Ordering::Release);
                park_timeout(AGAIN);
            }
        })?;
        Ok(Self { jobs, fails })
    }
}

/// The first runtime that can be made. Until then calls that come are not tried. None: nobody hands over any more.
fn first<R>(
    make: &mut impl FnMut() -> io::Result<R>,
    fails: &AtomicBool,
    received: &mut mpsc::UnboundedReceiver<Job>,
) -> Option<R> {
    loop {
        match make() {
            Ok(runtime) => {
                if fails.swap(false, Ordering::AcqRel) {
                    tracing::info!("calls that were kept are sent again");
                }
                return Some(runtime);
            }
            Err(error) => {
                if !fails.swap(true, Ordering::AcqRel) {
                    tracing::error!(%error, "calls that were kept can't be sent: they wait, and it is tried again each second");
                }
            }
        }
        loop {
            match received.try_recv() {
                // Who does not wait any more needs no answer.
                Ok(job) => drop(job.reply.send(not_tried())),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
            }
        }
        park_timeout(AGAIN);
    }
}

/// What one thread does, until nobody hands it anything more.
async fn send(services: Arc<Services>, settings: &Settings, received: &mut mpsc::UnboundedReceiver<Job>) {
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
}

/// It is no fault of the call or of its function.
fn not_tried() -> Reply {
    Reply { came: Came::NotTried(Hold::Paused), answer: None, took: Duration::ZERO, held: None }
}

/// It was being sent when that panicked, and may have been what did it.
fn lost() -> Reply {
    let reason = "what sends calls failed: the log has a line of it".to_owned();
    let came = Came::Internal { status: 502, retry_after: None, reason };
    Reply { came, answer: None, took: Duration::ZERO, held: None }
}

#[async_trait]
impl Invoke for Queued {
    async fn invoke(&self, call: &Sending) -> Reply {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        let worker = &self.workers[at];
        let (reply, came) = oneshot::channel();
        if worker.jobs.send(Job { call: call.clone(), reply }).is_err() {
            return not_tried();
        }
        came.await.unwrap_or_else(|_| lost())
    }

    fn fault(&self) -> Option<String> {
        let fails = self.workers.iter().any(|worker| worker.fails.load(Ordering::Acquire));
        fails.then(|| "calls can't be sent: the log has a line of it".to_owned())
    }
}

#[async_trait]
impl Deliver for Queued {
    async fn deliver(&self, post: &Post) -> Delivered {
        self.callbacks.deliver(post).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use bytes::Bytes;

    use super::*;
    use crate::queue::callback::{Own, Rules};
    use crate::queue::{CallId, wall};

    fn sends_by(worker: Worker) -> Queued {
        let rules = Rules {
            own: Own { listen: Vec::new(), names: Vec::new() },
            subnet: "10.62.0.0/16".parse().unwrap(),
            allow: Vec::new(),
            local: |_| false,
        };
        Queued { workers: vec![worker], next: AtomicUsize::new(0), callbacks: Callbacks::new(rules) }
    }

    fn call() -> Sending {
        Sending {
            id: CallId::new(wall()),
            function: "f".parse().unwrap(),
            method: "POST".to_owned(),
            path_and_query: String::new(),
            head: Bytes::new(),
            body: Bytes::new(),
            keep: 0,
        }
    }

    fn answered() -> Reply {
        Reply { came: Came::Answered { status: 200, retry_after: None }, ..not_tried() }
    }

    #[tokio::test]
    async fn while_a_thread_can_not_send_calls_are_not_tried_and_that_is_told_until_it_can() {
        let (mend, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (mended, count) = (mend.clone(), made.clone());
        let make = move || {
            count.fetch_add(1, Ordering::Relaxed);
            if mended.load(Ordering::Relaxed) { Ok(()) } else { Err(io::Error::other("no descriptors")) }
        };
        let queued = sends_by(
            Worker::start(make, |(), received| {
                while let Some(job) = received.blocking_recv() {
                    drop(job.reply.send(answered()));
                }
            })
            .unwrap(),
        );
        for _ in 0..3 {
            assert_eq!(queued.invoke(&call()).await.came, Came::NotTried(Hold::Paused));
            assert!(queued.fault().is_some());
        }
        mend.store(true, Ordering::Relaxed);
        while queued.invoke(&call()).await.came != answered().came {}
        assert_eq!(queued.fault(), None);
        assert!(made.load(Ordering::Relaxed) > 1);
    }

    #[tokio::test]
    async fn the_call_whose_sending_panicked_counts_and_others_are_sent() {
        let work = |(), received: &mut mpsc::UnboundedReceiver<Job>| {
            while let Some(job) = received.blocking_recv() {
                assert!(!job.call.method.is_empty(), "planned");
                drop(job.reply.send(answered()));
            }
        };
        let queued = sends_by(Worker::start(|| Ok(()), work).unwrap());
        let evil = Sending { method: String::new(), ..call() };
        assert!(matches!(queued.invoke(&evil).await.came, Came::Internal { status: 502, .. }));
        assert_eq!(queued.invoke(&call()).await.came, answered().came);
        assert_eq!(queued.fault(), None);
    }
}
