//! The actord that runs with these settings, if one does: found by its lock, then asked as any client would.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::finding::Finding;
use super::source::Root;
use crate::config::Config;
use crate::credentials::{PASSWORD_FILE, USER_FILE};
use crate::process::holder;

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// An answer of the API: its status and body.
type Answer = Result<(u16, Vec<u8>), String>;

/// What is known of the running actord.
#[derive(Debug)]
pub(super) struct Running {
    /// The process that holds the data directory's lock.
    pub(super) pid: Option<u32>,
    address: SocketAddr,
    healthz: Answer,
    /// With the credentials of the data directory; none where they can't be read.
    info: Option<Answer>,
}

impl Running {
    pub(super) async fn read(root: &Root, config: &Config) -> Self {
        let pid = running_pid(root, &config.data_dir);
        // What listen says with TLS on it, the gateway's listener says in plain words.
        let address = reachable(if config.tls().is_some() { config.provider_listen } else { config.listen });
        let (mut healthz, mut info) = (Err("not asked".to_owned()), None);
        if pid.is_some() {
            healthz = ask(address, "/healthz", None).await;
            let read = |name| fs::read_to_string(config.auth_dir().join(name)).ok();
            if let (Some(user), Some(password)) = (read(USER_FILE), read(PASSWORD_FILE)) {
                let token = STANDARD.encode(format!("{}:{}", user.trim(), password.trim()));
                info = Some(ask(address, "/system/info", Some(&format!("Basic {token}"))).await);
            }
        }
        Self { pid, address, healthz, info }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let Some(pid) = self.pid else { return vec![Finding::ok("actord", "none runs with this data directory")] };
        let check = "actord";
        match &self.healthz {
            Ok((200, _)) => {}
            Ok((status, _)) => {
                let found = format!("pid {pid} answers {status} at http://{}/healthz", self.address);
                return vec![Finding::failure(check, found, "journalctl -u actord -n 50; systemctl restart actord")];
            }
            Err(error) => {
                let found = format!("pid {pid} does not answer at http://{}/healthz: {error}", self.address);
                let remedy =
                    "give doctor the settings of that `up`, or: journalctl -u actord -n 50; systemctl restart actord";
                return vec![Finding::failure(check, found, remedy)];
            }
        }
        vec![Finding::ok(check, format!("pid {pid} answers at http://{}", self.address)), self.version()]
    }

    fn version(&self) -> Finding {
        let check = "actord's version";
        let mine = env!("CARGO_PKG_VERSION");
        match &self.info {
            None => Finding::unknown(check, "only root can read the credentials to ask with"),
            Some(Ok((200, body))) => {
                let info: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
                match info["version"]["release"].as_str() {
                    Some(release) if release == mine => Finding::ok(check, mine),
                    Some(release) => Finding::warning(
                        check,
                        format!("{release} runs, {mine} is installed"),
                        "systemctl restart actord: functions go on meanwhile",
                    ),
                    None => Finding::unknown(check, format!("{} is answered by something else", self.address)),
                }
            }
            Some(Ok((401, _))) => Finding::failure(
                "credentials in use",
                "the running actord has others than its data directory: they were changed since it started",
                "systemctl restart actord",
            ),
            Some(Ok((status, _))) => Finding::unknown(check, format!("/system/info answers {status}")),
            Some(Err(error)) => Finding::unknown(check, error),
        }
    }
}

/// The process that has a data directory: an `actord up`, if not another verb that changes it.
#[must_use]
pub fn running_pid(root: &Root, data_dir: &Path) -> Option<u32> {
    let about = fs::metadata(data_dir.join("lock")).ok()?;
    holder(&root.text("/proc/locks").unwrap_or_default(), about.ino())
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

async fn ask(address: SocketAddr, path: &str, authorization: Option<&str>) -> Answer {
    let request = Request::get(format!("http://{address}{path}"))
        .header("Authorization", authorization.unwrap_or_default())
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = async {
        let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await;
        let answer =
            answer.map_err(|error| std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes().to_vec()))
    };
    timeout(ANSWER, answer).await.unwrap_or_else(|_| Err(format!("no answer within {ANSWER:?}")))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn running(healthz: Answer, info: Option<Answer>) -> Running {
        Running { pid: Some(7), address: "127.0.0.1:8080".parse().unwrap(), healthz, info }
    }

    fn info(release: &str) -> Option<Answer> {
        Some(Ok((200, format!("{{\"version\":{{\"release\":\"{release}\"}}}}").into_bytes())))
    }

    fn last(running: &Running) -> State {
        running.check().pop().unwrap().state
    }

    #[test]
    fn none_running_is_well_and_one_that_answers_too() {
        assert_eq!(last(&Running { pid: None, ..running(Err(String::new()), None) }), State::Ok);
        let well = running(Ok((200, vec![])), info(env!("CARGO_PKG_VERSION")));
        assert!(well.check().iter().all(|finding| finding.state == State::Ok), "{:?}", well.check());
    }

    #[test]
    fn one_that_does_not_answer_or_is_not_this_one_is_said() {
        assert_eq!(last(&running(Err("refused".into()), None)), State::Failure);
        assert_eq!(last(&running(Ok((503, vec![])), None)), State::Failure);
        let with = |info| running(Ok((200, vec![])), info);
        assert_eq!(last(&with(info("0.0.1"))), State::Warning);
        assert_eq!(last(&with(Some(Ok((401, vec![]))))), State::Failure);
        assert_eq!(last(&with(Some(Ok((200, b"<html>".to_vec()))))), State::Unknown);
        assert_eq!(last(&with(None)), State::Unknown);
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_the_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        assert_eq!(reachable("[::]:80".parse().unwrap()), "[::1]:80".parse().unwrap());
    }
}
