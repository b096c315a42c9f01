//! A stream of requests has one reading: what a function gets is what a second, strict reader reads in it, or the stream is
//! refused where that reader stops, and closed with nothing behind it forwarded.
//!
//! ```text
//! written, kept, made from a seed -> + one request more -> actord -> function: what came, read strictly
//!                                 -> strict reader -----------------> what is due          compared
//! ```
//! `make soak` goes on by time (`STREAM_SECONDS`), from a seed that it prints; `SEED=` replays it. A stream that differs is
//! made small and kept in `tests/http/streams/kept/`, which is tried first from then on.

mod made;
mod strict;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::made::{Maker, TAIL};
use self::strict::{End, Reading, Request};
use crate::support::House;

/// How many streams are made in the short form: some seconds' worth.
const SHORT: u64 = 1_500;
/// The seed of the short form: a run is the same everywhere.
const SEED: u64 = 98;
/// How long streams are made in the long form.
const LONG: Duration = Duration::from_secs(3_600);
/// How long an answer is waited for: none is late here but by fault.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many attempts a stream that differs is made smaller by.
const ATTEMPTS: usize = 100;

/// Where streams are that differed once, to be committed with what mends the fault.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/streams/kept");

/// What the function got: whole requests, and why the last bytes of a connection are none.
#[derive(Debug, Default)]
struct Got {
    requests: Vec<Request>,
    unreadable: Vec<String>,
}

/// A connection of a function that notes each request when all of it has come, and answers it.
async fn record(mut stream: TcpStream, got: Rc<RefCell<Got>>) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
        let reading = strict::read(&bytes);
        let is_head = reading.requests.iter().any(|request| request.method == "HEAD");
        bytes.drain(..reading.length);
        let answers = reading.requests.len();
        if let End::Refused(why) = reading.end {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            got.borrow_mut().unreadable.push(format!("{why}: {shown:?}"));
            return;
        }
        got.borrow_mut().requests.extend(reading.requests);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", if is_head { "" } else { "ok" });
        if stream.write_all(answer.repeat(answers).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A function of one stream alone, so that nothing of another one is taken for it. It ends with what is returned.
async fn recorder(got: Rc<RefCell<Got>>) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, mut all) = (listener.local_addr().unwrap(), JoinSet::new());
    all.spawn_local(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn_local(record(stream, Rc::clone(&got)));
        }
    });
    (address, all)
}

/// One final answer: its status, and whether it says that the connection ends.
#[derive(Debug, Clone, Copy)]
struct Answer {
    status: u16,
    closes: bool,
}

/// The whole final answers that have come to these requests.
fn answers(mut came: &[u8], requests: &[Request]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&came[..end]).to_ascii_lowercase();
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned);
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        came = &came[end + 4..];
        if status < 200 {
            continue;
        }
        let to_head = requests.get(answers.len()).is_some_and(|request| request.method == "HEAD");
        let length = match header("content-length") {
            Some(length) if !to_head && !matches!(status, 204 | 304) => length.parse().unwrap(),
            _ => 0,
        };
        assert_eq!(header("transfer-encoding"), None, "the function's answers, and refusals, have a length: {head}");
        let Some(rest) = came.get(length..) else { break };
        came = rest;
        answers.push(Answer { status, closes: header("connection").as_deref() == Some("close") });
    }
    answers
}

/// A house whose function is another one for each stream.
struct Tried(House);

