//! Greets who calls it: `GET /?Ada` is answered with `Hello, Ada`. One file, the standard library alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, io, thread};

fn main() -> io::Result<()> {
    let greeting: &str = env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned()).leak();
    // All interfaces, and this port: where a function is called.
    for stream in TcpListener::bind("0.0.0.0:8080")?.incoming().flatten() {
        thread::spawn(move || serve(stream, greeting));
    }
    Ok(())
}

/// One request after the other, for as long as the caller keeps the connection.
fn serve(mut stream: TcpStream, greeting: &str) -> io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    loop {
        let mut first = String::new();
        if from.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or(0);
                }
                Some(_) => {}
                None => break,
            }
        }
        io::copy(&mut (&mut from).take(length), &mut io::sink())?;
        let target = first.split(' ').nth(1).unwrap_or("/");
        let answer = match target.split_once('?') {
            _ if target == "/_/health" => "well\n".to_owned(),
            Some((_, name)) => format!("{greeting}, {name}\n"),
            None => format!("{greeting}\n"),
        };
        println!("{}", first.trim_end());
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
    }
}
