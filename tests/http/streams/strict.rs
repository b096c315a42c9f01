//! A second reader of requests, written from RFC 9112 and sharing nothing with the product's: what is no request by its
//! grammar, or has two ways to tell where it ends, is refused.
//!
//! It takes what the RFC leaves to a reader and what has one reading all the same: empty lines before a request, a line of a
//! head that ends with LF alone (both 2.2), and blanks behind a chunk's size.

/// One request.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// Whether it is the last on its connection by its own word.
    pub(crate) is_last: bool,
    /// Whether the connection may end with it, or go on as something else: it asks for another protocol, or is one of
    /// HTTP/1.0 that asks to go on. A reader may take that up or not.
    pub(crate) may_be_last: bool,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} with {:?}", self.method, self.target.escape_ascii(), self.body.escape_ascii().to_string())
    }
}

/// Why the reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Every byte belongs to a request.
    Clean,
    /// The last request is not all here.
    Open,
    /// What follows is no request, or could be read in two ways.
    Refused(&'static str),
    /// The last request says that it is the last: what follows is none.
    Last,
}

/// All requests of a stream, and what comes behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) requests: Vec<Request>,
    pub(crate) end: End,
    /// How many bytes the requests have.
    pub(crate) length: usize,
}

pub(crate) fn read(stream: &[u8]) -> Reading {
    let (mut requests, mut at) = (Vec::new(), 0);
    let end = loop {
        let mut reader = Reader { bytes: stream, at };
        match reader.request() {
            Ok(request) => {
                at = reader.at;
                let is_last = request.is_last;
                requests.push(request);
                if is_last {
                    break End::Last;
                }
            }
            Err(End::Open) if stream[at..].iter().all(|byte| matches!(byte, b'\r' | b'\n')) => break End::Clean,
            Err(end) => break end,
        }
    };
    Reading { requests, end, length: at }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Read<T> = Result<T, End>;

fn refuse<T>(why: &'static str) -> Read<T> {
    Err(End::Refused(why))
}

fn is_token(bytes: &[u8]) -> bool {
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(of_token)
}

fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether it is `uri-host [ ":" port ]` (RFC 9112, 3.2), of which either may be empty. A comma in it could be read as two.
fn is_authority(text: &[u8]) -> bool {
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(byte);
    let end = text.iter().rposition(|byte| *byte == b']').map_or(0, |end| end + 1);
    let (address, rest) = text.split_at(end);
    let is_address = match address {
        [b'[', inside @ .., b']'] => !inside.is_empty() && inside.iter().all(|byte| of_name(byte) || *byte == b':'),
        other => other.is_empty(),
    };
    let mut parts = rest.split(|byte| *byte == b':');
    let is_name = parts.next().is_some_and(|name| name.iter().all(of_name) && (address.is_empty() || name.is_empty()));
    let is_port = parts.next().is_none_or(|port| port.iter().all(u8::is_ascii_digit));
    is_address && is_name && is_port && parts.next().is_none()
}

/// Whether a field's value has only what it may have (RFC 9110, 5.5).
fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let taken = self.rest().get(..count).ok_or(End::Open)?;
        self.at += count;
        Ok(taken)
    }

    /// The next line of a head, without its end.
    fn line(&mut self) -> Read<&'a [u8]> {
        let rest = self.rest();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            // A CR that is not followed by LF is no line's end, and nothing that a line may have.
            return match rest.iter().position(|byte| *byte == b'\r') {
                Some(cr) if cr + 1 < rest.len() => refuse("a CR by itself"),
                _ => Err(End::Open),
            };
        };
        self.at += end + 1;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        if line.contains(&b'\r') { refuse("a CR by itself") } else { Ok(line) }
    }

    /// As [`Self::line`], of a body: it ends with CR LF, or is none.
    fn strict_line(&mut self) -> Read<&'a [u8]> {
        let begin = self.at;
        let line = self.line()?;
        if self.at - begin == line.len() + 2 { Ok(line) } else { refuse("a LF by itself in a body") }
    }

    fn field(line: &'a [u8]) -> Read<(String, &'a [u8])> {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return refuse("a field without a colon") };
        let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
        if !is_token(name) {
            return refuse("a field's name");
        }
        if !is_value(value) {
            return refuse("a field's value");
        }
        Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value))
    }

    fn request(&mut self) -> Read<Request> {
        let mut line = self.line()?;
        while line.is_empty() {
            line = self.line()?;
        }
        let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let [method, target, version] = parts[..] else { return refuse("a request line of other than three parts") };
        if !is_token(method) || target.is_empty() || !target.iter().all(|byte| matches!(byte, b'!'..=b'~' | 0x80..)) {
            return refuse("a request line");
        }
        let minor = match version {
            b"HTTP/1.1" => 1,
            b"HTTP/1.0" => 0,
            _ => return refuse("a version"),
        };
        let mut fields = Vec::new();
        loop {
            match self.line()? {
                b"" => break,
                line => fields.push(Self::field(line)?),
            }
        }
        let all =
            |name: &str| fields.iter().filter(|(known, _)| known == name).map(|(_, value)| *value).collect::<Vec<_>>();
        let lists = |name: &str, item: &str| {
            let text =
                all(name).iter().map(|value| String::from_utf8_lossy(value).to_ascii_lowercase()).collect::<Vec<_>>();
            text.join(",").split(',').any(|listed| listed.trim() == item)
        };
        // A target that is no path has a scheme, or is a host (CONNECT) or a star.
        let scheme = target.windows(3).position(|three| three == b"://").filter(|_| target[0] != b'/');
        let named = scheme.map(|at| target[at + 3..].split(|byte| b"/?".contains(byte)).next().unwrap_or_default());
        if named.is_some_and(|named| !is_authority(named)) {
            return refuse("a host in the target");
        }
        match (&all("host")[..], minor) {
            ([], 0) => {}
            ([host], _) if named.is_some_and(|named| !named.eq_ignore_ascii_case(host)) => return refuse("two hosts"),
            ([host], _) if is_authority(host) => {}
            ([_], _) => return refuse("a host"),
            _ => return refuse("no host, or several"),
        }
        let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
        let body = match (&lengths[..], &codings[..]) {
            ([], []) => Vec::new(),
            ([digits], []) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                let count = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
                match count {
                    Some(count) => self.take(usize::try_from(count).map_err(|_| End::Open)?)?.to_vec(),
                    None => return refuse("a length beyond all bounds"),
                }
            }
            ([], [coding]) if minor == 1 && coding.eq_ignore_ascii_case(b"chunked") => self.chunks()?,
            _ => return refuse("two ways to tell where it ends, or none"),
        };
        let goes_on = minor == 0 && lists("connection", "keep-alive");
        let is_last = lists("connection", "close") || (minor == 0 && !goes_on);
        let may_be_last = method == b"CONNECT" || !all("upgrade").is_empty() || goes_on;
        let method = String::from_utf8_lossy(method).into_owned();
        Ok(Request { method, target: target.to_vec(), body, is_last, may_be_last })
    }

    fn chunks(&mut self) -> Read<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            // What is no size is seen before the line's end has come.
            let digits = self.rest().iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            match self.rest().get(digits) {
                None => return Err(End::Open),
                Some(b' ' | b'\t' | b';' | b'\r') if digits > 0 => {}
                Some(_) => return refuse("a chunk's size"),
            }
            let line = self.strict_line()?;
            let extension = trimmed(&line[digits..]);
            if !(extension.is_empty() || extension.starts_with(b";")) || !is_value(extension) {
                return refuse("a chunk's extension");
            }
            let significant = line[..digits].iter().skip_while(|digit| **digit == b'0').count();
            if significant > 16 {
                return refuse("a chunk beyond all bounds");
            }
            let size =
                std::str::from_utf8(&line[..digits]).ok().and_then(|digits| u128::from_str_radix(digits, 16).ok());
            let size = usize::try_from(size.unwrap_or(u128::MAX)).map_err(|_| End::Open)?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(self.take(size)?);
            match self.rest() {
                [b'\r', b'\n', ..] => self.at += 2,
                [] | [b'\r'] => return Err(End::Open),
                _ => return refuse("more in a chunk than its size"),
            }
        }
        loop {
            match self.strict_line()? {
                b"" => return Ok(body),
                line => _ = Self::field(line)?,
            }
        }
    }
}