impl Tried {
    /// Sends a stream with one more request behind it. What differs, if anything does.
    async fn differs(&self, stream: &[u8], piece: usize) -> Option<String> {
        let stream = [stream, TAIL.as_bytes()].concat();
        let due = strict::read(&stream);
        let got = Rc::new(RefCell::new(Got::default()));
        let (address, function) = recorder(Rc::clone(&got)).await;
        let (id, instance) = ("echo".parse().unwrap(), self.0.publish("echo", address));
        let client = TcpStream::connect(self.0.address).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (mut from, mut to) = client.into_split();
        let sending = async {
            for piece in stream.chunks(piece) {
                // A connection that was refused takes no more.
                if to.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            to
        };
        let mut came = Vec::new();
        let reading = async {
            loop {
                let enough = answers(&came, &due.requests).len() >= certain(&due);
                if enough && (matches!(due.end, End::Open | End::Clean) || may_end_early(&due)) {
                    return true;
                }
                match timeout(PATIENCE, from.read_buf(&mut came)).await {
                    Err(_) => return false,
                    Ok(Ok(1..)) => {}
                    Ok(Ok(0) | Err(_)) => return true,
                }
            }
        };
        let (mut to, in_time) = tokio::join!(sending, reading);
        if in_time {
            // What is not whole will never be.
            to.shutdown().await.ok();
            let _ = timeout(PATIENCE, from.read_to_end(&mut came)).await;
        }
        drop(to);
        // What was under way to the function is over.
        self.0.routes.retract(&id, &instance);
        let drained = self.0.routes.drained(&id, &instance);
        let is_over = timeout(PATIENCE, drained.wait()).await.is_ok();
        drop(function);
        let got = got.take();
        let answers = answers(&came, &due.requests);
        let wrong = match in_time && is_over {
            true => compare(&due, &got, &answers).err(),
            false => Some("it waits for ever".to_owned()),
        };
        wrong.map(|wrong| {
            let (stream, came) = (String::from_utf8_lossy(&stream), String::from_utf8_lossy(&came));
            format!("{wrong}\nstream: {stream:?}\nread strictly: {due:#?}\nthe function got: {got:#?}\nthe client got: {came:?}")
        })
    }

    /// The smallest form of a stream that differs.
    async fn least(&self, stream: &[u8], piece: usize) -> Vec<u8> {
        let (mut least, mut attempts, mut cut) = (stream.to_vec(), 0, stream.len().div_ceil(2));
        while cut > 0 {
            let mut at = 0;
            while at < least.len() && attempts < ATTEMPTS {
                attempts += 1;
                let shorter = [&least[..at], &least[(at + cut).min(least.len())..]].concat();
                if self.differs(&shorter, piece).await.is_some() { least = shorter } else { at += cut }
            }
            cut /= 2;
        }
        least
    }

    async fn check(&self, name: &str, stream: &[u8], piece: usize) {
        if let Some(first) = self.differs(stream, piece).await {
            let least = self.least(stream, piece).await;
            let wrong = self.differs(&least, piece).await.unwrap_or(first);
            let file = format!("{:x}", Sha256::digest(&least));
            std::fs::create_dir_all(KEPT).unwrap();
            std::fs::write(Path::new(KEPT).join(&file[..12]), &least).unwrap();
            panic!("{name}: {wrong}\nkept in {KEPT}/{}", &file[..12]);
        }
    }
}

/// Whether a target may be meant for the function, however it is written.
fn is_function(target: &[u8]) -> bool {
    let name = b"/function/echo";
    target.windows(name.len()).any(|part| part == name)
}

fn may_end_early(due: &Reading) -> bool {
    due.requests.iter().any(|request| request.may_be_last)
}

/// How many requests there are up to the first that may be the last, or in all.
fn certain(due: &Reading) -> usize {
    due.requests.iter().position(|request| request.may_be_last).map_or(due.requests.len(), |at| at + 1)
}

/// What a function sees of a target, if it is certainly meant for it.
fn seen(target: &[u8]) -> Option<Vec<u8>> {
    let path = target.strip_prefix(b"http://h").unwrap_or(target);
    let rest = path.strip_prefix(b"/function/echo")?;
    match rest.first() {
        Some(b'/') => Some(rest.to_vec()),
        None | Some(b'?') => Some([b"/", rest].concat()),
        _ => None,
    }
}

/// Whether the function got what is due, and the client was told of the rest.
fn compare(due: &Reading, got: &Got, answers: &[Answer]) -> Result<(), String> {
    if let Some(unreadable) = got.unreadable.first() {
        return Err(format!("the function got what is no request: {unreadable}"));
    }
    let is_of = |due: &Request, got: &Request| {
        let same = due.method == got.method && due.body == got.body;
        same && match seen(&due.target) {
            Some(seen) => seen == got.target,
            None => is_function(&due.target) && due.target.ends_with(&got.target),
        }
    };
    let is_meant = |due: &Request| !due.may_be_last && seen(&due.target).is_some();
    let meant = |requests: &[Request]| {
        let mut certain = requests.iter().take_while(|request| !request.may_be_last);
        certain.find(|due| is_meant(due)).cloned()
    };
    let mut rest = &due.requests[..];
    for got in &got.requests {
        let Some(at) = rest.iter().position(|due| is_of(due, got)) else {
            return Err(format!("{got:?} is no request of the stream, or was forwarded twice"));
        };
        if let Some(skipped) = meant(&rest[..at]) {
            return Err(format!("{got:?} was forwarded, and {skipped:?} before it was not"));
        }
        rest = &rest[at + 1..];
    }
    let refused = answers.last().is_some_and(|last| (400..=505).contains(&last.status) && last.closes);
    let sure = rest.len().saturating_sub(due.requests.len() - certain(due));
    if !refused && let Some(missing) = meant(&rest[..sure]) {
        return Err(format!("{missing:?} was not forwarded"));
    }
    let more = usize::from(matches!(due.end, End::Refused(_) | End::Open));
    if answers.len() > due.requests.len() + more {
        return Err("there are more answers than requests".to_owned());
    }
    match due.end {
        End::Refused(why) if !refused && !may_end_early(due) => Err(format!("it was not refused for {why}")),
        _ if answers.len() < certain(due) && !refused => Err("a request has no answer".to_owned()),
        _ => Ok(()),
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: expected a number")))
}

/// Streams that differed once.
fn kept() -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(KEPT).into_iter().flatten().map(|file| file.unwrap().path());
    let mut kept: Vec<_> = files.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect();
    kept.sort();
    kept
}

#[actix_web::test]
async fn every_stream_that_readers_part_by_has_one_reading_or_is_refused() {
    let (tried, streams) = (Tried(House::public().await), made::written());
    for (name, stream) in kept() {
        for piece in [usize::MAX, 1] {
            tried.check(&name, &stream, piece).await;
        }
    }
    for stream in &streams {
        tried.check("written", stream, usize::MAX).await;
    }
    let refused = streams.iter().filter(|stream| matches!(strict::read(stream).end, End::Refused(_))).count();
    assert!(refused > 98 && streams.len() - refused > 60, "{refused} of {} are refused", streams.len());
}

#[actix_web::test]
async fn any_stream_has_one_reading_or_is_refused() {
    let is_long = std::env::var_os("ACTORD_SOAK").is_some();
    let seed = number("SEED").unwrap_or_else(|| if is_long { rand::random() } else { SEED });
    let long = number("STREAM_SECONDS").map_or(LONG, Duration::from_secs);
    let (tried, mut maker, begun) = (Tried(House::public().await), Maker::new(seed), Instant::now());
    let (mut count, mut refused, mut told) = (0, 0, begun);
    println!("streams from SEED={seed}");
    while if is_long { begun.elapsed() < long } else { count < SHORT } {
        let (stream, piece) = (maker.stream(), maker.piece());
        count += 1;
        refused += u64::from(matches!(strict::read(&stream).end, End::Refused(_)));
        tried.check(&format!("SEED={seed}, stream {count}"), &stream, piece).await;
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            println!("{count} streams, {refused} of them refused, after {:?}", begun.elapsed());
        }
    }
    println!("{count} streams, {refused} of them refused, in {:?}, SEED={seed}", begun.elapsed());
    // Neither kind alone would try anything.
    assert!(refused * 10 > count && refused * 10 < count * 9, "{refused} of {count} are refused");
}
