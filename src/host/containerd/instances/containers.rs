//! What containerd keeps of an instance: its snapshot and its container record. Tasks are next door.

use std::collections::HashMap;

use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{
    ListSnapshotsRequest, MountsRequest, PrepareSnapshotRequest, RemoveSnapshotRequest,
};
use containerd_client::services::v1::{
    Container, CreateContainerRequest, DeleteContainerRequest, GetContainerRequest, ListContainersRequest,
};
use containerd_client::tonic::Response;
use containerd_client::types::Mount;
use prost_types::Any;

use super::{oci, runtimes};
use crate::function::{FunctionId, Generation, InstanceId, Spec};
use crate::host::containerd::connection::{Containerd, Failure, OWNER_LABEL};
use crate::host::{HostError, InstanceConfig, Termination};

/// Labels that begin like this are ours: users may not set them.
const OURS: &str = "actord.dev/";
const FUNCTION_LABEL: &str = "actord.dev/function";
const NAMESPACE_LABEL: &str = "actord.dev/namespace";
const GENERATION_LABEL: &str = "actord.dev/generation";
const SHARD_LABEL: &str = "actord.dev/shard";

/// containerd acts on labels that begin like this: its garbage collector and its restart plugin do.
const CONTAINERDS: &str = "containerd.io/";
/// containerd's limit for a label's key and value together.
const LABEL_MAX: usize = 4_096;

/// The labels of a new instance's container: the function's, and who it is.
///
/// Labels that containerd would refuse or act upon are left off; desired state keeps them.
pub(super) fn labels(
    owner: &str,
    creation: &InstanceConfig,
    shard: Option<usize>,
) -> Result<HashMap<String, String>, HostError> {
    let mut labels = own_labels(&creation.spec)?;
    let function = &creation.function;
    labels.extend(shard.map(|shard| (SHARD_LABEL.to_owned(), shard.to_string())));
    for (key, value) in [
        (OWNER_LABEL, owner.to_owned()),
        (FUNCTION_LABEL, function.name.to_string()),
        (NAMESPACE_LABEL, function.namespace.to_string()),
        (GENERATION_LABEL, creation.generation.to_string()),
    ] {
        labels.insert(key.to_owned(), value);
    }
    Ok(labels)
}

fn own_labels(spec: &Spec) -> Result<HashMap<String, String>, HostError> {
    let mut labels = HashMap::new();
    for (key, value) in spec.container_labels() {
        if key.starts_with(OURS) {
            return Err(HostError::Spec(format!("label {key:?} is reserved: labels can't begin with {OURS}")));
        }
        if key.starts_with(CONTAINERDS) || key.len() + value.len() > LABEL_MAX {
            tracing::debug!(key, "label is not put on the container: containerd would act on it or refuse it");
            continue;
        }
        labels.insert(key, value);
    }
    Ok(labels)
}

/// Whose instance a container is, from its labels.
pub(super) fn of(labels: &HashMap<String, String>) -> Option<(FunctionId, Generation)> {
    let function =
        FunctionId::new(labels.get(FUNCTION_LABEL)?.parse().ok()?, labels.get(NAMESPACE_LABEL)?.parse().ok()?);
    Some((function, Generation(labels.get(GENERATION_LABEL)?.parse().ok()?)))
}

/// The shard that an instance's shim is of, from its container's labels.
pub(super) fn shard(labels: &HashMap<String, String>) -> Option<usize> {
    labels.get(SHARD_LABEL)?.parse().ok()
}

/// Keeps a snapshot from containerd's garbage collector: nothing refers to it before the container record does, and where
/// that is never made, its removal ends it.
const KEPT: &str = "containerd.io/gc.root";

fn owned(containerd: &Containerd) -> HashMap<String, String> {
    let owner = (OWNER_LABEL.to_owned(), containerd.owner.clone());
    HashMap::from([owner, (KEPT.to_owned(), OWNER_LABEL.to_owned())])
}

