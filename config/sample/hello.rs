//! The sample function: a small HTTP server in one file, with no dependency but the standard library, so that plain
//! `rustc` makes a static binary of it:
//!
//! ```sh
//! rustc --edition 2024 -O -C panic=abort -C strip=symbols -C target-feature=+crt-static hello.rs
//! ```
//! It is there to be looked at from outside: to show what a function gets, and to misbehave on request.
//!
//! | route                      | answer                                                                          |
//! | -------------------------- | ------------------------------------------------------------------------------- |
//! | `/`                        | a greeting with the version and the host name                                   |
//! | `/_/health`                | 200; see `NO_HEALTH` and `UNHEALTHY_MS`                                          |
//! | `/version`                 | the version                                                                     |
//! | `/env`                     | the environment, sorted, `NAME=value` a line                                    |
//! | `/headers`                 | the request line and headers as they arrived                                    |
//! | `/echo`                    | the request's body, streamed back in the framing that it came in                |
//! | `/count`                   | how many bytes the request's body had, when all of it has come                  |
//! | `/status?code=`            | that status                                                                     |
//! | `/sleep?ms=`               | after that time                                                                 |
//! | `/stream?n=&ms=`           | n lines, one every so many milliseconds, chunked                                |
//! | `/bytes?n=`                | n bytes                                                                         |
//! | `/next?to=`                | the request's body, with that URL as `X-Callback-Url`                           |
//! | `/upgrade`                 | with an `Upgrade` header: 101, then every byte back                             |
//! | `/log?lines=&bytes=&to=`   | after writing that many lines of that length to its standard output (or `stderr`) |
//! | `/file?path=&type=&header=` | a file's content, or a directory's names, as that type and with that header     |
//! | `/alloc?mb=`               | after taking that much memory, for good                                         |
//! | `/exit?code=`              | none: the process exits                                                         |
//! | `/crash`                   | none: the process aborts                                                        |
//!
//! | environment         | meaning                                                                   |
//! | ------------------- | ------------------------------------------------------------------------- |
//! | `VERSION`           | the version it reports                                                    |
//! | `LISTEN`            | address to listen on (`0.0.0.0:8080`)                                     |
//! | `QUIET`             | do not log requests                                                       |
//! | `LOG_CALLS`         | log the `X-Actord-Call` of each request, as it begins and once it is answered |
//! | `START_DELAY_MS`    | listen only after this time                                               |
//! | `EXIT_AT_START`     | exit at once with this code                                               |
//! | `NO_HEALTH`         | `/_/health` is 404                                                        |
//! | `UNHEALTHY_MS`      | `/_/health` is 503 for this long after it began to listen                 |
//! | `HEALTH_STATUS`     | `/_/health` is this status                                                |
//! | `HANDLER`           | behave as a watchdog: listen there, too, and answer all but `/_/health` with 500 until that is so |
//! | `HANDLER_DELAY_MS`  | listen there only after this time                                         |
//! | `IGNORE_SIGTERM_MS` | react to SIGTERM only after this time                                     |
//! | `ONE_AT_A_TIME`     | answer one request after the other, all but `/_/health`                   |
//!
//! SIGTERM: accept no more, finish the requests in flight, exit 0.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::exit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const HEAD_MAX: u64 = 64 * 1024;
const STACK: usize = 128 * 1024;

static STOPPING: AtomicBool = AtomicBool::new(false);
/// Requests whose first byte was read and whose answer is not written yet.
static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);

/// Writes a line, if anybody still takes it: a closed log is no reason to die.
macro_rules! log {
    ($to:ident, $($line:tt)*) => {{ let _ = writeln!(io::$to(), $($line)*); }};
}

/// What the environment says, read once.
struct Settings {
    version: String,
    host: String,
    log_requests: bool,
    log_calls: bool,
    health: bool,
    unhealthy: Duration,
    health_status: Option<u64>,
    handler: Option<String>,
    /// Held by the request that is answered, where there is one at a time.
    turn: Option<Mutex<()>>,
    listening_since: OnceLock<Instant>,
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| {
        log!(stderr, "{name}={text:?}: expected a number");
        exit(2)
    }))
}

