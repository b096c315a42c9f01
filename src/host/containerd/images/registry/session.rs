//! A session with a registry: requests, and the logging in that it asks for on the way.
//!
//! ```text
//! GET -> 401 with challenges -> the strongest one that can be served -> a token, or name and password -> GET again, once
//! ```
//!
//! A registry may ask for it at any request: at manifests and blobs only, and anew when a token has expired in a long
//! pull. Credentials are for the registry and for the token server that it names, never for a server that it only sends
//! us on to: what keeps its blobs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::Instant;

use super::challenge::{self, Challenge, TokenRealm};
use super::refusal::{Refusal, place};
use super::token::TokenServer;
use crate::host::containerd::images::credentials::Credentials;
use crate::host::containerd::images::fault::Fault;
use crate::host::containerd::images::reference::speaks_plain_http;

/// See the module.
pub(crate) struct Session {
    client: Client,
    /// The registry's address: `https://registry.lan:5000/`.
    base: Url,
    credentials: Credentials,
    /// What a token has to allow where the challenge does not say: `repository:team/fn:pull`.
    scope: String,
    /// Registries to speak plain http to.
    insecure: Vec<String>,
    /// How we are logged in.
    held: Mutex<Option<Arc<Authorization>>>,
    /// Held while a token is asked for: requests that need one at once ask once.
    logging_in: tokio::sync::Mutex<()>,
    /// Whether the registry ever answered.
    answered: AtomicBool,
}

/// What goes with each request once we are logged in.
struct Authorization {
    value: HeaderValue,
    /// When it is void.
    expires: Option<Instant>,
}

impl Session {
    /// A session that sends nothing yet.
    pub(crate) fn new(
        client: Client,
        base: Url,
        credentials: Credentials,
        scope: String,
        insecure: Vec<String>,
    ) -> Self {
        let held = match &credentials {
            // Meant for the registry itself, so nothing has to be exchanged for it.
            Credentials::Bearer(token) => Authorization::new(&format!("Bearer {token}"), None),
            _ => None,
        };
        let (held, logging_in, answered) = (Mutex::new(held), tokio::sync::Mutex::default(), AtomicBool::new(false));
        Self { client, base, credentials, scope, insecure, held, logging_in, answered }
    }

    /// What is known of the registry's user.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Whether the registry ever answered.
    pub(crate) fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Asks for what is at a path below the registry's address: `v2/team/fn/manifests/v1`. An answer is a success.
    pub(crate) async fn get(&self, path: &str, fields: &HeaderMap) -> Result<Response, Fault> {
        let sent = self.held();
        let answer = self.send(path, fields, sent.as_deref()).await?;
        let mut challenges = match answer.status() {
            StatusCode::UNAUTHORIZED if self.is_ours(&answer) => challenges(&answer),
            _ => Vec::new(),
        };
        if challenges.is_empty() && sent.is_none() && self.may_hide(&answer) {
            let root = self.send("v2/", &HeaderMap::new(), None).await?;
            if root.status() == StatusCode::UNAUTHORIZED && self.is_ours(&root) {
                challenges = self::challenges(&root);
            }
        }
        if challenges.is_empty() {
            return self.succeeded(answer).await;
        }
        let granted = self.log_in(&challenges, sent.as_ref()).await?;
        let answer = self.send(path, fields, Some(&granted)).await?;
        self.succeeded(answer).await
    }

    async fn send(&self, path: &str, fields: &HeaderMap, with: Option<&Authorization>) -> Result<Response, Fault> {
        let address = self.base.join(path).map_err(|error| Fault::Permanent(format!("no address: {path}: {error}")))?;
        let mut request = self.client.get(address).headers(fields.clone());
        if let Some(authorization) = with {
            request = request.header(AUTHORIZATION, authorization.value.clone());
        }
        let answer = request.send().await.map_err(|error| Fault::of_request(&error))?;
        self.answered.store(true, Ordering::Relaxed);
        Ok(answer)
    }