/// Prepares an instance's snapshot on top of an image's; returns how to mount it.
pub(super) async fn prepare_snapshot(
    containerd: &Containerd,
    snapshotter: &str,
    id: &InstanceId,
    parent: &str,
) -> Result<Vec<Mount>, HostError> {
    let message = PrepareSnapshotRequest {
        snapshotter: snapshotter.to_owned(),
        key: id.to_string(),
        parent: parent.to_owned(),
        labels: owned(containerd),
    };
    let prepare = async |channel, request| SnapshotsClient::new(channel).prepare(request).await;
    let call = containerd.call(format!("prepare snapshot {id} ({snapshotter})"), message);
    Ok(call.try_send(prepare).await.map_err(Failure::of_making)?.mounts)
}

/// How an instance's snapshot is mounted.
pub(super) async fn snapshot_mounts(
    containerd: &Containerd,
    snapshotter: &str,
    id: &InstanceId,
) -> Result<Vec<Mount>, HostError> {
    let message = MountsRequest { snapshotter: snapshotter.to_owned(), key: id.to_string() };
    let mounts = async |channel, request| SnapshotsClient::new(channel).mounts(request).await;
    let found = containerd.call(format!("find snapshot {id}"), message).find(mounts).await?;
    Ok(found.ok_or_else(|| HostError::NotFound(format!("snapshot {id}")))?.mounts)
}

/// Removes an instance's snapshot; none is fine.
pub(super) async fn remove_snapshot(
    containerd: &Containerd,
    snapshotter: &str,
    id: &InstanceId,
) -> Result<(), HostError> {
    let message = RemoveSnapshotRequest { snapshotter: snapshotter.to_owned(), key: id.to_string() };
    let remove = async |channel, request| SnapshotsClient::new(channel).remove(request).await;
    containerd.call(format!("remove snapshot {id}"), message).find(remove).await.map(drop)
}

/// The instances that have a snapshot of ours.
pub(super) async fn list_snapshots(containerd: &Containerd, snapshotter: &str) -> Result<Vec<InstanceId>, HostError> {
    let message =
        ListSnapshotsRequest { snapshotter: snapshotter.to_owned(), filters: vec![containerd.owned_filter()] };
    let list = async |channel, request| {
        let mut stream = SnapshotsClient::new(channel).list(request).await?.into_inner();
        let mut found = Vec::new();
        while let Some(batch) = stream.message().await? {
            // What an image was unpacked into may carry our label too; its name is a digest, which is no instance id.
            found.extend(batch.info.into_iter().filter_map(|info| info.name.parse().ok()));
        }
        Ok(Response::new(found))
    };
    containerd.call(format!("list snapshots ({snapshotter})"), message).send(list).await
}

/// Makes an instance's container record.
pub(super) async fn create_container(
    containerd: &Containerd,
    snapshotter: &str,
    runtime: Runtime,
    creation: &InstanceConfig,
    labels: HashMap<String, String>,
    spec: Vec<u8>,
) -> Result<(), HostError> {
    let id = &creation.id;
    let container = Container {
        id: id.to_string(),
        labels,
        image: creation.image.reference.clone(),
        runtime: Some(runtime),
        spec: Some(Any { type_url: "types.containerd.io/opencontainers/runtime-spec/1/Spec".to_owned(), value: spec }),
        snapshotter: snapshotter.to_owned(),
        snapshot_key: id.to_string(),
        ..Container::default()
    };
    let message = CreateContainerRequest { container: Some(container) };
    let create = async |channel, request| ContainersClient::new(channel).create(request).await;
    let call = containerd.call(format!("create container {id}"), message);
    call.try_send(create).await.map(drop).map_err(Failure::of_making)
}

/// How an instance wants to be ended: its runtime spec, which its container record keeps, has all that says so.
pub(super) async fn termination(containerd: &Containerd, id: &InstanceId) -> Result<Termination, HostError> {
    let get = async |channel, request| ContainersClient::new(channel).get(request).await;
    let call = containerd.call(format!("look up container {id}"), GetContainerRequest { id: id.to_string() });
    let container = call.find(get).await?.and_then(|found| found.container);
    let container = container.ok_or_else(|| HostError::NotFound(format!("container {id}")))?;
    let spec = container.spec.map(|spec| spec.value).unwrap_or_default();
    oci::termination(&spec).map_err(|error| HostError::Failed(format!("read the runtime spec of {id}: {error}")))
}