fn millis(name: &str) -> Duration {
    Duration::from_millis(number(name).unwrap_or(0))
}

fn main() {
    if let Some(code) = number("EXIT_AT_START") {
        log!(stderr, "exiting at start with {code}, as EXIT_AT_START asks");
        exit(i32::try_from(code).unwrap_or(1));
    }
    signals::block_sigterm();
    let settings = Arc::new(Settings {
        version: env::var("VERSION").unwrap_or_else(|_| "1".into()),
        host: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        log_requests: env::var_os("QUIET").is_none(),
        log_calls: env::var_os("LOG_CALLS").is_some(),
        health: env::var_os("NO_HEALTH").is_none(),
        unhealthy: millis("UNHEALTHY_MS"),
        health_status: number("HEALTH_STATUS"),
        handler: env::var("HANDLER").ok(),
        turn: env::var_os("ONE_AT_A_TIME").map(|_| Mutex::default()),
        listening_since: OnceLock::new(),
    });
    thread::sleep(millis("START_DELAY_MS"));

    let listen = env::var("LISTEN").unwrap_or_else(|_| "0.0.0.0:8080".into());
    let listener = TcpListener::bind(&listen).unwrap_or_else(|error| {
        log!(stderr, "can't listen on {listen}: {error}");
        exit(1)
    });
    let address = listener.local_addr().expect("a bound socket has an address");
    settings.listening_since.get_or_init(Instant::now);
    log!(stdout, "hello version {} listens on {address}", settings.version);

    if let Some(handler) = settings.handler.clone() {
        thread::spawn(move || handle(&handler));
    }
    let ignored = millis("IGNORE_SIGTERM_MS");
    thread::spawn(move || stop_at_sigterm(ignored, address));
    while let Some(stream) = accept(&listener) {
        let settings = settings.clone();
        let serving = thread::Builder::new().stack_size(STACK).spawn(move || {
            let _ = serve(&stream, &settings);
        });
        if let Err(error) = serving {
            log!(stderr, "no thread for a connection: {error}");
        }
    }
    drop(listener);
    // A connection that came last may still be sending its first request.
    thread::sleep(Duration::from_millis(50));
    while IN_FLIGHT.load(SeqCst) > 0 {
        thread::sleep(Duration::from_millis(5));
    }
    log!(stdout, "hello version {} stopped", settings.version);
}

/// What a watchdog starts: it listens some time after the watchdog, which looks at every request whether it does.
fn handle(address: &str) {
    thread::sleep(millis("HANDLER_DELAY_MS"));
    match TcpListener::bind(address) {
        Ok(listener) => listener.incoming().for_each(drop),
        Err(error) => log!(stderr, "can't listen on {address}: {error}"),
    }
}

