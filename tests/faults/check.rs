//! Whether everything is as the store says: what is desired serves, and nothing else is there.

use std::collections::{BTreeMap, BTreeSet};

use actord::function::{Desired, Generation, InstanceId};

use crate::platform::Platform;

/// What the store keeps, by the function's name.
pub async fn kept(platform: &Platform) -> BTreeMap<String, Desired> {
    let all = platform.store.all().await.unwrap();
    all.into_iter().map(|(id, desired)| (id.to_string(), desired)).collect()
}

/// What should serve of a function: the newest generation, or the last good one where that failed.
fn wanted(desired: &Desired) -> (Option<Generation>, usize) {
    // Its process ends at once, whenever it is started. It is what is left where its update was refused.
    if desired.spec.image == "crash:1" && desired.refused.is_some() {
        return (None, 0);
    }
    let good = desired.last_good().map(|good| good.generation);
    let target = if desired.failed.is_none() { Some(desired.generation) } else { good };
    (target, if target.is_some() { desired.running_replicas() as usize } else { 0 })
}

/// Everything that is not as it should be.
pub async fn differences(platform: &Platform) -> Vec<String> {
    let (mut wrong, mut serving) = (Vec::new(), BTreeSet::new());
    for (id, desired) in platform.store.all().await.unwrap() {
        let (target, replicas) = wanted(&desired);
        let published = platform.routes.published(&id);
        if published.len() != replicas {
            wrong.push(format!("{id}: {replicas} wanted, published {published:?}"));
        }
        for instance in published {
            let of = platform.host.generation(&instance);
            if of.as_ref().map(|(of, generation)| (of, Some(*generation))) != Some((&id, target)) {
                wrong.push(format!("{instance} serves {id}, of which {target:?} is wanted, and is {of:?}"));
            }
            let held = platform.host.secrets(&instance);
            let kept = platform.secrets.read_present(&id.namespace, &held.keys().cloned().collect()).unwrap();
            if held != kept {
                wrong.push(format!("{instance} holds secrets {held:?}, kept are {kept:?}"));
            }
            serving.insert(instance);
        }
        let frozen = platform.host.frozen();
        let asleep = platform.routes.published(&id).iter().filter(|instance| frozen.contains(instance)).count();
        let marked = platform.routes.find(&id).unwrap().frozen();
        if asleep != marked {
            wrong.push(format!("{id}: {asleep} instances are frozen, {marked} are marked so"));
        }
        let view = platform.view(&id.to_string()).await;
        if view.as_ref().and_then(|view| view.status.desired.as_ref()) != Some(&desired) {
            wrong.push(format!("{id}: kept {desired:?}, shown {view:?}"));
        }
    }
    if platform.list().await.len() != platform.store.all().await.unwrap().len() {
        wrong.push("functions are listed that are not kept".to_owned());
    }
    let left = platform.host.leftovers();
    let kinds: [(&str, &BTreeSet<InstanceId>, &BTreeSet<InstanceId>); 4] = [
        ("containers", &left.containers, &serving),
        ("networks", &left.networks, &serving),
        ("running", &platform.host.running(), &serving),
        ("remains", &left.remains, &BTreeSet::new()),
    ];
    for (what, there, should) in kinds {
        if there != should {
            wrong.push(format!("{what}: {there:?}, should be {should:?}"));
        }
    }
    if left.warm.len() != platform.settings.warm_attachments {
        wrong.push(format!("warm: {:?}, should be {}", left.warm, platform.settings.warm_attachments));
    }
    let kept: BTreeSet<_> = kept(platform).await.into_keys().collect();
    for function in platform.host.logged().iter().filter(|function| !kept.contains(&function.to_string())) {
        wrong.push(format!("logs of {function}, which is not kept"));
    }
    wrong.extend(platform.host.violations());
    wrong
}
