//! Instances that sleep until the next call.

use actord::function::{FunctionId, InstanceId};

use super::{Kept, Life};

impl Life {
    /// Freezes the instances that have no request, each until one comes.
    pub(super) fn freeze(&self, kept: &mut Kept, id: &FunctionId) {
        let (Some(routes), Some(function)) = (&self.routes, kept.functions.get_mut(id)) else { return };
        for instance in &function.instances {
            if routes.freeze(id, instance) {
                function.frozen.insert(instance.clone());
                let (me, routes, id, instance) = (self.me.clone(), routes.clone(), id.clone(), instance.clone());
                tokio::spawn(async move {
                    routes.called(&id, &instance).await;
                    routes.thaw(&id, &instance);
                    if let Some(me) = me.upgrade() {
                        me.thawed(&id, &instance);
                    }
                });
            }
        }
    }

    fn thawed(&self, id: &FunctionId, instance: &InstanceId) {
        let mut kept = self.kept.lock().unwrap();
        if kept.functions.get_mut(id).is_some_and(|function| function.frozen.remove(instance)) {
            self.tell(&kept, id);
        }
    }
}
