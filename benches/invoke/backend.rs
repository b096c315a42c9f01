//! The function behind the proxies: as little of a server as can be, so that what is measured is not its own.
//!
//! `GET /BYTES` is answered with so many bytes, everything else with two, when its whole body has come.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::asking::PIECE;

/// One client.
struct Client {
    stream: TcpStream,
    head: Vec<u8>,
    /// What is still to come of the request's body, and the length of the answer after it.
    body: Option<(usize, usize)>,
    /// What is left of the answer.
    answer: Vec<u8>,
    tail: usize,
}

/// Serves for ever.
pub(crate) fn serve(listener: TcpListener) -> ! {
    listener.set_nonblocking(true).unwrap();
    let mut listener = mio::net::TcpListener::from_std(listener);
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(1024));
    poll.registry().register(&mut listener, Token(0), Interest::READABLE).unwrap();
    let (mut clients, mut next) = (HashMap::new(), 1);
    let mut buffer = vec![0; 256 << 10];
    loop {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            if event.token() == Token(0) {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true).unwrap();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(next), both).unwrap();
                    clients.insert(next, Client { stream, head: Vec::new(), body: None, answer: Vec::new(), tail: 0 });
                    next += 1;
                }
            } else if let Some(client) = clients.get_mut(&event.token().0)
                && !client.go_on(&mut buffer)
            {
                clients.remove(&event.token().0);
            }
        }
    }
}

/// What an address names: where the process listens that was started for it.
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl Client {
    /// Does what can be done now. False when the client is gone.
    fn go_on(&mut self, buffer: &mut [u8]) -> bool {
        loop {
            if !self.write() {
                return true;
            }
            match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(count) => self.take(&buffer[..count]),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.body.is_none() {
                let before = self.head.len();
                self.head.extend_from_slice(bytes);
                let from = before.saturating_sub(3);
                let Some(at) = self.head[from..].windows(4).position(|four| four == b"\r\n\r\n") else { return };
                let end = from + at + 4;
                bytes = &bytes[end - before..];
                self.head.truncate(end);
                self.body = Some(read(&self.head));
                self.head.clear();
            }
            self.take_body(&mut bytes);
        }
    }

    fn take_body(&mut self, bytes: &mut &[u8]) {
        let Some((left, length)) = &mut self.body else { return };
        let taken = bytes.len().min(*left);
        *left -= taken;
        *bytes = &bytes[taken..];
        if *left == 0 {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
            self.answer.extend_from_slice(head.as_bytes());
            self.tail = *length;
            if *length < 4096 {
                self.answer.extend_from_slice(&PIECE[..*length]);
                self.tail = 0;
            }
            self.body = None;
        }
    }

    /// Whether all of the answer is out.
    fn write(&mut self) -> bool {
        while !self.answer.is_empty() || self.tail > 0 {
            let is_head = !self.answer.is_empty();
            let piece = if is_head { &self.answer[..] } else { &PIECE[..self.tail.min(PIECE.len())] };
            match self.stream.write(piece) {
                Ok(count) if is_head => drop(self.answer.drain(..count)),
                Ok(count) => self.tail -= count,
                Err(_) => return false,
            }
        }
        true
    }
}

/// The length of a request's body and of its answer's.
fn read(head: &[u8]) -> (usize, usize) {
    let text = std::str::from_utf8(head).unwrap();
    let asked = text.strip_prefix("GET /").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
    });
    (length.unwrap_or(0), asked.unwrap_or(2))
}
