//! What the API of an actord says of itself: asked as any client would, at the listener that always speaks in plain words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::health::Answer;
use super::marker::{Ended, Function};

/// How long an answer may be: thirty times what a thousand functions take.
const LONGEST: usize = 32 << 20;

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
    phase: String,
    spares: u64,
    restarts: u64,
    reason: Option<String>,
}

/// Signals that a process gets for what it does itself.
const FAULTS: [u8; 8] = [4, 5, 6, 7, 8, 11, 13, 31];

/// How a process ended, by the reason that is told; none if it tells of something else. A process that is asked to end may end by
/// status zero, so that is not by itself.
fn ended(reason: &str) -> Option<Ended> {
    let end = reason.strip_prefix("the process ")?;
    let number = |words: &str| {
        let digits: String = end.strip_prefix(words)?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u8>().ok()
    };
    let is_by_itself = end.starts_with("was killed: out of memory")
        || number("exited with code ").is_some_and(|code| code != 0)
        || number("was killed by signal ").is_some_and(|signal| FAULTS.contains(&signal));
    Some(Ended { is_by_itself, sum: sum(reason) })
}

fn sum(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// What changes whatever anybody asks for.
const BY_ITSELF: [&str; 2] = ["invocationCount", "usage"];

impl Listed {
    fn function(self) -> (String, Function) {
        let Self { name, namespace, replicas, available_replicas: available, lifecycle, mut rest } = self;
        rest.retain(|part, _| !BY_ITSELF.contains(&part.as_str()));
        let spec = rest.iter().map(|(part, value)| (part.clone(), sum(&value.to_string()))).collect();
        let Lifecycle { phase, spares, restarts, reason } = lifecycle;
        let (is_starting, ended) = (phase == "starting", reason.as_deref().and_then(ended));
        // One of which only a new version never came up is none of those.
        let crashes = restarts > 0 && ended.is_some();
        let function = Function { replicas, available, spares, is_starting, ended, crashes, spec };
        (format!("{name}.{namespace}"), function)
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

/// Asks all of it. `within` is for each question. Whoever listens there hears the password: before each question `is_it` says
/// whether it is the actord that it is meant for.
///
/// # Errors
/// The first question that had no good answer, and what came instead.
pub(super) async fn ask(
    provider: SocketAddr,
    authorization: Option<&str>,
    within: Duration,
    is_it: &dyn Fn() -> bool,
) -> Result<Answer, String> {
    let door = Door { address: reachable(provider), authorization, within, is_it };
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
    is_it: &'a dyn Fn() -> bool,
}

impl Door<'_> {
    async fn get(&self, path: &str) -> Result<(u16, Vec<u8>), String> {
        if !(self.is_it)() {
            return Err(format!("{path} is not asked for: the actord that is meant does not have its data directory"));
        }
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
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| format!("{path}: {error}"))?;
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
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

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

    #[test]
    fn a_process_that_ended_by_itself_is_told_from_one_that_was_ended() {
        for (reason, expected) in [
            ("the process exited with code 1", Some(true)),
            ("the process exited with code 3 before it was ready: no config", Some(true)),
            ("the process was killed: out of memory", Some(true)),
            ("the process was killed by signal 11", Some(true)),
            ("the process was killed by signal 9", Some(false)),
            ("the process was killed by signal 15", Some(false)),
            ("the process exited with code 0", Some(false)),
            ("the process vanished", Some(false)),
            ("image not found", None),
        ] {
            assert_eq!(ended(reason).map(|ended| ended.is_by_itself), expected, "{reason}");
        }
        let starts = r#","lifecycle":{"phase":"starting","restarts":2,"reason":"the process exited with code 1"}"#;
        let now = listed(1, "one", 7, starts);
        assert!(now.is_starting && now.crashes && now.ended.is_some_and(|ended| ended.is_by_itself));
        let refused = r#","lifecycle":{"phase":"ready","reason":"the process exited with code 1 before it was ready"}"#;
        assert!(!listed(1, "one", 7, refused).crashes, "what serves is another version");
    }

    /// One that answers each question with this; it counts them.
    async fn answers(body: Vec<u8>) -> (SocketAddr, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let counts = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counts.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 4096]).await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&body).await;
            }
        });
        (address, asked)
    }

    const SOON: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn nobody_hears_the_password_but_the_one_that_it_is_meant_for() {
        let (address, asked) = answers(b"{}".to_vec()).await;
        let refused = ask(address, Some("Basic secret"), SOON, &|| false).await.unwrap_err();
        assert!(refused.contains("/healthz is not asked for"), "{refused}");
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        let left = Cell::new(1);
        let refused = ask(address, Some("Basic secret"), SOON, &|| left.replace(0) > 0).await.unwrap_err();
        assert!(refused.contains("/system/info is not asked for"), "{refused}");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "it is looked at before each");
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_not_read_for_ever() {
        let (address, _) = answers(vec![b' '; LONGEST + 1]).await;
        let refused = ask(address, None, SOON, &|| true).await.unwrap_err();
        assert!(refused.starts_with("/healthz: ") && refused.contains("length limit"), "{refused}");
    }
}
