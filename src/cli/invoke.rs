//! `actord invoke`: standard input -> request -> function -> answer -> standard output.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Body, Method, Response};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::awaited;
use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, eprint_line, function_id, parse_pair, print,
    print_json,
};
use crate::config::parse_duration;

/// A request of up to this many bytes is sent with its length, a longer one in chunks as it is read.
const WHOLE_MAX: u64 = 1 << 20;

/// `actord invoke`.
#[derive(Debug, Args)]
pub struct InvokeArgs {
    /// Name of the function, or NAME.NAMESPACE; a path may follow
    #[arg(value_name = "NAME[/PATH]")]
    pub name: String,

    /// Body of the request, instead of standard input
    #[arg(short, long, value_name = "TEXT")]
    pub data: Option<String>,

    /// Method of the request; GET and HEAD have no body
    #[arg(short, long, value_name = "METHOD", default_value = "POST")]
    pub method: Method,

    /// Header of the request. Repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    pub headers: Vec<(HeaderName, HeaderValue)>,

    /// Parameter of the query. Repeatable
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub query: Vec<(String, String)>,

    /// Content-Type of the request
    #[arg(long, value_name = "TYPE", default_value = "text/plain")]
    pub content_type: HeaderValue,

    /// Have it queued and don't wait for its answer
    #[arg(long = "async")]
    pub queued: bool,

    /// Wait until a call that was queued has ended, and print its answer; for this long at most
    #[arg(
        long,
        requires = "queued",
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10m",
        value_parser = parse_duration
    )]
    pub wait: Option<Duration>,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// `NAME: VALUE` as curl has it, or `NAME=VALUE` as faas-cli has it.
fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once([':', '=']).ok_or("expected NAME: VALUE")?;
    let name = name.trim().parse::<HeaderName>().map_err(|_| format!("{name:?} is no name of a header"))?;
    let value = value.trim().parse::<HeaderValue>().map_err(|_| format!("{value:?} is no value of a header"))?;
    Ok((name, value))
}

impl InvokeArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let (name, path) = self.name.split_once('/').unwrap_or((&self.name, ""));
        let id = function_id(name, &self.namespace)?.to_string();
        let route = if self.queued { "async-function" } else { "function" };
        let mut segments = vec![route, &id];
        if !path.is_empty() {
            segments.extend(path.split('/'));
        }
        let query: Vec<_> = self.query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut request = client.open_request(self.method.clone(), &segments, &query);
        if !matches!(self.method, Method::GET | Method::HEAD) {
            request = request.header(CONTENT_TYPE, self.content_type.clone()).body(self.body().await?);
        }
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = client.answer(request).await?;
        if let Some(wait) = self.wait.filter(|_| answer.status().is_success()) {
            return awaited::show(&client, &answer, wait, self.gateway.output).await;
        }
        if self.gateway.output == Output::Json {
            show_whole(&client, answer).await
        } else {
            pass_on(&client, answer, self.queued).await
        }
    }

    async fn body(&self) -> Result<Body, ClientError> {
        if let Some(text) = &self.data {
            return Ok(text.clone().into());
        }
        let failed = |error: io::Error| ClientError::Local(format!("can't read standard input: {error}"));
        let stdin = io::stdin();
        if stdin.is_terminal() {
            eprint_line("reading the request from the terminal: end it with Ctrl-D, or give it with --data");
        }
        let mut input = tokio::fs::File::from_std(File::from(stdin.as_fd().try_clone_to_owned().map_err(failed)?));
        let mut begin = Vec::new();
        (&mut input).take(WHOLE_MAX).read_to_end(&mut begin).await.map_err(failed)?;
        if begin.len() < usize::try_from(WHOLE_MAX).unwrap_or(usize::MAX) {
            return Ok(begin.into());
        }
        let chunks = stream::iter([Ok(Bytes::from(begin))]).chain(ReaderStream::new(input));
        Ok(Body::wrap(StreamBody::new(chunks.map_ok(Frame::data))))
    }
}

/// Writes the answer's body as it comes.
async fn pass_on(client: &Client, mut answer: Response, queued: bool) -> Result<ExitWith, ClientError> {
    let status = answer.status();
    if !status.is_success() {
        eprint_line(&format!("actord: the answer is {status}"));
    } else if queued {
        let call = answer.headers().get("x-call-id").and_then(|id| id.to_str().ok()).unwrap_or("none");
        eprint_line(&format!("accepted, call id {call}"));
    }
    while let Some(chunk) = answer.chunk().await.map_err(|error| client.broken(&error))? {
        print(&chunk)?;
    }
    Ok(ExitWith::of_status(status.as_u16()))
}

/// Shows status, headers and body as one object.
async fn show_whole(client: &Client, answer: Response) -> Result<ExitWith, ClientError> {
    let status = answer.status();
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in answer.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.to_string()).or_default().push(value);
    }
    let body = answer.bytes().await.map_err(|error| client.broken(&error))?;
    let mut shown = json!({ "status": status.as_u16(), "headers": headers });
    let (key, value) = match std::str::from_utf8(&body) {
        Ok(text) => ("body", text.to_owned()),
        Err(_) => ("bodyBase64", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &body)),
    };
    shown[key] = Value::String(value);
    print_json(&shown)?;
    Ok(ExitWith::of_status(status.as_u16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_written_as_curl_or_as_faas_cli_has_it() {
        for text in ["X-A: b=c", "x-a:b=c", "X-A=b=c"] {
            let (name, value) = parse_header(text).unwrap();
            assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-a", "b=c"), "{text}");
        }
        for text in ["", "novalue", "a b: c", "a: \u{1}"] {
            assert!(parse_header(text).is_err(), "{text:?}");
        }
    }
}
