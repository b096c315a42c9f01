//! What asks: as fast as it is answered, or at a given rate.

#![allow(clippy::disallowed_methods, reason = "real threads ask, on the real clock")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

/// Bodies come from here, however long they are.
pub(crate) static PIECE: [u8; 256 << 10] = [b'x'; 256 << 10];

/// Where to ask, and what: in turns, if it is more than one request.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    requests: Vec<Vec<u8>>,
    /// What follows each, of a body that is too long to be held.
    tail: usize,
}

impl Target {
    /// A request for each path, with a body of so many bytes if there are any.
    pub(crate) fn new(address: SocketAddr, paths: &[String], body: usize) -> Self {
        let (method, length) = match body {
            0 => ("GET", String::new()),
            body => ("POST", format!("Content-Length: {body}\r\n")),
        };
        let tail = if body > 64 << 10 { body } else { 0 };
        let request = |path: &String| {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n");
            let body = std::iter::repeat_n(b'x', body - tail);
            head.into_bytes().into_iter().chain(format!("{length}\r\n").into_bytes()).chain(body).collect()
        };
        Self { address, requests: paths.iter().map(request).collect(), tail }
    }

    /// Asks as fast as it is answered, on so many connections; requests a second, and how long each took.
    pub(crate) fn hurry(&self, connections: usize, time: Duration) -> (f64, Vec<Duration>) {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(connections));
        let mut buffer = vec![0; 256 << 10];
        let mut clients: Vec<Client> = (0..connections).map(|number| Client::new(self, number)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut client.stream, Token(number), both).unwrap();
        }
        let (begin, mut times) = (Instant::now(), Vec::with_capacity(1 << 20));
        clients.iter_mut().for_each(|client| client.begin(self));
        while begin.elapsed() < time || times.is_empty() {
            poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            for event in &events {
                let client = &mut clients[event.token().0];
                while client.go_on(self, &mut buffer) {
                    times.push(client.since.elapsed());
                    client.begin(self);
                }
            }
        }
        (times.len() as f64 / begin.elapsed().as_secs_f64(), times)
    }

    /// Asks so many times a second in all, on connections that have a thread each; how long each took. One that could
    /// not be sent in time, since the one before it took too long, counts from when it was due.
    pub(crate) fn pace(&self, connections: u32, rate: f64, time: Duration) -> Vec<Duration> {
        let every = Duration::from_secs_f64(f64::from(connections) / rate);
        let begin = Instant::now() + Duration::from_millis(20);
        std::thread::scope(|scope| {
            let ask = |number: u32| {
                let mut stream = TcpStream::connect(self.address).unwrap();
                stream.set_nodelay(true).unwrap();
                let (mut due, mut times, mut buffer) = (begin + every * number / connections, Vec::new(), [0; 4096]);
                let mut asked = number as usize;
                while due < begin + time {
                    let now = Instant::now();
                    let since = if now < due {
                        std::thread::sleep(due - now);
                        Instant::now()
                    } else {
                        due
                    };
                    stream.write_all(&self.requests[asked % self.requests.len()]).unwrap();
                    asked += 1;
                    let mut answer = Answer::default();
                    while !answer.is_whole() {
                        let count = stream.read(&mut buffer).unwrap();
                        answer.take(&buffer[..count]);
                    }
                    times.push(since.elapsed());
                    due += every;
                }
                times
            };
            let asking: Vec<_> = (0..connections).map(|number| scope.spawn(move || ask(number))).collect();
            asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
        })
    }
}

/// One connection that asks.
struct Client {
    stream: mio::net::TcpStream,
    asked: usize,
    written: usize,
    since: Instant,
    answer: Answer,
}

impl Client {
    fn new(target: &Target, number: usize) -> Self {
        let stream = TcpStream::connect(target.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let (stream, since) = (mio::net::TcpStream::from_std(stream), Instant::now());
        Self { stream, asked: number, written: 0, since, answer: Answer::default() }
    }

    fn begin(&mut self, target: &Target) {
        (self.asked, self.written, self.since, self.answer) = (self.asked + 1, 0, Instant::now(), Answer::default());
        self.write(target);
    }

    fn write(&mut self, target: &Target) {
        let request = &target.requests[self.asked % target.requests.len()];
        let all = request.len() + target.tail;
        while self.written < all {
            let piece = match request.get(self.written..) {
                Some(left) if !left.is_empty() => left,
                _ => &PIECE[..PIECE.len().min(all - self.written)],
            };
            match self.stream.write(piece) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("can't be asked: {error}"),
            }
        }
    }

    /// Whether the answer is there.
    fn go_on(&mut self, target: &Target, buffer: &mut [u8]) -> bool {
        self.write(target);
        loop {
            match self.stream.read(buffer) {
                Ok(count) => self.answer.take(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("no answer: {error}"),
            }
            if self.answer.is_whole() {
                return true;
            }
        }
    }
}

/// An answer that is read.
#[derive(Default)]
struct Answer {
    head: Vec<u8>,
    left: Option<usize>,
}

impl Answer {
    fn is_whole(&self) -> bool {
        self.left == Some(0)
    }

    fn take(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "it closed the connection");
        if let Some(left) = &mut self.left {
            *left -= bytes.len();
            return;
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else { return };
        assert!(self.head.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&self.head));
        let text = std::str::from_utf8(&self.head[..end]).unwrap();
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        self.left = Some(length.expect("a length") + end + 4 - self.head.len());
    }
}
