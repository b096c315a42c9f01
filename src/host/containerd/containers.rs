//! What containerd keeps of an instance: its snapshot, its container record, and the lease that guards both while they
//! are made. Tasks are next door.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{ListSnapshotsRequest, PrepareSnapshotRequest, RemoveSnapshotRequest};
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateRequest, DeleteContainerRequest, DeleteRequest, ListContainersRequest,
};
use containerd_client::tonic::{Code, Response, Status};
use containerd_client::types::Mount;
use prost_types::Any;

use super::channel::{Containerd, OWNER_LABEL, host_error};
use super::content::{CALL_DEADLINE, within};
use crate::function::{FunctionId, Generation, InstanceId, Spec};
use crate::host::{HostError, InstanceConfig};

/// Labels that begin like this are ours: users may not set them.
const OURS: &str = "actord.dev/";
const FUNCTION_LABEL: &str = "actord.dev/function";
const NAMESPACE_LABEL: &str = "actord.dev/namespace";
const GENERATION_LABEL: &str = "actord.dev/generation";

/// containerd acts on labels that begin like this: its garbage collector and its restart plugin do.
const CONTAINERDS: &str = "containerd.io/";
/// containerd's limit for a label's key and value together.
const LABEL_MAX: usize = 4_096;

/// A lease that nobody ended is ended by containerd after this time.
const LEASE: Duration = Duration::from_secs(3_600);

