//! A small HTTP/1.1 client that shares no code with actord and forgives nothing: every answer is read to its last byte,
//! and what went wrong says how far the answer had come.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why there is no whole answer.
#[derive(Debug)]
pub enum Fault {
    /// No connection: refused, or reset before it was made.
    Connect(io::Error),
    /// The connection ended after the request was sent, before the first byte of an answer.
    Unanswered(String),
    /// The answer began and was cut short, or is not HTTP.
    Short(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(out, "no connection: {error}"),
            Self::Unanswered(why) => write!(out, "no answer: {why}"),
            Self::Short(why) => write!(out, "a broken answer: {why}"),
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its status line and headers.
    pub head: String,
    /// Its body, without the framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value; names are compared as HTTP does.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether the server is about to close the connection.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What was read and not used yet.
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await.map_err(Fault::Connect)?;
        stream.set_nodelay(true).map_err(Fault::Connect)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Whether the server has closed it, or said something that nobody asked for.
    pub fn is_closed(&self) -> bool {
        let closed =
            !matches!(self.stream.try_read(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        closed || !self.read.is_empty()
    }

    /// Sends a request's head, and a body if there is one; reads the answer.
    pub async fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Answer, Fault> {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}{length}\r\n").into_bytes();
        request.extend(body);
        self.exchange(&request).await
    }

    /// Sends a request as it is; reads the answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Fault> {
        if let Err(error) = self.stream.write_all(request).await {
            return Err(Fault::Unanswered(format!("sending: {error}")));
        }
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Answer, Fault> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await.map_err(|why| match self.read.is_empty() {
                true => Fault::Unanswered(why),
                false => Fault::Short(format!("{why} in the head")),
            })?;
        };
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        self.read.drain(..end);
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut answer = Answer {
            status: status.ok_or_else(|| Fault::Short(format!("no status in {head:?}")))?,
            head,
            body: Vec::new(),
        };
        if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            while let Some(mut chunk) = self.chunk().await? {
                answer.body.append(&mut chunk);
            }
        } else {
            let length = answer.header("content-length").map_or(Ok(0), str::parse);
            answer.body =
                self.take(length.map_err(|error: std::num::ParseIntError| Fault::Short(error.to_string()))?).await?;
        }
        Ok(answer)
    }

    /// The next chunk; none after the last.
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let end = loop {
            if let Some(at) = self.read.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            self.more().await.map_err(|why| Fault::Short(format!("{why} between two chunks")))?;
        };
        let size = String::from_utf8_lossy(&self.read[..end]).into_owned();
        self.read.drain(..end + 2);
        let size =
            usize::from_str_radix(&size, 16).map_err(|error| Fault::Short(format!("chunk {size:?}: {error}")))?;
        let mut chunk = self.take(size + 2).await?;
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        while self.read.len() < length {
            let so_far = self.read.len();
            self.more().await.map_err(|why| Fault::Short(format!("{why} after {so_far} of {length} bytes")))?;
        }
        Ok(self.read.drain(..length).collect())
    }

    async fn more(&mut self) -> Result<(), String> {
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err("closed".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
