//! Streams that readers part by: written down, and made of their pieces from a seed. Each ends with one more request, which
//! is what a stream with two readings would hide or be hidden by.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// The request behind all others.
pub(crate) const TAIL: &str = "GET /function/echo/tail HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

const NAMES: &[&str] = &["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"];
const ODD_NAMES: &[&str] = &[
    "Transfer-Encoding ",
    " Transfer-Encoding",
    "\tTransfer-Encoding",
    "Transfer-Encoding\t",
    "Transfer Encoding",
    "Transfer_Encoding",
    "Transfer-Encoding\0",
    "\0Transfer-Encoding",
    "Transfer-Encoding\u{b}",
    "X: 1\nTransfer-Encoding",
    "X: 1\rTransfer-Encoding",
    "X: 1\r\n\tTransfer-Encoding",
    "X: 1\r\n Content-Length: 3\r\nTransfer-Encoding",
];
const CODINGS: &[&str] = &["chunked", "Chunked", "CHUNKED", "chunked ", "\tchunked", "  chunked\t "];
const ODD_CODINGS: &[&str] = &[
    "",
    "identity",
    "xchunked",
    "chunkedx",
    "chunked, chunked",
    "chunked, identity",
    "identity, chunked",
    "gzip, chunked",
    "chunked;q=1",
    "\"chunked\"",
    "chunk\0ed",
    "chunked\u{b}",
    "\u{c}chunked",
    ",chunked",
    "chunked,",
    "chun\r\n ked",
    "\r\n chunked",
    "cow",
    "ｃhunked",
    "chunked\r\nTransfer-Encoding: identity",
    "chunked\nContent-Length: 3",
    "chunked\rContent-Length: 3",
];
const LENGTHS: &[&str] = &["5", "05", "0000005", " 5", "5 ", "\t5"];
const ODD_LENGTHS: &[&str] = &[
    "+5",
    "-5",
    "5,5",
    "5, 5",
    "5,6",
    "0x5",
    "5;",
    "5.0",
    "5e0",
    "",
    "\u{665}",
    "5\0",
    "\r\n 5",
    "5\r\nContent-Length: 5",
    "5\r\nContent-Length: 6",
    "5\r\nContent-Length: 0",
    "5\ncontent-length: 3",
    "5\rX: 1",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
    "4294967296",
];
const CHUNKS: &[&str] = &[
    "5\r\nhello\r\n0\r\n\r\n",
    "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0;c\r\n\r\n",
    "5 ;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "00005\r\nhello\r\n000\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
    "0\r\n\r\n",
];
const ODD_CHUNKS: &[&str] = &[
    "5\nhello\n0\n\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\n",
    "5\r\nhello\r\n0\r\n\n",
    "5\r\nhello\r\n0\n\r\n",
    "5\r\nhello\r\n0\r\n\r",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello\r0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5\0\r\nhello\r\n0\r\n\r\n",
    "5_\r\nhello\r\n0\r\n\r\n",
    "5 5\r\nhello\r\n0\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
    "5;\0\r\nhello\r\n0\r\n\r\n",
    "\r\n5\r\nhello\r\n0\r\n\r\n",
    "5\r\n\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    ";a\r\nhello\r\n0\r\n\r\n",
    "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "fffffffffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
    "100000005\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    "5\r\nhello\r\n0\r\nX: 1\n\r\n",
    "5\r\nhello\r\n0\r\nX: 1\r\n folded\r\n\r\n",
    "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    "5\r\nhello\r\n0\r\nX : 1\r\n\r\n",
    "5\r\nhello\r\n0\r\nX: \0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX: 1\rY: 2\r\n\r\n",
    "5\r\nhello\r\n0\r\nGET /function/echo/hidden HTTP/1.1\r\nHost: h\r\n\r\n",
    "5\r\nhello\r\n00\r\nhello\r\n0\r\n\r\n",
];
const LINES: &[&str] = &[
    "GET /function/echo/hidden HTTP/1.1",
    "POST http://h/function/echo/absolute?a=b HTTP/1.1",
    "PUT /function/echo HTTP/1.1",
    "DELETE /function/echo?a=b HTTP/1.1",
    "HEAD /function/echo/h HTTP/1.1",
    "POST /function/nosuch HTTP/1.1",
    "POST /function/echo/%2e%2e/%0d%0a HTTP/1.1",
    "POST /function/echo/ä HTTP/1.1",
];
const ODD_LINES: &[&str] = &[
    "POST  /function/echo HTTP/1.1",
    " POST /function/echo HTTP/1.1",
    "POST\t/function/echo\tHTTP/1.1",
    "POST /function/echo  HTTP/1.1",
    "POST /function/echo HTTP/1.1 ",
    "POST /function/echo HTTP/1.0",
    "POST /function/echo HTTP/1.2",
    "POST /function/echo HTTP/2.0",
    "POST /function/echo HTTP/1.10",
    "POST /function/echo HTTP/01.1",
    "POST /function/echo HTTP/1,1",
    "POST /function/echo http/1.1",
    "POST /function/echo",
    "POST /function/echo\0 HTTP/1.1",
    "POST /function/echo\u{b}HTTP/1.1",
    "POST /function/echo#a HTTP/1.1",
    "POST /function/echo?\\ HTTP/1.1",
    "P\0ST /function/echo HTTP/1.1",
    "PO:ST /function/echo HTTP/1.1",
    "POST function/echo HTTP/1.1",
    "POST //function/echo HTTP/1.1",
    "POST http://h HTTP/1.1",
    "POST * HTTP/1.1",
    "POST /function/echo\r HTTP/1.1",
    "POST /function/echo HTTP/1.1\rX: 1",
    "POST /function/echo HTTP/1.1\r\n X: 1",
    "GET /function/echo HTTP/1.1\r\nHost: h\r\n\r\nPOST /function/echo HTTP/1.1",
    "CONNECT h:1 HTTP/1.1",
];
const FIELDS: &[&str] = &[
    "X: 1",
    "X:1",
    "X:",
    "Connection: keep-alive",
    "Expect: 100-continue",
    "Accept: */*",
    "X: a:b",
    "X: ä",
    "TE: trailers",
    "Connection: content-length",
    "Connection: transfer-encoding",
    "Trailer: Content-Length",
    "Content-Encoding: chunked",
];
const ODD_FIELDS: &[&str] = &[
    "Host: other",
    " X: 1",
    "X : 1",
    "X",
    ": 1",
    "X: a\0b",
    "X: a\rb",
    "X: a\nb",
    "X: a\n b",
    "X\u{e4}: 1",
    "X: 1\r",
    "X: 1\n",
    "X: 1\r\n\r",
    "X: \u{7f}",
    "X(y): 1",
    "Connection: close",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "Content-Length : 5",
    "Content\0-Length: 5",
    "Content-Length: 5\n",
];

