//! Watches the requests that wait for a function of which no instance is asked for, and wakes it.
//!
//! ```text
//! request parks (routes) -> demand -> Wake -> lifecycle -> BringUp ... Publish -> the parked requests get their leases
//! ```
//! The data path tells nobody: that a request is parked is a state, and this task looks at it.

use actix::AsyncContext as _;

use super::Function;
use super::effects::tell;
use crate::function::Event;

impl Function {
    /// Watches the entry that the routes have of this function now; one that it had before is forgotten, and its watch
    /// ends by itself.
    pub(super) fn watch_demand(&mut self, ctx: &mut actix::Context<Self>) {
        let Some(entry) = self.context.routes.find(&self.me.id) else { return };
        if self.watched.as_ref().is_some_and(|watched| watched.is(&entry)) {
            return;
        }
        self.watched = Some(entry.clone());
        let (over, address) = (self.me.over.clone(), ctx.address());
        let watch = async move {
            // Of an actor that is gone the successor watches: asking on would be a loop that never rests.
            while entry.demand().await && tell(&address, Event::Wake).await.is_ok() {}
        };
        self.me.tasks.spawn_on(over.run_until_cancelled_owned(watch), &self.context.runtime);
    }
}