/// Sends one small call, with a deadline.
pub(super) async fn ask<T>(
    what: &str,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, HostError> {
    within(what, CALL_DEADLINE, async {
        call.await.map(Response::into_inner).map_err(|status| host_error(what, &status))
    })
    .await
}

/// As [`ask`], for a call that makes something: what it does not find is something that the new thing needs.
async fn make<T>(what: &str, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, HostError> {
    within(what, CALL_DEADLINE, async {
        call.await.map(Response::into_inner).map_err(|status| match status.code() {
            Code::NotFound => HostError::Failed(format!("{what}: {}", status.message())),
            _ => host_error(what, &status),
        })
    })
    .await
}

/// "Already gone" is done.
pub(super) fn gone<T>(result: Result<T, HostError>) -> Result<(), HostError> {
    match result {
        Ok(_) | Err(HostError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The labels of a new instance's container: the function's, and who it is.
///
/// Labels that containerd would refuse or act upon are left off; desired state keeps them.
pub(super) fn labels(owner: &str, creation: &InstanceConfig) -> Result<HashMap<String, String>, HostError> {
    let mut labels = own_labels(&creation.spec)?;
    let function = &creation.function;
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

/// The filter for objects that carry our owner label.
fn ours(containerd: &Containerd) -> Vec<String> {
    vec![format!("labels.\"{OWNER_LABEL}\"==\"{}\"", containerd.owner)]
}

fn owned(containerd: &Containerd) -> HashMap<String, String> {
    HashMap::from([(OWNER_LABEL.to_owned(), containerd.owner.clone())])
}

fn lease_of(id: &InstanceId) -> String {
    format!("actord-{id}")
}

/// Takes the lease under which an instance is made: should we die meanwhile, what was made is collected later.
pub(super) async fn take_lease(containerd: &Containerd, id: &InstanceId) -> Result<String, HostError> {
    let mut labels = owned(containerd);
    let expires = jiff::Timestamp::try_from(SystemTime::now() + LEASE)
        .map_err(|error| HostError::Failed(format!("tell the time: {error}")))?;
    // Without fractions of a second: RFC 3339 as every reader takes it.
    labels.insert("containerd.io/gc.expire".to_owned(), expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let request = containerd.request(CreateRequest { id: lease_of(id), labels });
    make(&format!("take a lease for {id}"), LeasesClient::new(containerd.channel.clone()).create(request)).await?;
    Ok(lease_of(id))
}

/// Ends an instance's lease; none is fine.
pub(super) async fn end_lease(containerd: &Containerd, id: &InstanceId) -> Result<(), HostError> {
    let request = containerd.request(DeleteRequest { id: lease_of(id), sync: false });
    let mut client = LeasesClient::new(containerd.channel.clone());
    gone(ask(&format!("end the lease of {id}"), client.delete(request)).await)
}

/// Prepares an instance's snapshot on top of an image's; returns how to mount it.
pub(super) async fn prepare_snapshot(
    containerd: &Containerd,
    snapshotter: &str,
    id: &InstanceId,
    parent: &str,
) -> Result<Vec<Mount>, HostError> {
    let request = PrepareSnapshotRequest {
        snapshotter: snapshotter.to_owned(),
        key: id.to_string(),
        parent: parent.to_owned(),
        labels: owned(containerd),
    };
    let request = containerd.leased(&lease_of(id), request);
    let mut client = SnapshotsClient::new(containerd.channel.clone());
    Ok(make(&format!("prepare snapshot {id} ({snapshotter})"), client.prepare(request)).await?.mounts)
}

/// Removes an instance's snapshot; none is fine.
pub(super) async fn remove_snapshot(
    containerd: &Containerd,
    snapshotter: &str,
    id: &InstanceId,
) -> Result<(), HostError> {
    let request = RemoveSnapshotRequest { snapshotter: snapshotter.to_owned(), key: id.to_string() };
    let mut client = SnapshotsClient::new(containerd.channel.clone());
    gone(ask(&format!("remove snapshot {id}"), client.remove(containerd.request(request))).await)
}

/// The instances that have a snapshot of ours.
pub(super) async fn list_snapshots(containerd: &Containerd, snapshotter: &str) -> Result<Vec<InstanceId>, HostError> {
    let what = format!("list snapshots ({snapshotter})");
    let request = ListSnapshotsRequest { snapshotter: snapshotter.to_owned(), filters: ours(containerd) };
    within(&what, CALL_DEADLINE, async {
        let failed = |status| host_error(&what, &status);
        let mut client = SnapshotsClient::new(containerd.channel.clone());
        let mut stream = client.list(containerd.request(request)).await.map_err(failed)?.into_inner();
        let mut found = Vec::new();
        while let Some(batch) = stream.message().await.map_err(failed)? {
            // What an image was unpacked into may carry our label too; its name is a digest, which is no instance id.
            found.extend(batch.info.into_iter().filter_map(|info| info.name.parse().ok()));
        }
        Ok(found)
    })
    .await
}

/// runc's options, of which containerd-client generates nothing: `containerd.runc.v1.Options`.
#[derive(Clone, PartialEq, prost::Message)]
struct RuncOptions {
    /// Where runc keeps its state. Its default is shared by every containerd of the machine.
    #[prost(string, tag = "7")]
    root: String,
}

/// Makes an instance's container record.
pub(super) async fn create_container(
    containerd: &Containerd,
    snapshotter: &str,
    runc_root: &str,
    creation: &InstanceConfig,
    labels: HashMap<String, String>,
    spec: Vec<u8>,
) -> Result<(), HostError> {
    let id = &creation.id;
    let options = prost::Message::encode_to_vec(&RuncOptions { root: runc_root.to_owned() });
    let container = Container {
        id: id.to_string(),
        labels,
        image: creation.image.reference.clone(),
        runtime: Some(Runtime {
            name: "io.containerd.runc.v2".to_owned(),
            options: Some(Any { type_url: "containerd.runc.v1.Options".to_owned(), value: options }),
        }),
        spec: Some(Any { type_url: "types.containerd.io/opencontainers/runtime-spec/1/Spec".to_owned(), value: spec }),
        snapshotter: snapshotter.to_owned(),
        snapshot_key: id.to_string(),
        ..Container::default()
    };
    let request = containerd.leased(&lease_of(id), CreateContainerRequest { container: Some(container) });
    let mut client = ContainersClient::new(containerd.channel.clone());
    make(&format!("create container {id}"), client.create(request)).await?;
    Ok(())
}

/// Deletes an instance's container record; none is fine.
pub(super) async fn delete_container(containerd: &Containerd, id: &InstanceId) -> Result<(), HostError> {
    let request = containerd.request(DeleteContainerRequest { id: id.to_string() });
    let mut client = ContainersClient::new(containerd.channel.clone());
    gone(ask(&format!("delete container {id}"), client.delete(request)).await)
}

/// Our containers with their labels.
pub(super) async fn list_containers(
    containerd: &Containerd,
) -> Result<Vec<(InstanceId, HashMap<String, String>)>, HostError> {
    let request = containerd.request(ListContainersRequest { filters: ours(containerd) });
    let mut client = ContainersClient::new(containerd.channel.clone());
    let listed = ask("list containers", client.list(request)).await?.containers;
    Ok(listed.into_iter().filter_map(|container| Some((container.id.parse().ok()?, container.labels))).collect())
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
            image: Image { reference: "i".into(), digest: "sha256:0".into() },
            address: [10, 62, 0, 9].into(),
            netns: "/n".into(),
            secrets: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_container_says_whose_instance_it_is() {
        let labels = labels("host-1", &creation(&[("team", "a")], &[("note", "n")])).unwrap();
        assert_eq!(of(&labels), Some(("f.ns".parse().unwrap(), Generation(7))));
        assert_eq!(labels[OWNER_LABEL], "host-1");
        assert_eq!(labels["team"], "a");
        assert_eq!(labels["com.openfaas.annotations.note"], "n");
        assert_eq!(of(&HashMap::new()), None);
    }

    #[test]
    fn a_label_that_claims_to_be_ours_is_refused() {
        let error = labels("host-1", &creation(&[("actord.dev/owner", "me")], &[])).unwrap_err();
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
        )
        .unwrap();
        let mut names: Vec<_> = made.keys().map(String::as_str).filter(|key| !key.starts_with(OURS)).collect();
        names.sort_unstable();
        assert_eq!(names, ["fits"]);
    }
}
