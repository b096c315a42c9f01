//! Readiness over the network: one connection, one request, one status line.

use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Check, Probe};

/// Where functions answer for their health by convention.
const HEALTH: &str = "/_/health";
/// A status line is a few dozen bytes; whatever is longer is none.
const STATUS_LINE_MAX: u64 = 1024;
/// How much of a server's words is quoted in a reason.
const QUOTED: usize = 80;

/// Asks over HTTP, or with a TCP connect where no HTTP answers.
///
/// | asked for | ready when |
/// | --- | --- |
/// | a path | it answers 2xx |
/// | no path | `/_/health` answers 2xx, or 404 or 405, or no HTTP at all: it did accept a connection |
///
/// Redirects are not followed: where an instance sends its callers says nothing about itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpProbe;

/// What came back on an accepted connection.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// An HTTP status.
    Status(u16),
    /// Something that is not HTTP, or nothing before the end.
    NotHttp(String),
}

#[async_trait]
impl Probe for HttpProbe {
    async fn ready(&self, check: &Check) -> Result<(), String> {
        let path = check.path.as_deref().unwrap_or(HEALTH);
        let question = ask(check.address, path);
        let answer = timeout(check.timeout, question)
            .await
            .unwrap_or_else(|_| Err(format!("{} GET {path}: no answer within {:?}", check.address, check.timeout)))?;
        let required = check.path.is_some();
        match answer {
            Answer::Status(200..=299) => Ok(()),
            Answer::Status(404 | 405) | Answer::NotHttp(_) if !required => Ok(()),
            Answer::Status(status) => Err(format!("{} GET {path}: answered {status}", check.address)),
            Answer::NotHttp(what) => Err(format!("{} GET {path}: {what}", check.address)),
        }
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<Answer, String> {
    // The path is an operator's; it must not become a second header.
    if !path.starts_with('/') || path.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        return Err(format!("health check path {path:?} is no path: it must begin with '/' and have no spaces"));
    }
    let mut stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: connect: {error}"))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: actord-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    // A server that speaks first and hangs up is not HTTP, but it is there: judge by what can be read.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut line = Vec::new();
    let mut stream = stream.take(STATUS_LINE_MAX);
    while !line.contains(&b'\n') {
        match stream.read_buf(&mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(status(&line))
}

fn status(answer: &[u8]) -> Answer {
    let line = answer.split(|b| *b == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    let mut words = text.split(' ');
    let http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let code = words.next().filter(|code| code.len() == 3).and_then(|code| code.parse().ok());
    match code.filter(|code| http && (100..600).contains(code)) {
        Some(code) => Answer::Status(code),
        None if answer.is_empty() => Answer::NotHttp("the connection was closed without an answer".to_owned()),
        None => {
            let quoted: String = text.chars().take(QUOTED).collect();
            Answer::NotHttp(format!("the answer is not HTTP: {quoted:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    /// Serves the same bytes to every connection after it has read a request; returns its address and how many came.
    async fn server(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut request = vec![0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
            }
        });
        (address, count)
    }

    fn check(address: SocketAddr, path: Option<&str>) -> Check {
        Check { address, path: path.map(str::to_owned), timeout: Duration::from_secs(1) }
    }

    async fn ready(answer: &'static [u8], path: Option<&str>) -> Result<(), String> {
        let (address, count) = server(answer).await;
        let result = HttpProbe.ready(&check(address, path)).await;
        assert_eq!(count.load(Ordering::SeqCst), 1, "one connection a probe");
        result
    }

    #[tokio::test]
    async fn with_a_path_only_2xx_is_ready() {
        ready(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some("/ready")).await.unwrap();
        ready(b"HTTP/1.0 204 No Content\r\n\r\n", Some("/ready")).await.unwrap();
        for bad in [
            b"HTTP/1.1 404 Not Found\r\n\r\n".as_slice(),
            b"HTTP/1.1 405 Method Not Allowed\r\n\r\n",
            b"HTTP/1.1 503 Busy\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\n\r\n",
            b"SSH-2.0-OpenSSH_9\r\n",
            b"",
        ] {
            let error = ready(bad, Some("/ready")).await.unwrap_err();
            assert!(error.contains("GET /ready: "), "{error}");
        }
    }

    #[tokio::test]
    async fn without_a_path_a_server_that_knows_no_health_is_ready_by_its_connect() {
        for good in [
            b"HTTP/1.1 200 OK\r\n\r\n".as_slice(),
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            b"HTTP/1.1 405 Method Not Allowed\r\n\r\n",
            b"SSH-2.0-OpenSSH_9\r\n",
            b"\x00\xff\n",
            b"",
        ] {
            ready(good, None).await.unwrap();
        }
    }

    #[tokio::test]
    async fn without_a_path_every_other_answer_is_not_ready_yet_and_says_which() {
        for (answer, status) in [
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\n".as_slice(), "503"),
            (b"HTTP/1.1 500 Oops\r\n\r\n", "500"),
            (b"HTTP/1.1 401 Who\r\n\r\n", "401"),
        ] {
            let error = ready(answer, None).await.unwrap_err();
            assert!(error.contains(&format!("GET /_/health: answered {status}")), "{error}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_and_not_ready() {
        let (target, visits) = server(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\n\r\n");
        let error = ready(answer.leak().as_bytes(), None).await.unwrap_err();
        assert!(error.contains("302"), "{error}");
        assert_eq!(visits.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn nobody_listening_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = HttpProbe.ready(&check(address, None)).await.unwrap_err();
        assert!(error.contains("connect"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_is_not_ready_within_the_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let impatient = Check { timeout: Duration::from_millis(50), ..check(address, None) };
        let error = HttpProbe.ready(&impatient).await.unwrap_err();
        assert!(error.contains("no answer within 50ms"), "{error}");
    }

    #[tokio::test]
    async fn an_endless_answer_is_read_no_further_than_a_status_line() {
        static ENDLESS: [u8; 1 << 20] = [b'x'; 1 << 20];
        let error = ready(&ENDLESS, Some("/ready")).await.unwrap_err();
        assert!(error.contains("not HTTP") && error.len() < 200, "{error}");
    }

    #[tokio::test]
    async fn a_path_can_not_smuggle_a_header() {
        let (address, count) = server(b"HTTP/1.1 200 OK\r\n\r\n").await;
        for bad in ["/x\r\nX: y", "x", "/a b", ""] {
            assert!(HttpProbe.ready(&check(address, Some(bad))).await.is_err(), "{bad:?}");
        }
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_status_line_is_told_from_what_only_looks_like_one() {
        assert_eq!(status(b"HTTP/1.1 200\r\n"), Answer::Status(200));
        assert_eq!(status(b"HTTP/1.1 200 OK"), Answer::Status(200));
        for bad in ["HTTP/2 200 OK\n", "HTTP/1.1 2000 OK\n", "HTTP/1.1 0x2\n", "HTTP/1.1\n", "http/1.1 200\n", "\n"] {
            assert!(matches!(status(bad.as_bytes()), Answer::NotHttp(_)), "{bad:?}");
        }
    }
}