#[test]
fn the_second_reader_takes_what_has_one_reading_and_refuses_the_rest() {
    let get = "GET /a HTTP/1.1\r\nHost: h\r\n";
    for (stream, count, end) in [
        (format!("{get}\r\n"), 1, End::Clean),
        (format!("\r\n{get}\r\n\n{get}\r\n"), 2, End::Clean),
        (format!("{get}\r"), 0, End::Open),
        (format!("{get}Content-Length: 2\r\n\r\nhe{get}"), 1, End::Open),
        (format!("{get}Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n0\r\nX: 1\r\n\r\n{get}\r\n"), 2, End::Clean),
        (
            format!("{get}Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\n\r\n{get}\r\n"),
            0,
            End::Refused("a LF by itself in a body"),
        ),
        (
            format!("{get}Content-Length: 2\r\nContent-Length: 2\r\n\r\nhe"),
            0,
            End::Refused("two ways to tell where it ends, or none"),
        ),
        (format!("{get} folded: 1\r\n\r\n"), 0, End::Refused("a field's name")),
        (format!("{get}Connection: close\r\n\r\nx"), 1, End::Last),
    ] {
        let reading = read(stream.as_bytes());
        assert_eq!((reading.requests.len(), reading.end), (count, end), "{stream:?}");
    }
}