/// Deletes an instance's container record; none is fine.
pub(super) async fn delete_container(containerd: &Containerd, id: &InstanceId) -> Result<(), HostError> {
    let delete = async |channel, request| ContainersClient::new(channel).delete(request).await;
    let call = containerd.call(format!("delete container {id}"), DeleteContainerRequest { id: id.to_string() });
    call.find(delete).await.map(drop)
}

/// Whether the processes of an instance use the network of this machine's kernel.
pub(super) async fn uses_kernel_network(containerd: &Containerd, id: &InstanceId) -> Result<bool, HostError> {
    let get = async |channel, request| ContainersClient::new(channel).get(request).await;
    let call = containerd.call(format!("get container {id}"), GetContainerRequest { id: id.to_string() });
    let container = call.send(get).await?.container;
    Ok(container.and_then(|container| container.runtime).as_ref().is_some_and(runtimes::uses_kernel_network))
}

/// Our containers with their labels, read one by one: each record carries its runtime spec (9 KB), and of 460 in one
/// message the 4 MiB are exceeded that a gRPC client takes.
pub(super) async fn list_containers(
    containerd: &Containerd,
) -> Result<Vec<(InstanceId, HashMap<String, String>)>, HostError> {
    let list = async |channel, request| {
        let mut stream = ContainersClient::new(channel).list_stream(request).await?.into_inner();
        let mut found = Vec::new();
        while let Some(message) = stream.message().await? {
            let listed = message.container.and_then(|it| Some((it.id.parse().ok()?, it.labels)));
            found.extend(listed);
        }
        Ok(Response::new(found))
    };
    let message = ListContainersRequest { filters: vec![containerd.owned_filter()] };
    containerd.call("list containers", message).send(list).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::function::SpecDraft;
    use crate::host::Image;

    fn creation(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> InstanceConfig {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let draft = SpecDraft {
            image: "i".into(),
            labels: pairs(labels),
            annotations: pairs(annotations),
            ..SpecDraft::default()
        };
        InstanceConfig {
            id: "f-1".parse().unwrap(),
            function: "f.ns".parse().unwrap(),
            generation: Generation(7),
            spec: Arc::new(Spec::try_from(draft).unwrap()),
            image: Image::default(),
            secrets: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_container_says_whose_instance_it_is() {
        let labels = labels("host-1", &creation(&[("team", "a")], &[("note", "n")]), Some(2)).unwrap();
        assert_eq!(of(&labels), Some(("f.ns".parse().unwrap(), Generation(7))));
        assert_eq!(labels[OWNER_LABEL], "host-1");
        assert_eq!((shard(&labels), shard(&HashMap::new())), (Some(2), None));
        assert_eq!(labels["team"], "a");
        assert_eq!(labels["com.openfaas.annotations.note"], "n");
        assert_eq!(of(&HashMap::new()), None);
    }

    #[test]
    fn a_label_that_claims_to_be_ours_is_refused() {
        let error = labels("host-1", &creation(&[("actord.dev/owner", "me")], &[]), None).unwrap_err();
        assert!(matches!(&error, HostError::Spec(reason) if reason.contains("actord.dev/owner")), "{error:?}");
    }

    #[test]
    fn labels_that_containerd_would_refuse_or_act_on_are_left_off() {
        let long = "x".repeat(5_000);
        let fits = "y".repeat(LABEL_MAX - "fits".len());
        let made = labels(
            "host-1",
            &creation(
                &[("long", &long), ("fits", &fits), ("containerd.io/restart.status", "running")],
                &[("a", &long)],
            ),
            None,
        )
        .unwrap();
        let mut names: Vec<_> = made.keys().map(String::as_str).filter(|key| !key.starts_with(OURS)).collect();
        names.sort_unstable();
        assert_eq!(names, ["fits"]);
    }
}
