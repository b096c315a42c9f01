//! A server that callbacks are sent to. It keeps each one as it came, and answers 200, or as it is told.
//!
//! ```no_run
//! let receiver = Receiver::start().await;
//! let url = receiver.url("/done"); // for X-Callback-Url; `--callback-allow` has to name receiver.address
//! let seen = receiver.seen();
//! ```
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Callback {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Callback {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whose answer it is: actord's own id of the call.
    pub fn call(&self) -> &str {
        self.header("x-actord-call").unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Callback>>,
    /// What is answered instead of 200, in turn; where it is told, the place that it points to.
    told: Mutex<Vec<(u16, Option<String>)>>,
    /// Whether each connection ends with its first answer.
    closes: AtomicBool,
}

/// See the module. It ends when it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

impl Receiver {
    /// One that listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// One that listens there.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::listen(address, |stream| std::future::ready(Ok(stream))).await
    }

    /// One behind something that connections go through first, such as TLS.
    pub async fn listen<S, F>(address: SocketAddr, through: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Result<S>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), Arc::new(Shared::default()));
        let all = shared.clone();
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (stream, shared) = (through(stream), all.clone());
                tokio::spawn(async move {
                    let stream = stream.await?;
                    serve(stream, &shared).await
                });
            }
        });
        Self { address, shared, listening }
    }

    /// A URL of it by its address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Has the next one answered so.
    pub fn answer_next(&self, status: u16, location: Option<&str>) {
        self.shared.told.lock().unwrap().push((status, location.map(str::to_owned)));
    }

    /// Ends each connection with its first answer from now on.
    pub fn close_each(&self) {
        self.shared.closes.store(true, Ordering::Relaxed);
    }

    /// All that came until now, in order.
    pub fn seen(&self) -> Vec<Callback> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Answers one request after the other, until the connection ends.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(callback) = read(&mut stream).await? {
        shared.seen.lock().unwrap().push(callback);
        let told = {
            let mut told = shared.told.lock().unwrap();
            if told.is_empty() { (200, None) } else { told.remove(0) }
        };
        let location = told.1.map(|place| format!("Location: {place}\r\n")).unwrap_or_default();
        let closes = shared.closes.load(Ordering::Relaxed);
        let connection = if closes { "Connection: close\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {} Told\r\n{location}{connection}Content-Length: 0\r\n\r\n", told.0);
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
        if closes {
            break;
        }
    }
    stream.shutdown().await?;
    Ok(())
}

/// The next request; none where the connection ends before it. What sends them has whole bodies, with a length.
async fn read(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>) -> Result<Option<Callback>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines.first().map(|line| line.split(' ')).ok_or_else(|| Error::other("no request"))?;
    let (method, path) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let pairs = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let headers = pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut callback = Callback { method, path, headers, body: Vec::new() };
    let length = callback.header("content-length").map_or(Ok(0), str::parse).map_err(Error::other)?;
    callback.body = vec![0; length];
    stream.read_exact(&mut callback.body).await?;
    Ok(Some(callback))
}
