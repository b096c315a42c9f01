//! A registry that misbehaves: a proxy before the real one that cuts, stalls, falsifies and counts.

use std::sync::{Arc, Mutex};
use tokio::time::Instant;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::{StreamExt as _, stream};

use crate::registry::http_client;

/// What to do with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Passes it on.
    Pass,
    /// Passes it on without its range, as a registry does that knows none.
    PassWhole,
    /// Ends the connection after that many bytes of the body.
    CutAfter(usize),
    /// Both.
    CutWholeAfter(usize),
    /// Says nothing more after that many bytes of the body.
    StallAfter(usize),
    /// Answers this instead.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
}

/// A request that came, and how many bytes of body were sent in answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
    pub(crate) sent: usize,
    pub(crate) at: Option<Instant>,
}

type Rule = dyn Fn(&Seen, usize) -> Act + Send + Sync;

struct State {
    upstream: String,
    rule: Box<Rule>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: actix_web::dev::ServerHandle,
}

impl Proxy {
    /// Starts a proxy before `upstream`. `rule` gets a request and how many came for the same path before it.
    pub(crate) fn start(upstream: &str, rule: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let state = Data::new(State { upstream: upstream.to_owned(), rule: Box::new(rule), seen: seen.clone() });
        let (started, start) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server =
                    HttpServer::new(move || App::new().app_data(state.clone()).default_service(web::to(answer)))
                        .workers(1)
                        .disable_signals()
                        .bind("127.0.0.1:0")
                        .unwrap();
                let address = server.addrs()[0].to_string();
                let server = server.run();
                started.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, server) = start.recv().unwrap();
        Self { address, seen, server }
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests for a blob or manifest.
    pub(crate) fn requests_for(&self, part: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path.contains(part)).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn answer(request: HttpRequest, body: Bytes, state: Data<State>) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let seen = Seen {
        method: request.method().to_string(),
        host: header("host").unwrap_or_default(),
        path: request.uri().to_string(),
        range: header("range"),
        authorization: header("authorization"),
        body: String::from_utf8_lossy(&body).into_owned(),
        sent: 0,
        at: Some(Instant::now()),
    };
    let (before, number) = {
        let mut all = state.seen.lock().unwrap();
        let before = all.iter().filter(|other| other.path == seen.path).count();
        all.push(seen.clone());
        (before, all.len() - 1)
    };
    let act = (state.rule)(&seen, before);
    if let Act::Answer(status, headers, body) = act {
        let mut answer = HttpResponse::build(StatusCode::from_u16(status).unwrap());
        for (name, value) in headers {
            answer.append_header((name, value));
        }
        return answer.body(body);
    }
    let mut forward = http_client().get(format!("http://{}{}", state.upstream, seen.path));
    for name in ["accept", "range", "authorization"] {
        let dropped = name == "range" && matches!(act, Act::PassWhole | Act::CutWholeAfter(_));
        if let Some(value) = header(name).filter(|_| !dropped) {
            forward = forward.header(name, value);
        }
    }
    let upstream = forward.send().await.unwrap();
    let mut answer = HttpResponse::build(StatusCode::from_u16(upstream.status().as_u16()).unwrap());
    for name in ["content-type", "docker-content-digest", "www-authenticate", "content-range"] {
        if let Some(value) = upstream.headers().get(name) {
            answer.insert_header((name, value.to_str().unwrap()));
        }
    }
    let length = upstream.content_length().unwrap();
    let body = upstream.bytes().await.unwrap();
    let (limit, end) = match act {
        Act::CutAfter(limit) | Act::CutWholeAfter(limit) => (limit, Some(true)),
        Act::StallAfter(limit) => (limit, Some(false)),
        _ => (usize::MAX, None),
    };
    let body = body.slice(..body.len().min(limit));
    let log = state.seen.clone();
    let chunks: Vec<_> = body.chunks(16 << 10).map(Bytes::copy_from_slice).collect();
    let sent = stream::iter(chunks).map(move |chunk| {
        log.lock().unwrap()[number].sent += chunk.len();
        Ok(chunk)
    });
    let tail = stream::once(async move {
        match end {
            Some(true) => Err(std::io::Error::other("cut")),
            Some(false) => std::future::pending().await,
            None => Ok(Bytes::new()),
        }
    });
    let tail = tail.filter(|end| std::future::ready(!matches!(end, Ok(bytes) if bytes.is_empty())));
    answer.no_chunking(length).streaming(sent.chain(tail))
}