const HOSTS: &[&str] = &[
    "",
    "h:8080",
    "[::1]",
    "[::1]:80",
    "a_b.c",
    "10.0.0.1:",
    "a b",
    "a,b",
    "a/b",
    "u@h",
    "h:8:9",
    "::1",
    "[::1",
    "[]:1",
    "ö",
    "h:x",
    "h, other",
    "http://h",
];

/// How a body is told and sent.
fn body_of(heads: &str, name: &str, value: &str, body: &str) -> String {
    format!("POST /function/echo/first HTTP/1.1\r\nHost: h\r\n{heads}{name}: {value}\r\n\r\n{body}")
}

/// Streams that are always tried, each without what follows it.
pub(crate) fn written() -> Vec<Vec<u8>> {
    let (length, chunked) = ("Content-Length: 5\r\n", "5\r\nhello\r\n0\r\n\r\n");
    let coding = |name: &&str| body_of("", name, "chunked", chunked);
    let mut all: Vec<String> = NAMES.iter().chain(ODD_NAMES).map(coding).collect();
    for value in CODINGS.iter().chain(ODD_CODINGS) {
        all.push(body_of("", "Transfer-Encoding", value, chunked));
        all.push(body_of(length, "Transfer-Encoding", value, chunked));
        all.push(body_of("Transfer-Encoding: chunked\r\n", "Transfer-Encoding", value, chunked));
    }
    for value in LENGTHS.iter().chain(ODD_LENGTHS) {
        all.push(body_of("", "Content-Length", value, "hello"));
        all.push(body_of("Transfer-Encoding: chunked\r\n", "Content-Length", value, chunked));
    }
    for body in CHUNKS.iter().chain(ODD_CHUNKS) {
        all.push(body_of("", "Transfer-Encoding", "chunked", body));
    }
    for line in LINES.iter().chain(ODD_LINES) {
        all.push(format!("{line}\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"));
    }
    for host in HOSTS {
        all.push(format!("POST /function/echo HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello"));
    }
    for field in FIELDS.iter().chain(ODD_FIELDS) {
        all.push(format!("POST /function/echo HTTP/1.1\r\nHost: h\r\n{field}\r\nContent-Length: 5\r\n\r\nhello"));
    }
    all.into_iter().map(String::into_bytes).collect()
}