    /// Whether an answer may be one for strangers. Some registries hide from them what they have, and say only at their
    /// root how to log in.
    fn may_hide(&self, answer: &Response) -> bool {
        let hides = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&answer.status());
        hides && self.is_ours(answer) && self.credentials != Credentials::Anonymous
    }

    async fn succeeded(&self, answer: Response) -> Result<Response, Fault> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (is_ours, elsewhere) = (self.is_ours(&answer), place(answer.url()));
        let refusal = Refusal::read(answer).await;
        Err(match is_ours {
            true => refusal.fault_of_registry(),
            false => refusal.fault(&format!("{elsewhere}, where it sent us on to,")),
        })
    }

    /// Whether an answer is the registry's own, not one of a server that it sent us on to.
    fn is_ours(&self, answer: &Response) -> bool {
        answer.url().origin() == self.base.origin()
    }

    /// How we are logged in, if we are and it is not void yet.
    fn held(&self) -> Option<Arc<Authorization>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().filter(|held| held.expires.is_none_or(|expires| Instant::now() < expires))
    }

    /// Meets the strongest of the challenges that can be. `refused` is what the registry got before it asked.
    async fn log_in(
        &self,
        challenges: &[Challenge],
        refused: Option<&Arc<Authorization>>,
    ) -> Result<Arc<Authorization>, Fault> {
        let _alone = self.logging_in.lock().await;
        // Another request may have seen to it meanwhile.
        if let Some(held) = self.held()
            && refused.is_none_or(|refused| !Arc::ptr_eq(refused, &held))
        {
            return Ok(held);
        }
        let mut failed = None;
        for challenge in challenges {
            match self.meet(challenge, refused).await {
                Ok(granted) => {
                    *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(granted.clone());
                    return Ok(granted);
                }
                // The next one is weaker, and may do.
                Err(fault @ (Fault::Denied(_) | Fault::Permanent(_))) => failed = failed.or(Some(fault)),
                Err(fault) => return Err(fault),
            }
        }
        Err(failed.unwrap_or_else(Fault::denied))
    }

    async fn meet(
        &self,
        challenge: &Challenge,
        refused: Option<&Arc<Authorization>>,
    ) -> Result<Arc<Authorization>, Fault> {
        let (value, expires) = match (challenge, &self.credentials) {
            // It is the registry's own, and the registry refused it.
            (_, Credentials::Bearer(_)) => return Err(Fault::denied()),
            (Challenge::Bearer(realm), credentials) => {
                let address = self.token_server(realm)?;
                let server = TokenServer { client: &self.client, address: &address, realm, default_scope: &self.scope };
                let token = server.grant(credentials).await?;
                (format!("Bearer {}", token.text), Some(token.expires))
            }
            (Challenge::Basic, Credentials::Basic(user, password)) => (basic(user, password), None),
            (Challenge::Basic, Credentials::Identity(_)) => {
                return Err(Fault::Permanent(
                    "an identity token is configured, but it takes no tokens: log in with a name and a password"
                        .to_owned(),
                ));
            }
            (Challenge::Basic, Credentials::Anonymous) => return Err(Fault::denied()),
            (Challenge::Other(scheme), _) => {
                return Err(Fault::Permanent(format!(
                    "it wants to be logged in to by the scheme {scheme}: only Basic and Bearer are known here"
                )));
            }
        };
        let granted = Authorization::new(&value, expires).ok_or_else(Fault::denied)?;
        match refused {
            // The same name and password again would end the same.
            Some(refused) if refused.value == granted.value => Err(Fault::denied()),
            _ => Ok(granted),
        }
    }

    /// The address of the token server, if it may know the credentials.
    fn token_server(&self, realm: &TokenRealm) -> Result<Url, Fault> {
        let address = self.base.join(&realm.realm).ok().filter(Url::has_host);
        let address =
            address.ok_or_else(|| Fault::Permanent(format!("its token server {:?} is no address", realm.realm)))?;
        let is_plain = address.scheme() != "https";
        if is_plain && self.credentials != Credentials::Anonymous {
            let place = place(&address);
            // Who trusts the line to the registry with them has decided on that already.
            if self.base.scheme() == "https" && !speaks_plain_http(&place, &self.insecure) {
                return Err(Fault::Permanent(format!(
                    "its token server {place} speaks plain http, so it gets no credentials: list it under the insecure registries if it may have them"
                )));
            }
        }
        Ok(address)
    }
}

impl Authorization {
    fn new(value: &str, expires: Option<Instant>) -> Option<Arc<Self>> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some(Arc::new(Self { value, expires }))
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn challenges(answer: &Response) -> Vec<Challenge> {
    let fields = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    let fields: Vec<_> = fields.map(|field| String::from_utf8_lossy(field.as_bytes()).into_owned()).collect();
    challenge::read(fields.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(base: &str, credentials: Credentials) -> Session {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let insecure = vec!["plain.lan".to_owned()];
        Session::new(Client::new(), Url::parse(base).unwrap(), credentials, String::new(), insecure)
    }

    #[tokio::test]
    async fn credentials_are_not_sent_in_the_clear_where_the_registry_is_not() {
        let basic = || Credentials::Basic("me".to_owned(), "secret".to_owned());
        for (base, credentials, realm, expected) in [
            ("https://r.lan/", basic(), "https://auth.lan/token", Ok("https://auth.lan/token")),
            ("https://r.lan/", basic(), "/token?a=b", Ok("https://r.lan/token?a=b")),
            ("https://r.lan/", basic(), "http://auth.lan/token", Err("auth.lan speaks plain http")),
            ("https://r.lan/", basic(), "http://plain.lan/token", Ok("http://plain.lan/token")),
            ("https://r.lan/", Credentials::Anonymous, "http://auth.lan/token", Ok("http://auth.lan/token")),
            ("http://r.lan/", basic(), "http://auth.lan/token", Ok("http://auth.lan/token")),
            ("https://r.lan/", basic(), "http://[", Err("is no address")),
            ("https://r.lan/", basic(), "mailto:me", Err("is no address")),
        ] {
            let realm = TokenRealm { realm: realm.to_owned(), ..TokenRealm::default() };
            match (session(base, credentials).token_server(&realm), expected) {
                (Ok(address), Ok(expected)) => assert_eq!(address.as_str(), expected),
                (Err(Fault::Permanent(why)), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (found, _) => panic!("{} at {base}: {found:?}", realm.realm),
            }
        }
    }
}
