//! An HTTP/1.1 client of the tests' own, on plain TCP streams: it shares no code with actord and hides nothing. A body
//! that is shorter than its framing says, or a connection that ends early, is an error.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A request, to be sent as it stands.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    close: bool,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body: Vec::new(), close: false }
    }

    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Asks for the connection to be closed after the answer.
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: gateway\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "DELETE") {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        head += if self.close { "Connection: close\r\n\r\n" } else { "\r\n" };
        [head.into_bytes(), self.body.clone()].concat()
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether another request may be sent on the connection that this came by.
    pub fn keeps_connection(&self) -> bool {
        !self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// One connection, for one request after the other.
#[derive(Debug)]
pub struct Connection {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (from, to) = stream.into_split();
        Ok(Self { from: BufReader::new(from), to })
    }

    /// Sends a request and reads the whole answer, both at a time.
    pub async fn ask(&mut self, request: &Request) -> Result<Answer> {
        let Self { from, to } = self;
        let (bytes, mut reading) = (request.bytes(), Reading(from));
        let (sent, answer) = tokio::join!(to.write_all(&bytes), reading.answer());
        // Who answers early need not read the rest.
        answer.map_err(|error| sent.err().unwrap_or(error))
    }

    pub async fn send(&mut self, request: &Request) -> Result<()> {
        self.write(&request.bytes()).await
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).await
    }

    pub async fn read_head(&mut self) -> Result<(u16, Vec<(String, String)>)> {
        Reading(&mut self.from).head().await
    }

    /// One chunk of a chunked body; none at its end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        Reading(&mut self.from).chunk().await
    }

    pub async fn read(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.from.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}

/// The half of a connection that answers come by.
struct Reading<'a>(&'a mut BufReader<OwnedReadHalf>);

impl Reading<'_> {
    async fn answer(&mut self) -> Result<Answer> {
        let (status, headers) = self.head().await?;
        let mut answer = Answer { status, headers, body: Vec::new() };
        if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            while let Some(chunk) = self.chunk().await? {
                answer.body.extend(chunk);
            }
        } else if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().map_err(Error::other)?];
            self.0.read_exact(&mut answer.body).await?;
        } else if !matches!(answer.status, 101 | 204 | 304) {
            self.0.read_to_end(&mut answer.body).await?;
        }
        Ok(answer)
    }

    async fn head(&mut self) -> Result<(u16, Vec<(String, String)>)> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status =
            status.ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("not a status line: {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
                None if line.is_empty() => return Ok((status, headers)),
                None => return Err(Error::new(ErrorKind::InvalidData, format!("not a header: {line:?}"))),
            }
        }
    }

    async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let size = self.line().await?;
        let size = usize::from_str_radix(&size, 16).map_err(Error::other)?;
        let mut chunk = vec![0; size];
        self.0.read_exact(&mut chunk).await?;
        if !self.line().await?.is_empty() {
            return Err(Error::new(ErrorKind::InvalidData, "a chunk does not end where it said"));
        }
        Ok((size > 0).then_some(chunk))
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(Error::new(ErrorKind::UnexpectedEof, format!("the connection ended after {line:?}"))),
        }
    }
}

/// Sends a request on a connection of its own.
pub async fn ask(address: SocketAddr, request: Request) -> Result<Answer> {
    Connection::open(address).await?.ask(&request.close()).await
}
