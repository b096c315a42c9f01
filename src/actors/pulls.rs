//! Pulls as single flights: callers that want the same image share one pull, and only so many pulls run side by side.
//!
//! A pull ends with the last caller that waits for it: an image that no function wants any more holds no place and no
//! line. What it fetched is kept for the next one for a while (`host`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::Settings;
use super::host_call::{host_call, release_after};
use crate::host::{HostError, Image, Images, PullPolicy};

/// How long a pull that may be stuck keeps others waiting. Longer than for other calls: a big image takes its time.
const PATIENCE: Duration = Duration::from_secs(20);

type Pull = BoxFuture<'static, Result<Image, HostError>>;

/// See the module.
pub(super) struct Pulls {
    images: Arc<dyn Images>,
    places: Arc<Semaphore>,
    timeout: Duration,
    runtime: Handle,
    under_way: Mutex<HashMap<(String, PullPolicy), WeakShared<Pull>>>,
}

impl Pulls {
    pub(super) fn new(images: Arc<dyn Images>, settings: &Settings, runtime: Handle) -> Self {
        let places = Arc::new(Semaphore::new(settings.parallel_pulls.max(1)));
        Self { images, places, timeout: settings.pull_timeout, runtime, under_way: Mutex::default() }
    }

    /// Makes an image complete on the machine. Dropping this ends the pull, unless another caller waits for it.
    ///
    /// # Errors
    /// As for [`Images::ensure`]; [`HostError::Deadline`] when it takes longer than a pull may.
    pub(super) async fn ensure(&self, reference: &str, policy: PullPolicy) -> Result<Image, HostError> {
        self.join(reference, policy).await
    }

    /// The pull of this image that is under way, or a new one.
    fn join(&self, reference: &str, policy: PullPolicy) -> Shared<Pull> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, pull| pull.upgrade().is_some_and(|pull| pull.peek().is_none()));
        let key = (reference.to_owned(), policy);
        if let Some(pull) = under_way.get(&key).and_then(WeakShared::upgrade) {
            return pull;
        }
        let pull = self.begin(reference.to_owned(), policy).boxed().shared();
        if let Some(weak) = pull.downgrade() {
            under_way.insert(key, weak);
        }
        pull
    }

    fn begin(&self, reference: String, policy: PullPolicy) -> impl Future<Output = Result<Image, HostError>> + use<> {
        let (images, places, timeout) = (self.images.clone(), self.places.clone(), self.timeout);
        let runtime = self.runtime.clone();
        async move {
            let (place, what) = (places.acquire().await, reference.clone());
            let ensure = async move { images.ensure(&reference, policy).await };
            release_after(place, PATIENCE, host_call(&runtime, move || format!("pull {what}"), timeout, ensure)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{Behaviour, FakeHost, Method};

    const SECOND: Duration = Duration::from_secs(1);

    fn pulls(host: &FakeHost, parallel_pulls: usize) -> Arc<Pulls> {
        let settings = Settings { parallel_pulls, ..Settings::default() };
        Arc::new(Pulls::new(host.host().images, &settings, Handle::current()))
    }

    #[tokio::test(start_paused = true)]
    async fn callers_for_one_image_share_one_pull_and_another_image_does_not_wait() {
        let host = FakeHost::new();
        for image in ["a:1", "b:1"] {
            host.publish_image(image, Behaviour::new().pulls_in(5 * SECOND));
        }
        let pulls = pulls(&host, 3);
        let all = ["a:1", "a:1", "a:1", "b:1"].map(|image| {
            let pulls = pulls.clone();
            tokio::spawn(async move { pulls.ensure(image, PullPolicy::Always).await })
        });
        for done in all {
            done.await.unwrap().unwrap();
        }
        assert_eq!((host.count(Method::ImagesEnsure), host.most_at_once(Method::ImagesEnsure)), (2, 2));
        pulls.ensure("a:1", PullPolicy::Always).await.unwrap();
        assert_eq!(host.count(Method::ImagesEnsure), 3, "one that is over is not joined");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_goes_on_for_as_long_as_one_of_its_callers_waits() {
        let host = FakeHost::new();
        host.publish_image("a:1", Behaviour::new().pulls_in(5 * SECOND));
        let pulls = pulls(&host, 1);
        // The first one to come is the one that drives it, and the first to go.
        let first = tokio::time::timeout(SECOND, pulls.ensure("a:1", PullPolicy::Always));
        let begun = tokio::time::Instant::now();
        let (left, done) = tokio::join!(first, pulls.ensure("a:1", PullPolicy::Always));
        assert!(left.is_err() && done.is_ok());
        assert_eq!((host.count(Method::ImagesEnsure), begun.elapsed().as_secs()), (1, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_that_no_caller_waits_for_ends_and_gives_its_place_back() {
        let host = FakeHost::new();
        host.publish_image("a:1", Behaviour::new().pulls_in(3600 * SECOND));
        host.publish_image("b:1", Behaviour::new().pulls_in(SECOND));
        let pulls = pulls(&host, 1);
        let begun = tokio::time::Instant::now();
        let leaves = |image| tokio::time::timeout(2 * SECOND, pulls.ensure(image, PullPolicy::Always));
        let (one, two) = tokio::join!(leaves("a:1"), leaves("a:1"));
        assert!(one.is_err() && two.is_err());
        tokio::task::yield_now().await;
        assert_eq!(host.host().images.progress("a:1"), None, "it goes on");
        pulls.ensure("b:1", PullPolicy::Always).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 3, "the place was held");

        // One that left while it waited for a place takes none.
        let (held, waiting) = tokio::join!(leaves("a:1"), leaves("b:1"));
        assert!(held.is_err() && waiting.is_err());
        assert_eq!(pulls.places.available_permits(), 1);
        assert_eq!(host.count(Method::ImagesEnsure), 3);
    }
}
