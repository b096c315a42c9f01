//! Sends callbacks to other servers.
//!
//! ```text
//! url -> which host? -> its client -> resolver: addresses that callbacks may go to -> connect -> POST -> status
//! ```
//! The address that is judged is the one that is connected to: names are looked up here, and what may not be called is not among
//! the addresses that the client gets. No proxy of the machine's is asked (it would keep no such rule), and no redirect followed.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};
use tokio::time::{Instant, timeout};

use crate::queue::callback::{self, Rules, Target};
use crate::queue::retry::Came;
use crate::queue::seam::{Delivered, Post};

/// The longest time of one try, to the last byte of the answer that is read.
const WITHIN: Duration = Duration::from_secs(30);

/// So much of an answer is read, so that its connection can be used again; nobody looks at it.
const READ: usize = 64 << 10;

/// So many hosts' clients are kept, each with its connections and the authorities of this machine.
const CLIENTS: usize = 16;

/// A client that was not needed for so long goes, and its connections with it.
const UNUSED: Duration = Duration::from_secs(90);

/// Where a client leads to: whether by TLS, the host and the port.
type Place = (bool, String, u16);

/// See the module.
pub(super) struct Callbacks {
    rules: Arc<Rules>,
    clients: Mutex<HashMap<Place, (Client, Instant)>>,
}

/// Why no address of a host is called.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// Looks the name of one host up, for connections to one port.
struct Resolver {
    rules: Arc<Rules>,
    port: u16,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, port) = (self.rules.clone(), self.port);
        Box::pin(async move {
            let server = name.as_str().trim_end_matches('.').to_owned();
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in tokio::net::lookup_host((name.as_str(), port)).await? {
                match callback::may(address, &server, &rules) {
                    Ok(()) => allowed.push(address),
                    Err(why) => refused = Some(why),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(Refused(why).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

impl Callbacks {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules: Arc::new(rules), clients: Mutex::default() }
    }

    /// One try.
    pub(super) async fn deliver(&self, post: &Post) -> Delivered {
        let since = Instant::now();
        let place = match self.place(&post.url) {
            Ok(place) => place,
            Err(reason) => return Delivered::Refused { reason },
        };
        let server = format!("{}:{}", place.1, place.2);
        let came = match timeout(WITHIN, self.send(place, post)).await {
            Ok(Ok(came)) => came,
            Ok(Err(error)) => match refusal(&*error) {
                Some(reason) => return Delivered::Refused { reason },
                None => {
                    Came::Internal { status: 502, retry_after: None, reason: format!("{server}: {}", cause(&*error)) }
                }
            },
            Err(_) => {
                let reason = format!("{server} did not answer the callback within {WITHIN:?}");
                Came::Internal { status: 504, retry_after: None, reason }
            }
        };
        Delivered::Came { came, took: since.elapsed() }
    }

    /// Where a URL leads.
    fn place(&self, url: &str) -> Result<Place, String> {
        match callback::read(url, &self.rules)? {
            Target::Elsewhere { server, port, literal, url } => {
                if let Some(literal) = literal {
                    callback::may(SocketAddr::new(literal, port), &server, &self.rules)?;
                }
                Ok((url.starts_with("https:"), server, port))
            }
            Target::Function { .. } | Target::Queued { .. } => {
                Err("it is this actord's, and goes by no connection".to_owned())
            }
        }
    }

    async fn send(&self, place: Place, post: &Post) -> Result<Came, Box<dyn Error + Send + Sync>> {
        let client = self.client(place)?;
        let request = client.post(&post.url).headers(headers(&post.head)).body(post.body.clone());
        let mut answer = request.send().await?;
        let came = Came::Answered { status: answer.status().as_u16(), retry_after: retry_after(answer.headers()) };
        read_some(&mut answer).await;
        Ok(came)
    }

    /// The client for this place.
    fn client(&self, place: Place) -> Result<Client, reqwest::Error> {
        let now = Instant::now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((client, used)) = clients.get_mut(&place) {
            *used = now;
            return Ok(client.clone());
        }
        clients.retain(|_, (_, used)| now.duration_since(*used) < UNUSED);
        if clients.len() >= CLIENTS
            && let Some(oldest) = clients.iter().min_by_key(|(_, (_, used))| *used).map(|(place, _)| place.clone())
        {
            clients.remove(&oldest);
        }
        let (is_tls, _, port) = place;
        let client = builder(is_tls).dns_resolver(Arc::new(Resolver { rules: self.rules.clone(), port })).build()?;
        clients.insert(place, (client.clone(), now));
        Ok(client)
    }
}

fn builder(is_tls: bool) -> ClientBuilder {
    static CRYPTOGRAPHY: Once = Once::new();
    // An error means that a provider was installed before, which is as good.
    CRYPTOGRAPHY.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let builder = Client::builder()
        .user_agent(concat!("actord/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .pool_idle_timeout(UNUSED);
    // Without TLS the machine need not have any certificates.
    if is_tls { builder } else { builder.tls_certs_only([]) }
}

/// The headers that are sent; how the body is framed is the client's to say.
fn headers(told: &[(String, Vec<u8>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in told {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
            && ![CONTENT_LENGTH, HOST, TRANSFER_ENCODING].contains(&name)
        {
            headers.append(name, value);
        }
    }
    headers
}

async fn read_some(answer: &mut Response) {
    let mut read = 0;
    while read < READ {
        match answer.chunk().await {
            Ok(Some(piece)) => read += piece.len(),
            // What it says after its status changes nothing.
            Ok(None) | Err(_) => return,
        }
    }
}

/// How long an answer asks to wait, where it says so in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u32>().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Why it may not go there, if that is what went wrong.
fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(Refused(why)) = error.downcast_ref() {
            return Some(why.clone());
        }
        at = error.source();
    }
    None
}

/// The innermost reason: the layers above it only say that there is one.
fn cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
