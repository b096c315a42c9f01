//! The steps that many cases take.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actord::function::{Exit, FunctionId, FunctionName, Generation, InstanceId, SecretName, Spec, SpecDraft};
use actord::host::{Attachment, Check, Host, HostError, Image, InstanceConfig, InstanceRecord, PullPolicy};
use tokio::time::{Instant, timeout};

use crate::subject::{Kind, Subject};

/// Longer than anything that is going to happen takes.
pub const LONG: Duration = Duration::from_secs(30);
/// Long enough to see that something does not happen.
pub const A_WHILE: Duration = Duration::from_secs(2);

pub fn name(text: &str) -> FunctionName {
    text.parse().unwrap()
}

/// The image, imported from an archive.
pub async fn image<S: Subject>(s: &S, kind: Kind) -> Image {
    let reference = format!("docker.io/actord/{}:1", format!("{kind:?}").to_lowercase());
    let host = s.host();
    host.images.import(&s.archive(&reference, kind).await).await.unwrap();
    host.images.ensure(&reference, PullPolicy::Never).await.unwrap()
}

/// Attaches an instance, and says what to make.
pub async fn creation(host: &Host, id: &InstanceId, function: &str, image: &Image) -> InstanceConfig {
    host.network.attach(id).await.unwrap();
    InstanceConfig {
        id: id.clone(),
        function: FunctionId::new(name(function), "contract".parse().unwrap()),
        generation: Generation(3),
        spec: spec(image, &[]),
        image: image.clone(),
        secrets: BTreeMap::new(),
    }
}

pub fn spec(image: &Image, secrets: &[SecretName]) -> Arc<Spec> {
    let draft = SpecDraft { image: image.reference.clone(), secrets: secrets.to_vec(), ..SpecDraft::default() };
    Arc::new(Spec::try_from(draft).unwrap())
}

/// Prepares an instance that is attached, and creates it.
pub async fn create(host: &Host, config: &InstanceConfig) -> Result<(), HostError> {
    host.runtime.prepare(config).await?;
    let at = host.network.lookup(&config.id).await?;
    host.runtime.create(&config.id, &at).await
}

/// Attaches, creates and starts an instance.
pub async fn started<S: Subject>(s: &S, function: &str, image: &Image) -> (InstanceId, Attachment) {
    let (host, id) = (s.host(), s.fresh_id(function));
    let creation = creation(&host, &id, function, image).await;
    create(&host, &creation).await.unwrap();
    host.runtime.start(&id).await.unwrap();
    let at = host.network.lookup(&id).await.unwrap();
    (id, at)
}

pub fn check(at: &Attachment) -> Check {
    Check { address: SocketAddr::new(at.address, 8080), path: "/_/health".into(), timeout: Duration::from_secs(1) }
}

pub async fn becomes_ready(host: &Host, at: &Attachment) {
    let check = check(at);
    let ready = async {
        while host.probe.ask(&check).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, ready).await.expect("the instance becomes ready");
}

pub async fn waited(host: &Host, id: &InstanceId) -> Exit {
    timeout(LONG, host.runtime.wait(id)).await.expect("the process ends").unwrap()
}

pub async fn found(host: &Host, id: &InstanceId) -> Option<InstanceRecord> {
    host.runtime.list().await.unwrap().into_iter().find(|found| found.id == *id)
}

/// The log, once it holds these words: what a process wrote last may come a moment after its end.
pub async fn log_with(host: &Host, id: &InstanceId, words: &str) -> String {
    let end = Instant::now() + LONG;
    loop {
        match host.runtime.log_tail(id, 4096).await {
            Ok(log) if log.contains(words) => return log,
            other => assert!(Instant::now() < end, "the log of {id} never came to hold {words:?}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The only way down, in its order.
pub async fn torn_down(host: &Host, id: &InstanceId) {
    host.runtime.remove(id).await.unwrap();
    host.network.detach(id).await.unwrap();
    assert_eq!(found(host, id).await, None);
    assert!(!host.network.list().await.unwrap().contains(id));
}
