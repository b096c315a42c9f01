//! The sample function by itself, outside of any container.

#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

#[path = "support/sample.rs"]
mod sample;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use sample::Sample;

/// The sample as a process of this machine, on a port of its own.
struct Running {
    process: Child,
    log: BufReader<ChildStdout>,
    address: String,
}

impl Running {
    fn new(env: &[(&str, &str)]) -> Self {
        let mut process = Command::new(sample::binary())
            .env("LISTEN", "127.0.0.1:0")
            .env("QUIET", "1")
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, log, address }
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
        stream
    }

    fn call(&self, request: &str) -> String {
        let mut answer = String::new();
        self.send(request).read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, target: &str) -> String {
        self.call(&format!("GET {target} HTTP/1.1\nConnection: close\n\n"))
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_binary_needs_no_loader_and_no_library() {
    let elf = std::fs::read(sample::binary()).unwrap();
    let at = |offset: usize| usize::from(u16::from_le_bytes([elf[offset], elf[offset + 1]]));
    let table = usize::try_from(u64::from_le_bytes(elf[32..40].try_into().unwrap())).unwrap();
    let (size, count) = (at(54), at(56));
    let kinds: Vec<u32> = (0..count)
        .map(|n| table + n * size)
        .map(|header| u32::from_le_bytes(elf[header..header + 4].try_into().unwrap()))
        .collect();
    assert!(kinds.contains(&1), "an ELF file has something to load: {kinds:?}");
    assert!(!kinds.contains(&3), "a dynamic one has an interpreter (PT_INTERP)");
}

#[test]
fn it_says_which_version_it_is() {
    let hello = Running::new(&[("VERSION", "2.1")]);
    assert!(hello.get("/").ends_with("version 2.1\n"));
    assert!(hello.get("/version").ends_with("\r\n\r\n2.1\n"));
}

#[test]
fn a_body_comes_back_in_the_framing_it_was_sent_in() {
    let hello = Running::new(&[]);
    let sized = hello.call("POST /echo HTTP/1.1\nContent-Length: 3\nConnection: close\n\nabc");
    assert!(sized.contains("Content-Length: 3") && sized.ends_with("\r\n\r\nabc"), "{sized}");
    let chunked =
        hello.call("POST /echo HTTP/1.1\nTransfer-Encoding: chunked\nConnection: close\n\n3\nabc\n2\nde\n0\n\n");
    assert!(chunked.contains("Transfer-Encoding: chunked") && chunked.ends_with("0\r\n\r\n"), "{chunked}");
    assert!(chunked.contains("3\r\nabc\r\n2\r\nde\r\n"), "{chunked}");
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let hello = Running::new(&[]);
    let answers = hello.call("HEAD / HTTP/1.1\n\nGET /version HTTP/1.1\nConnection: close\n\n");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    assert_eq!(answers.matches("Hello").count(), 0, "an answer to HEAD has no body: {answers}");
}

#[test]
fn its_health_is_what_the_environment_asks_for() {
    assert!(Running::new(&[]).get("/_/health").starts_with("HTTP/1.1 200"));
    assert!(Running::new(&[("NO_HEALTH", "1")]).get("/_/health").starts_with("HTTP/1.1 404"));
    assert!(Running::new(&[("UNHEALTHY_MS", "3600000")]).get("/_/health").starts_with("HTTP/1.1 503"));
}

#[test]
fn sigterm_lets_a_request_in_flight_finish_and_then_exits_with_0() {
    let mut hello = Running::new(&[]);
    let mut stream = hello.send("GET /stream?n=20&ms=20 HTTP/1.1\n\n");
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    hello.terminate();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("tick 20"), "{answer}");
    assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
    assert_eq!(hello.process.wait().unwrap().code(), Some(0));
}

#[test]
fn sigterm_can_be_ignored_for_tests_of_the_grace_period() {
    let mut hello = Running::new(&[("IGNORE_SIGTERM_MS", "3600000")]);
    hello.terminate();
    assert!(hello.get("/sleep?ms=200").ends_with("slept 200 ms\n"));
    assert!(hello.process.try_wait().unwrap().is_none());
}

#[test]
fn it_can_answer_one_request_after_the_other() {
    for (environment, ticks, waits) in [(&[][..], 1000, false), (&[("ONE_AT_A_TIME", "1")], 3, true)] {
        let hello = Running::new(environment);
        // Its head comes before its first tick, and the second request after the head.
        let mut first = hello.send(&format!("GET /stream?n={ticks}&ms=100 HTTP/1.1\nConnection: close\n\n"));
        first.read_exact(&mut [0; 12]).unwrap();
        assert!(hello.get("/_/health").ends_with("OK\n"));
        hello.get("/version");
        first.set_nonblocking(true).unwrap();
        let mut read = Vec::new();
        let _ = first.read_to_end(&mut read);
        let read = String::from_utf8(read).unwrap();
        assert_eq!(read.contains(&format!("tick {ticks}\n")), waits, "{environment:?}: {read}");
    }
}

#[test]
fn it_tells_which_asynchronous_calls_came_and_which_of_them_it_answered() {
    let mut hello = Running::new(&[("LOG_CALLS", "1")]);
    hello.get("/version");
    hello.call("GET /version HTTP/1.1\nX-Actord-Call: one\nConnection: close\n\n");
    assert_eq!(hello.call("GET /exit HTTP/1.1\nX-Actord-Call: two\n\n"), "");
    let mut log = String::new();
    hello.log.read_to_string(&mut log).unwrap();
    assert_eq!(log, "call one begins\ncall one is answered\ncall two begins\n");
}

#[test]
fn it_can_exit_at_start_and_on_request() {
    let status = Command::new(sample::binary()).env("EXIT_AT_START", "3").stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(3));
    let mut hello = Running::new(&[]);
    assert_eq!(hello.get("/exit?code=4"), "");
    assert_eq!(hello.process.wait().unwrap().code(), Some(4));
}

#[test]
fn its_image_says_how_to_run_it() {
    let package = Sample::new("docker.io/actord/hello:2").version("2").user("app").package();
    assert_eq!(package.env, ["VERSION=2"]);
    assert_eq!(package.entrypoint, ["/hello"]);
    assert!(Sample::new("docker.io/actord/hello:2").archive().len() > 100_000);
}