/// Makes streams.
pub(crate) struct Maker(StdRng);

impl Maker {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Mostly of the first: one piece in six is odd, so that what is odd stands among what is not.
    fn choose(&mut self, usual: &[&'static str], odd: &[&'static str]) -> &'static str {
        let of = if self.0.random_ratio(1, 6) { odd } else { usual };
        of.choose(&mut self.0).copied().unwrap_or_default()
    }

    fn request(&mut self) -> String {
        let mut lines = vec![self.choose(LINES, ODD_LINES).to_owned()];
        if !self.0.random_ratio(1, 20) {
            lines.push("Host: h".to_owned());
        }
        let mut body = String::new();
        for _ in 0..self.0.random_range(0..3) {
            lines.push(self.choose(FIELDS, ODD_FIELDS).to_owned());
        }
        let (by_length, by_chunks) = match self.0.random_range(0..20) {
            0..=6 => (true, false),
            7..=15 => (false, true),
            16 => (true, true),
            _ => (false, false),
        };
        if by_length {
            let value = self.choose(LENGTHS, ODD_LENGTHS);
            lines.push(format!("Content-Length: {value}"));
            body = "hello".to_owned();
        }
        if by_chunks {
            let (name, value) = (self.choose(NAMES, ODD_NAMES), self.choose(CODINGS, ODD_CODINGS));
            lines.push(format!("{name}: {value}"));
            body = self.choose(CHUNKS, ODD_CHUNKS).to_owned();
        }
        let mut text = String::new();
        for line in lines.iter().chain([&String::new()]) {
            text.push_str(line);
            text.push_str(if self.0.random_ratio(1, 40) {
                ["\n", "\r", "\r\r\n", "\0\r\n"].choose(&mut self.0).unwrap()
            } else {
                "\r\n"
            });
        }
        text + &body
    }

    /// The next stream, without what follows it.
    pub(crate) fn stream(&mut self) -> Vec<u8> {
        let count = self.0.random_range(1..4);
        let mut stream: Vec<u8> = (0..count).flat_map(|_| self.request().into_bytes()).collect();
        // A byte or a piece that came to another place, now and then.
        while self.0.random_ratio(1, 4) {
            let at = self.0.random_range(0..stream.len());
            let to = (at + self.0.random_range(1..12)).min(stream.len());
            match self.0.random_range(0..4) {
                0 => _ = stream.drain(at..to),
                1 => stream.insert(at, *b"\r\n\t :;,\0\x0b\x7f\xff05aA".choose(&mut self.0).unwrap()),
                2 => {
                    let piece = stream[at..to].to_vec();
                    let into = self.0.random_range(0..=stream.len());
                    stream.splice(into..into, piece);
                }
                _ => stream[at] = self.0.random(),
            }
            if stream.is_empty() {
                stream.push(b'\n');
            }
        }
        stream
    }

    /// In how many pieces the next one is sent.
    pub(crate) fn piece(&mut self) -> usize {
        *[usize::MAX, usize::MAX, usize::MAX, 1, 7, 64].choose(&mut self.0).unwrap()
    }
}
