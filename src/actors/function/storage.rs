//! How much of the machine's disk an instance that serves takes by what it writes, now and then; one that takes more than it may
//! is not well, and is replaced: it begins anew with nothing written.
//!
//! ```text
//! every 30 s, one instance of the machine after the other -> Runtime::written -> more than it may? -> Event::Unhealthy
//! ```
//! No request waits for it. One that is frozen writes nothing, and is not looked at.

use std::future::{Future, pending};
use std::time::Duration;

use tokio::time::sleep;

use super::super::host_call::host_call;
use super::instance_task::InstanceTask;
use crate::function::Event;

/// From one look to the next.
const PERIOD: Duration = Duration::from_secs(30);
/// The longest that one look may take, at the pace at which files are counted.
const LONGEST: Duration = Duration::from_secs(600);

impl InstanceTask {
    /// Goes on looking how much the instance wrote, and tells when it is too much. Does not return.
    pub(super) async fn watch_storage<F>(&self, tell: impl Fn(Event) -> F)
    where
        F: Future<Output = ()>,
    {
        let own = self.spec.storage_limit_bytes();
        if let Some(most) = own.or(self.context.settings.ephemeral_storage).filter(|_| self.spec.writes_to_disk()) {
            self.until_it_wrote_more_than(most).await;
            let whose = if own.is_some() { "limits.ephemeral-storage" } else { "the setting ephemeral-storage" };
            let reason =
                format!("evicted: what it wrote takes more than {} ({whose}) of the machine's disk", quantity(most));
            tell(Event::Unhealthy(self.id.clone(), reason)).await;
        }
        pending::<()>().await;
    }

    async fn until_it_wrote_more_than(&self, most: u64) {
        loop {
            sleep(PERIOD).await;
            if self.awake.try_read().is_err() {
                drop(self.awake.read().await);
                continue;
            }
            let Ok(_turn) = self.context.counting.acquire().await else { return pending().await };
            let (runtime, id) = (self.context.host.runtime.clone(), self.id.clone());
            let count = async move { runtime.written(&id, most).await };
            let what = || format!("count the files of {}", self.id);
            match host_call(&self.context.runtime, what, LONGEST, count).await {
                Ok(bytes) if bytes > most => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(instance = %self.id, %error, "its files could not be counted, trying again later");
                }
            }
        }
    }
}

/// Bytes as a Kubernetes quantity, in the greatest unit that leaves nothing over.
fn quantity(bytes: u64) -> String {
    let units = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
    let whole = units.into_iter().find(|(power, _)| bytes.trailing_zeros() >= *power);
    whole.map_or_else(|| bytes.to_string(), |(power, unit)| format!("{}{unit}", bytes >> power))
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn bytes_are_told_in_the_greatest_unit_that_leaves_nothing_over() {
        assert_eq!([1 << 30, 3 << 20, 1536, 1000].map(quantity), ["1Gi", "3Mi", "1536", "1000"]);
    }
}