/// The next connection; none when it is time to stop and nobody waits any more.
fn accept(listener: &TcpListener) -> Option<TcpStream> {
    loop {
        if STOPPING.load(SeqCst) {
            listener.set_nonblocking(true).ok()?;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).ok()?;
                return Some(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => {
                log!(stderr, "accept: {error}");
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn stop_at_sigterm(ignored: Duration, address: SocketAddr) {
    signals::wait_for_sigterm();
    thread::sleep(ignored);
    STOPPING.store(true, SeqCst);
    // Wakes the thread that waits in accept().
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    let _ = TcpStream::connect((ip, address.port()));
}

/// SIGTERM as a call that returns, rather than a handler in which nothing is allowed.
mod signals {
    use std::ffi::c_int;

    const SIG_BLOCK: c_int = 0;
    const SIGTERM: c_int = 15;

    /// `sigset_t` of glibc and musl on 64-bit Linux: 1024 bits.
    type SignalSet = [u64; 16];

    unsafe extern "C" {
        fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
        fn sigwait(set: *const SignalSet, signal: *mut c_int) -> c_int;
    }

    const TERM: SignalSet = {
        let mut set = [0; 16];
        set[0] = 1 << (SIGTERM - 1);
        set
    };

    /// For this thread and all that it starts later.
    pub fn block_sigterm() {
        // SAFETY: the set outlives the call, and the old one is not asked for.
        unsafe { pthread_sigmask(SIG_BLOCK, &TERM, std::ptr::null_mut()) };
    }

    pub fn wait_for_sigterm() {
        let mut signal = 0;
        // SAFETY: both pointers are to live values of the right size.
        unsafe { sigwait(&TERM, &mut signal) };
    }
}

/// Counts a request for as long as it lives.
struct InFlight;

impl InFlight {
    fn new() -> Self {
        IN_FLIGHT.fetch_add(1, SeqCst);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        IN_FLIGHT.fetch_sub(1, SeqCst);
    }
}

struct Request<'a> {
    head: String,
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    http_1_0: bool,
    headers: Vec<(String, String)>,
    body: Body<'a>,
}

impl Request<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    fn wants_close(&self) -> bool {
        let connection = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        connection.contains("close") || (self.http_1_0 && !connection.contains("keep-alive"))
    }
}

/// A request's body: bytes up to the end that its framing gives it.
struct Body<'a> {
    from: BufReader<&'a TcpStream>,
    /// Bytes left of the body, or of the current chunk.
    left: u64,
    chunked: bool,
    /// The client waits for `100 Continue` before it sends anything.
    expected: bool,
}

impl Body<'_> {
    fn is_empty(&self) -> bool {
        self.left == 0 && !self.chunked
    }

    /// Asks for the body, before any answer is on its way.
    fn invite(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.expected) {
            self.from.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.from).take(HEAD_MAX).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            let size = self.line()?;
            let size = size.split(';').next().unwrap_or_default().trim();
            self.left = u64::from_str_radix(size, 16).map_err(|_| io::Error::other("not a chunk size"))?;
            if self.left == 0 {
                self.chunked = false;
                while !self.line()?.is_empty() {}
                return Ok(0);
            }
        }
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.from.read(&mut buffer[..wanted])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        if self.left == 0 && self.chunked {
            self.line()?;
        }
        Ok(n)
    }
}

/// Serves one connection until either side has enough of it.
fn serve(stream: &TcpStream, settings: &Settings) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::with_capacity(16 * 1024, stream);
    loop {
        if from.fill_buf()?.is_empty() {
            return Ok(());
        }
        let in_flight = InFlight::new();
        let mut request = read_request(from)?;
        let mut to = Answer::new(stream, &request);
        let call = request.header("x-actord-call").filter(|_| settings.log_calls).map(str::to_owned);
        if let Some(call) = &call {
            log!(stdout, "call {call} begins");
        }
        let done = answer(&mut request, &mut to, settings);
        if let Some(call) = call.filter(|_| done.is_ok()) {
            log!(stdout, "call {call} is answered");
        }
        if settings.log_requests && request.path != "/_/health" {
            log!(stdout, "{} {} {}", request.method, request.path, to.status);
        }
        done?;
        // A body that was never invited does not come.
        if to.close || request.body.expected || STOPPING.load(SeqCst) {
            return Ok(());
        }
        io::copy(&mut request.body, &mut io::sink())?;
        from = request.body.from;
        drop(in_flight);
    }
}

fn read_request(mut from: BufReader<&TcpStream>) -> io::Result<Request<'_>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let room = HEAD_MAX - head.len() as u64;
        if (&mut from).take(room).read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut lines = head.trim_end().lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or("/"));
    let http_1_0 = first.next() == Some("HTTP/1.0");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.map(|(name, value)| (name.to_owned(), decode(value))).collect(),
        http_1_0,
        headers,
        body: Body { from, left: 0, chunked: false, expected: false },
        head: String::new(),
    };
    request.body.chunked = request.header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    request.body.left = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    request.body.expected = request.header("expect").is_some();
    request.head = head;
    Ok(request)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The way an answer takes, and how its end will be known.
struct Answer<'a> {
    to: &'a TcpStream,
    status: u16,
    head_only: bool,
    http_1_0: bool,
    close: bool,
    version: String,
    next: Option<String>,
    /// One more header, as it is to be written.
    more: Option<String>,
}

