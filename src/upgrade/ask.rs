//! What the API of an actord says of itself: asked as any client would, at the listener that always speaks in plain words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::health::Answer;
use super::marker::Function;

/// A function, as lists show it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Listed {
    name: String,
    namespace: String,
    replicas: u64,
    available_replicas: u64,
    lifecycle: Lifecycle,
    /// What it was asked to be, and what changes by itself.
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lifecycle {
    spares: u64,
}

/// What changes whatever anybody asks for.
const BY_ITSELF: [&str; 2] = ["invocationCount", "usage"];

impl Listed {
    fn function(self) -> (String, Function) {
        let Self { name, namespace, replicas, available_replicas: available, lifecycle, mut rest } = self;
        rest.retain(|part, _| !BY_ITSELF.contains(&part.as_str()));
        let sum = |value: &Value| format!("{:x}", Sha256::digest(value.to_string()));
        let spec = rest.iter().map(|(part, value)| (part.clone(), sum(value))).collect();
        (format!("{name}.{namespace}"), Function { replicas, available, spares: lifecycle.spares, spec })
    }
}

#[derive(Debug, Deserialize)]
struct Info {
    version: Version,
}

#[derive(Debug, Deserialize)]
struct Version {
    sha: String,
}

/// Asks all of it. `within` is for each question.
///
/// # Errors
/// The first question that had no good answer, and what came instead.
pub(super) async fn ask(provider: SocketAddr, authorization: Option<&str>, within: Duration) -> Result<Answer, String> {
    let door = Door { address: reachable(provider), authorization, within };
    let (status, _) = door.get("/healthz").await?;
    if status != 200 {
        return Err(format!("/healthz answers {status}"));
    }
    let info: Info = door.json("/system/info").await?;
    let (_, faults) = door.get("/readyz").await?;
    let faults = String::from_utf8_lossy(&faults);
    let faults: BTreeSet<String> = faults.lines().filter(|line| *line != "ready").map(str::to_owned).collect();
    let mut functions = BTreeMap::new();
    let namespaces: Vec<String> = door.json("/system/namespaces").await?;
    for namespace in namespaces {
        let listed: Vec<Listed> = door.json(&format!("/system/functions?namespace={namespace}")).await?;
        functions.extend(listed.into_iter().map(Listed::function));
    }
    Ok(Answer { commit: info.version.sha, faults, functions })
}

struct Door<'a> {
    address: SocketAddr,
    authorization: Option<&'a str>,
    within: Duration,
}

impl Door<'_> {
    async fn get(&self, path: &str) -> Result<(u16, Vec<u8>), String> {
        let request = Request::get(format!("http://{}{path}", self.address))
            .header("Authorization", self.authorization.unwrap_or_default())
            // An open connection would be one more that a draining actord looks after.
            .header("Connection", "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("{path}: {error}"))?;
        let answer = async {
            let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await;
            let answer = answer.map_err(|error| {
                let cause = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
                format!("{path}: {cause}")
            })?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.map_err(|error| format!("{path}: {error}"))?;
            Ok((status, body.to_bytes().to_vec()))
        };
        let within = self.within;
        timeout(within, answer).await.unwrap_or_else(|_| Err(format!("{path}: no answer within {within:?}")))
    }

    async fn json<T: for<'a> Deserialize<'a>>(&self, path: &str) -> Result<T, String> {
        let (status, body) = self.get(path).await?;
        if status != 200 {
            return Err(format!("{path} answers {status}"));
        }
        serde_json::from_slice(&body).map_err(|error| format!("{path}: {error}"))
    }
}

/// Where a listener on every address is reached from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(replicas: u64, image: &str, calls: u64, more: &str) -> Function {
        let text = format!(
            r#"{{"name":"env","namespace":"a","image":"{image}","replicas":{replicas},"availableReplicas":1,
                "invocationCount":{calls},"labels":{{"x":"y"}},"annotations":{{}}{more}}}"#
        );
        let listed: Listed = serde_json::from_str(&text).unwrap();
        let (name, function) = listed.function();
        assert_eq!(name, "env.a");
        function
    }

    #[test]
    fn what_was_asked_of_a_function_is_told_from_what_changes_by_itself() {
        let before = listed(1, "one", 7, "");
        assert_eq!((before.replicas, before.available, before.spares), (1, 1, 0));
        let lifecycle = r#","lifecycle":{"phase":"failing","generation":1,"spares":2}"#;
        let now = listed(2, "one", 8, lifecycle);
        assert_eq!((now.replicas, now.spares), (2, 2));
        assert!(!now.is_another_than(&before), "it only fails");
        assert!(listed(1, "two", 7, "").is_another_than(&before));
        assert!(!listed(1, "one", 7, r#","new":1"#).is_another_than(&before), "a newer program shows more");
    }
}
