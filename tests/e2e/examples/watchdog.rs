//! Stands for of-watchdog where its own program can't be had: as much of its contract as the examples use, in one file for
//! plain `rustc`. It is told by the environment, as that one is.
//!
//! ```text
//! mode=http       starts fprocess once, and hands each request on to upstream_url
//! mode=streaming  starts fprocess for each request: body -> standard input, standard output -> answer; Http_Path is the path
//! /_/health       200
//! ```

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

fn main() -> io::Result<()> {
    let process = env::var("fprocess").expect("fprocess");
    let words: &'static [String] = process.split(' ').map(str::to_owned).collect::<Vec<_>>().leak();
    let upstream = match env::var("mode").as_deref() {
        Ok("http") => {
            let mut child = Command::new(&words[0]).args(&words[1..]).spawn()?;
            // Without it there is nothing to hand on to: this ends as well, and is started anew.
            thread::spawn(move || std::process::exit(child.wait().map_or(1, |status| status.code().unwrap_or(1))));
            let url = env::var("upstream_url").expect("upstream_url");
            Some(&*url.trim_start_matches("http://").to_owned().leak())
        }
        Ok("streaming") => None,
        other => panic!("mode {other:?}"),
    };
    for stream in TcpListener::bind("0.0.0.0:8080")?.incoming().flatten() {
        thread::spawn(move || serve(stream, words, upstream));
    }
    Ok(())
}

/// One request, and the end of the connection.
fn serve(mut stream: TcpStream, words: &[String], upstream: Option<&str>) -> io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(0);
                head.push(line);
            }
            Some((name, _)) if name.eq_ignore_ascii_case("connection") => {}
            _ if line.trim_end().is_empty() => break,
            _ => head.push(line),
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let Some(first) = head.first() else { return Ok(()) };
    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
    if path == "/_/health" {
        return answer(&mut stream, "200 OK", b"OK");
    }
    if let Some(upstream) = upstream {
        let mut to = TcpStream::connect(upstream)?;
        to.write_all(format!("{}Connection: close\r\n\r\n", head.concat()).as_bytes())?;
        to.write_all(&body)?;
        io::copy(&mut to, &mut stream)?;
        return stream.shutdown(Shutdown::Both);
    }
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("Http_Path", path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().expect("a pipe");
    // Who does not read all of it answers all the same.
    let feeding = thread::spawn(move || input.write_all(&body));
    let output = child.wait_with_output()?;
    let _ = feeding.join();
    let status = if output.status.success() { "200 OK" } else { "500 Internal Server Error" };
    answer(&mut stream, status, &output.stdout)
}

fn answer(stream: &mut TcpStream, status: &str, body: &[u8]) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(body)
}