impl<'a> Answer<'a> {
    fn new(to: &'a TcpStream, request: &Request<'_>) -> Self {
        Self {
            to,
            status: 0,
            head_only: request.method == "HEAD",
            http_1_0: request.http_1_0,
            close: request.wants_close(),
            version: String::new(),
            next: None,
            more: None,
        }
    }

    /// Writes the head. Without a length the body is chunked, or ends with the connection for HTTP/1.0.
    fn head(&mut self, status: u16, kind: &str, length: Option<u64>) -> io::Result<()> {
        let head = self.begin(status, kind, length);
        self.to.write_all(head.as_bytes())
    }

    fn begin(&mut self, status: u16, kind: &str, length: Option<u64>) -> String {
        self.status = status;
        self.close |= STOPPING.load(SeqCst) || (length.is_none() && self.http_1_0);
        let reason = if status < 400 { "OK" } else { "Error" };
        let mut head = format!("HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nX-Version: {}\r\n", self.version);
        if let Ok(address) = self.to.local_addr() {
            head += &format!("X-Instance: {}\r\n", address.ip());
        }
        if let Some(next) = &self.next {
            head += &format!("X-Callback-Url: {next}\r\n");
        }
        if let Some(more) = &self.more {
            head += &format!("{more}\r\n");
        }
        match length {
            Some(length) => head += &format!("Content-Length: {length}\r\n"),
            None if self.http_1_0 => {}
            None => head += "Transfer-Encoding: chunked\r\n",
        }
        head += if self.close { "Connection: close\r\n\r\n" } else { "\r\n" };
        head
    }

    fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.head_only || bytes.is_empty() {
            return Ok(());
        }
        if self.http_1_0 {
            return self.to.write_all(bytes);
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.to.write_all(&chunk)
    }

    fn last_chunk(&mut self) -> io::Result<()> {
        if self.head_only || self.http_1_0 { Ok(()) } else { self.to.write_all(b"0\r\n\r\n") }
    }

    /// Writes head and text at once: a process that is killed has answered, or it has not begun to.
    fn text(&mut self, status: u16, text: &str) -> io::Result<()> {
        let mut answer = self.begin(status, "text/plain; charset=utf-8", Some(text.len() as u64));
        if !self.head_only {
            answer += text;
        }
        self.to.write_all(answer.as_bytes())
    }
}

