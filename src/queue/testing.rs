//! A queue in memory, for tests of what is around it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use ipnet::Ipv4Net;
use tokio::runtime::Handle;

use super::callback::{Own, Rules};
use super::local::is_local;
use super::{Queue, Settings};
use crate::engine::Engine;
use crate::routes::Routes;
use crate::store::calls::{Calls, StoreError};

/// How long it is waited for until it is open.
const OPENED: Duration = Duration::from_secs(10);

impl Settings {
    /// The defaults of `up`, for one that is called `gateway` in callbacks.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            max_body: 1 << 20,
            max_calls: 100_000,
            max_bytes: None,
            parallel: 256,
            rules: Rules {
                own: Own { listen: Vec::new(), names: vec!["gateway".to_owned()] },
                subnet: Ipv4Net::new_assert([10, 62, 0, 0].into(), 16),
                allow: Vec::new(),
                local: is_local,
            },
            directory: None,
        }
    }
}

impl Queue {
    /// One that lives as long as the process, and is open.
    ///
    /// # Errors
    /// When there is no such database.
    pub async fn in_memory(
        engine: Arc<dyn Engine>,
        routes: Arc<Routes>,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        let calls = Calls::in_memory()?;
        let open = Box::new(move |_| {
            let calls = calls.clone();
            async move { Ok(calls) }.boxed()
        });
        let opened = Self::open(open, engine, routes, settings, &Handle::current());
        let queue = opened.map_err(|error| StoreError::Failed(error.to_string()))?;
        queue.opened(OPENED).await;
        Ok(queue)
    }
}
