//! The puller: callers that want the same image share one pull, and only so many pulls run side by side.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Handler, ResponseFuture};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::host_call::{host_call, release_after};
use super::messages::Ensure;
use super::{Settings, Supervised};
use crate::host::{HostError, Image, Images, PullPolicy};

/// How long a pull that may be stuck keeps others waiting. Longer than for other calls: a big image takes its time.
const PATIENCE: Duration = Duration::from_secs(20);

type Pull = BoxFuture<'static, Result<Image, HostError>>;

/// See the module.
pub struct Puller {
    images: Arc<dyn Images>,
    places: Arc<Semaphore>,
    timeout: Duration,
    runtime: Handle,
    /// Pulls under way. One goes on when its callers are gone: the next deploy finds what it fetched.
    running: HashMap<(String, PullPolicy), WeakShared<Pull>>,
}

impl Puller {
    /// Starts the actor on this thread's actor system.
    pub fn start(images: Arc<dyn Images>, settings: &Settings, runtime: Handle) -> Arc<Supervised<Self>> {
        let places = Arc::new(Semaphore::new(settings.parallel_pulls.max(1)));
        let timeout = settings.pull_timeout;
        Supervised::start(move |_| Self {
            images: images.clone(),
            places: places.clone(),
            timeout,
            runtime: runtime.clone(),
            running: HashMap::new(),
        })
    }

    fn pull(&self, reference: String, policy: PullPolicy) -> Shared<Pull> {
        let (images, places, timeout) = (self.images.clone(), self.places.clone(), self.timeout);
        let runtime = self.runtime.clone();
        let pull = async move {
            let (place, what) = (places.acquire().await, reference.clone());
            let ensure = async move { images.ensure(&reference, policy).await };
            release_after(place, PATIENCE, host_call(&runtime, move || format!("pull {what}"), timeout, ensure)).await
        };
        pull.boxed().shared()
    }
}

impl Actor for Puller {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut actix::Context<Self>) {
        ctx.set_mailbox_capacity(1024);
    }
}

impl Handler<Ensure> for Puller {
    type Result = ResponseFuture<Result<Image, HostError>>;

    fn handle(&mut self, Ensure { reference, policy }: Ensure, _: &mut actix::Context<Self>) -> Self::Result {
        self.running.retain(|_, pull| pull.upgrade().is_some_and(|pull| pull.peek().is_none()));
        let key = (reference, policy);
        if let Some(pull) = self.running.get(&key).and_then(WeakShared::upgrade) {
            return pull.boxed();
        }
        let pull = self.pull(key.0.clone(), policy);
        if let Some(weak) = pull.downgrade() {
            self.running.insert(key, weak);
        }
        pull.boxed()
    }
}
