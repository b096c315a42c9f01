//! Questions over the network: one connection, one request, one status line.

use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Check, Probe};
use crate::function::Answer;

/// A status line is a few dozen bytes; whatever is longer is none.
const STATUS_LINE_MAX: usize = 1024;
/// The most that is read of an answer: interim ones, with their headers, may come before the one that counts.
const HEADS_MAX: u64 = 16 * 1024;
/// How every answer begins that can be understood.
const HTTP: &[u8] = b"HTTP/1.";
/// How much of a server's words is quoted in a reason.
const QUOTED: usize = 80;

/// Asks over HTTP/1.1. What accepts the connection and then speaks no HTTP, or closes it, has answered, too; what stays
/// silent has not.
///
/// Redirects are not followed: where an instance sends its callers says nothing about itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpProbe;

#[async_trait]
impl Probe for HttpProbe {
    async fn ask(&self, check: &Check) -> Result<Answer, String> {
        let Check { address, path, timeout: limit } = check;
        let silent = |_| Err(format!("{address} GET {path}: no answer within {limit:?}"));
        timeout(*limit, ask(*address, path)).await.unwrap_or_else(silent)
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<Answer, String> {
    // The path is an operator's; it must not become a second header.
    if !path.starts_with('/') || path.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        return Err(format!("health check path {path:?} is no path: it must begin with '/' and have no spaces"));
    }
    let mut stream = TcpStream::connect(address).await.map_err(|error| no_connection(address, &error))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: actord-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    // A server that speaks first and hangs up is not HTTP, but it is there: judge by what can be read.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut stream = stream.take(HEADS_MAX);
    let (mut read, mut interim) = (Vec::new(), None);
    loop {
        let answer = status(&read);
        let is_interim = matches!(answer, Answer::Status(100 | 102..=199));
        if is_interim && let Some(end) = head_end(&read) {
            read.drain(..end);
            interim = Some(answer);
            continue;
        }
        if !is_interim && says_enough(&read) {
            return Ok(answer);
        }
        if !matches!(stream.read_buf(&mut read).await, Ok(count) if count > 0) {
            return Ok(if read.is_empty() { interim.unwrap_or(answer) } else { answer });
        }
    }
}

/// Whether this is a whole status line, or can't become one.
fn says_enough(read: &[u8]) -> bool {
    let begin = read.len().min(HTTP.len());
    read.contains(&b'\n') || read.len() >= STATUS_LINE_MAX || read[..begin] != HTTP[..begin]
}

/// Where a head ends, if it is whole.
fn head_end(read: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    read.windows(END.len()).position(|bytes| bytes == END).map(|at| at + END.len())
}

/// What to do about it, in words that need no look at the instance.
fn no_connection(address: SocketAddr, error: &std::io::Error) -> String {
    let port = address.port();
    format!("nothing accepts connections at {address} ({error}): the process must listen on 0.0.0.0:{port}")
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

    use tokio::net::{TcpListener, TcpSocket};

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

    fn check(address: SocketAddr, path: &str) -> Check {
        Check { address, path: path.to_owned(), timeout: Duration::from_secs(1) }
    }

    async fn asked(answer: &'static [u8]) -> Answer {
        let (address, count) = server(answer).await;
        let result = HttpProbe.ask(&check(address, "/ready")).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 1, "one connection a question");
        result
    }

    #[tokio::test]
    async fn a_status_is_told_and_what_is_no_http_is_quoted() {
        for (sent, status) in [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".as_slice(), 200),
            (b"HTTP/1.0 204 No Content\r\n\r\n", 204),
            (b"HTTP/1.1 101 Switching\r\n\r\n", 101),
            (b"HTTP/1.1 503 Busy\r\n\r\n", 503),
            // Interim answers are none.
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200),
            (
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 302 Found\r\n",
                302,
            ),
            (b"HTTP/1.1 100 Continue\r\n\r\n", 100),
        ] {
            assert_eq!(asked(sent).await, Answer::Status(status));
        }
        for (sent, quoted) in [
            (b"SSH-2.0-OpenSSH_9\r\n".as_slice(), "\"SSH-2.0-OpenSSH_9\""),
            (b"\x00\xff\n", "not HTTP"),
            (b"", "closed without an answer"),
        ] {
            let answer = asked(sent).await;
            assert!(matches!(&answer, Answer::NotHttp(text) if text.contains(quoted)), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn what_can_become_no_status_line_is_an_answer_though_its_sender_waits_for_more() {
        for greeting in [b"\x4a\x00\x00\x00".as_slice(), b"220 ready", b"HTTP/2", b"h"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(greeting).await.unwrap();
                std::future::pending::<()>().await;
            };
            let probe = HttpProbe;
            let check = check(address, "/");
            let answer = tokio::select! {
                answer = probe.ask(&check) => answer.unwrap(),
                () = serve => unreachable!(),
            };
            assert!(matches!(&answer, Answer::NotHttp(text) if text.contains("not HTTP")), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_told_and_not_followed() {
        let (target, visits) = server(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\n\r\n");
        assert_eq!(asked(answer.leak().as_bytes()).await, Answer::Status(302));
        assert_eq!(visits.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn where_nothing_listens_the_reason_says_where_it_should() {
        let taken = TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = HttpProbe.ask(&check(address, "/")).await.unwrap_err();
        let port = address.port();
        for part in ["refused".to_owned(), format!("must listen on 0.0.0.0:{port}")] {
            assert!(error.contains(&part), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_has_not_answered_within_the_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let impatient = Check { timeout: Duration::from_millis(50), ..check(address, "/") };
        let error = HttpProbe.ask(&impatient).await.unwrap_err();
        assert!(error.contains("no answer within 50ms"), "{error}");
    }

    #[tokio::test]
    async fn an_endless_answer_is_read_no_further_than_a_status_line() {
        static ENDLESS: [u8; 1 << 20] = [b'x'; 1 << 20];
        let answer = asked(&ENDLESS).await;
        assert!(
            matches!(&answer, Answer::NotHttp(text) if text.contains("not HTTP") && text.len() < 200),
            "{answer:?}"
        );
    }

    #[tokio::test]
    async fn a_path_can_not_smuggle_a_header() {
        let (address, count) = server(b"HTTP/1.1 200 OK\r\n\r\n").await;
        for bad in ["/x\r\nX: y", "x", "/a b", ""] {
            assert!(HttpProbe.ask(&check(address, bad)).await.is_err(), "{bad:?}");
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