fn answer(request: &mut Request<'_>, to: &mut Answer<'_>, settings: &Settings) -> io::Result<()> {
    to.version.clone_from(&settings.version);
    let _turn = settings.turn.as_ref().filter(|_| request.path != "/_/health").map(Mutex::lock);
    let handles = |address: &String| TcpStream::connect(address).is_ok();
    if request.path != "/_/health" && !settings.handler.as_ref().is_none_or(handles) {
        return to.text(500, "the handler does not listen yet\n");
    }
    match request.path.as_str() {
        "/" => to.text(200, &format!("Hello from {}, version {}\n", settings.host, settings.version)),
        "/_/health" => {
            let age = settings.listening_since.get().map(Instant::elapsed).unwrap_or_default();
            if let Some(status) = settings.health_status {
                return to.text(u16::try_from(status).unwrap_or(500), "as HEALTH_STATUS says\n");
            }
            match (settings.health, age < settings.unhealthy) {
                (false, _) => to.text(404, "not found\n"),
                (true, true) => to.text(503, "not yet\n"),
                (true, false) => to.text(200, "OK\n"),
            }
        }
        "/version" => to.text(200, &format!("{}\n", settings.version)),
        "/env" => {
            let environment: BTreeMap<_, _> = env::vars_os().collect();
            let line = |(name, value): (&std::ffi::OsString, &std::ffi::OsString)| {
                format!("{}={}\n", name.to_string_lossy(), value.to_string_lossy())
            };
            to.text(200, &environment.iter().map(line).collect::<String>())
        }
        "/headers" => to.text(200, &request.head),
        "/echo" => echo(request, to),
        "/next" => {
            let mut body = String::new();
            request.body.invite()?;
            request.body.read_to_string(&mut body)?;
            to.next = request.query.get("to").cloned();
            to.text(200, &body)
        }
        "/count" => {
            request.body.invite()?;
            let count = io::copy(&mut request.body, &mut io::sink())?;
            to.text(200, &format!("{count}\n"))
        }
        "/status" => {
            let code = u16::try_from(request.number("code", 200)).unwrap_or(500);
            to.text(code, &format!("{code}\n"))
        }
        "/sleep" => {
            let ms = request.number("ms", 1000);
            thread::sleep(Duration::from_millis(ms));
            to.text(200, &format!("slept {ms} ms\n"))
        }
        "/stream" => {
            to.head(200, "text/plain; charset=utf-8", None)?;
            for tick in 1..=request.number("n", 10) {
                to.chunk(format!("tick {tick}\n").as_bytes())?;
                thread::sleep(Duration::from_millis(request.number("ms", 100)));
            }
            to.last_chunk()
        }
        "/bytes" => {
            let n = request.number("n", 1 << 20);
            to.head(200, "application/octet-stream", Some(n))?;
            if to.head_only {
                return Ok(());
            }
            io::copy(&mut io::repeat(b'x').take(n), &mut to.to).map(drop)
        }
        "/upgrade" => upgrade(request, to),
        "/log" => {
            let (lines, bytes) = (request.number("lines", 1), request.number("bytes", 80));
            let line = "x".repeat(usize::try_from(bytes).unwrap_or(80));
            let to_stderr = request.query.get("to").is_some_and(|stream| stream == "stderr");
            for n in 1..=lines {
                if to_stderr { log!(stderr, "{n} {line}") } else { log!(stdout, "{n} {line}") }
            }
            to.text(200, &format!("wrote {lines} lines\n"))
        }
        "/file" => {
            let path = request.query.get("path").map_or("/", String::as_str);
            match read(path) {
                Ok(text) => match request.query.get("type") {
                    Some(kind) => {
                        to.more = request.query.get("header").cloned();
                        to.head(200, kind, Some(text.len() as u64))?;
                        if to.head_only { Ok(()) } else { to.to.write_all(text.as_bytes()) }
                    }
                    None => to.text(200, &text),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => to.text(404, &format!("{path}: {error}\n")),
                Err(error) => to.text(500, &format!("{path}: {error}\n")),
            }
        }
        "/alloc" => {
            let mb = request.number("mb", 1);
            // Written, not only reserved, and never given back.
            std::mem::forget(vec![1_u8; usize::try_from(mb << 20).unwrap_or(0)]);
            to.text(200, &format!("took {mb} MiB\n"))
        }
        "/exit" => exit(i32::try_from(request.number("code", 0)).unwrap_or(1)),
        "/crash" => std::process::abort(),
        _ => to.text(404, "not found\n"),
    }
}

fn read(path: &str) -> io::Result<String> {
    if fs::metadata(path)?.is_dir() {
        let mut names: Vec<_> =
            fs::read_dir(path)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        return Ok(names.iter().map(|name| format!("{name}\n")).collect());
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn echo(request: &mut Request<'_>, to: &mut Answer<'_>) -> io::Result<()> {
    let kind = request.header("content-type").unwrap_or("text/plain; charset=utf-8").to_owned();
    let length = (!request.body.chunked).then_some(request.body.left);
    request.body.invite()?;
    to.head(200, &kind, length)?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let n = request.body.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        if length.is_none() {
            to.chunk(&buffer[..n])?;
        } else if !to.head_only {
            to.to.write_all(&buffer[..n])?;
        }
    }
    if length.is_none() { to.last_chunk() } else { Ok(()) }
}

fn upgrade(request: &mut Request<'_>, to: &mut Answer<'_>) -> io::Result<()> {
    let Some(protocol) = request.header("upgrade").map(str::to_owned) else {
        return to.text(426, "send an Upgrade header\n");
    };
    to.status = 101;
    to.close = true;
    let head = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n");
    to.to.write_all(head.as_bytes())?;
    // Not io::copy, which would hold bytes back in its own buffer.
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match request.body.from.read(&mut buffer)? {
            0 => return Ok(()),
            n => to.to.write_all(&buffer[..n])?,
        }
    }
}
