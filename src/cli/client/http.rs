//! Requests to the gateway, and what goes wrong with them in words.

use std::error::Error as _;
use std::sync::Once;
use std::time::Duration;

use reqwest::header::{self, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::login::Login;
use super::{ClientError, GatewayArgs, environment, own, url};

/// Longer than actord takes to answer a deployment that waits for its instance.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(75);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What is said of credentials that are not known: the way to others is ours to tell.
const REFUSED: &str = "invalid credentials";
/// The longest error text that is shown.
const TEXT_MAX: usize = 4096;

/// The way to one gateway, with its credentials.
#[derive(Clone)]
pub(in crate::cli) struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
    credentials_from: String,
}

impl Client {
    /// `from_stack` is the gateway that a stack file names.
    pub(in crate::cli) fn new(args: &GatewayArgs, from_stack: Option<&str>) -> Result<Self, ClientError> {
        let environment = environment::gateway();
        let mut base = url::parse(url::choose(
            args.gateway.as_deref(),
            from_stack,
            environment.as_deref(),
            args.tls_certificate.is_some(),
        ))?;
        let login = Login::find(&base, &args.data_dir, environment::openfaas_config().as_deref())?;
        // They were read; from here on they would only be shown.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        let http = http_client(&base, args).map_err(|error| {
            ClientError::Local(format!("can't begin to speak {}: {}", base.scheme(), cause(&error)))
        })?;
        Ok(Self { http, base, authorization: login.header, credentials_from: login.from })
    }

    /// The URL of a function, for people.
    pub(in crate::cli) fn function_url(&self, id: &crate::function::FunctionId) -> String {
        self.url(&["function", &id.to_string()], &[]).to_string()
    }

    /// The gateway's URL, for people.
    pub(in crate::cli) fn gateway(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// A URL below the gateway's; each segment is escaped.
    fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// A request that carries the credentials.
    pub(in crate::cli) fn request(&self, method: Method, segments: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let request = self.open_request(method, segments, query);
        match &self.authorization {
            Some(value) => request.header(header::AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// A request for a function: those are open to all, and are not told the gateway's password.
    pub(in crate::cli) fn open_request(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        self.http.request(method, self.url(segments, query))
    }

    /// Sends a request and returns its answer, whatever it is.
    pub(in crate::cli) async fn answer(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|error| self.broken(&error))
    }

    /// Sends a request; anything but a 2xx is an error.
    pub(in crate::cli) async fn success(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = self.answer(request).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(answer).await) }
    }

    /// GET of JSON.
    pub(in crate::cli) async fn get<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, segments, query)).await
    }

    /// Sends a request whose answer is JSON.
    pub(in crate::cli) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let answer = self.success(request.timeout(ANSWER_TIMEOUT)).await?;
        let path = answer.url().path().to_owned();
        let body = answer.bytes().await.map_err(|error| self.broken(&error))?;
        serde_json::from_slice(&body).map_err(|error| {
            ClientError::Unreachable(format!(
                "{} answered {path} with something else than expected: {error}",
                self.gateway()
            ))
        })
    }

    /// Sends JSON; the answer's body says nothing.
    pub(in crate::cli) async fn send(
        &self,
        method: Method,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<(), ClientError> {
        let request = self.request(method, segments, &[]).timeout(ANSWER_TIMEOUT).json(body);
        self.success(request).await.map(drop)
    }

    /// Sends a request without a body; the answer's body says nothing.
    pub(in crate::cli) async fn ask(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(), ClientError> {
        self.success(self.request(method, segments, query).timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    /// An answer that is not success, in words.
    pub(in crate::cli) async fn refusal(&self, answer: Response) -> ClientError {
        let status = answer.status();
        let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let path = answer.url().path().to_owned();
        let body = answer.text().await.unwrap_or_default();
        let said: String = body.trim().chars().take(TEXT_MAX).collect();
        let gateway = self.gateway();
        let text = match (status, location) {
            (StatusCode::UNAUTHORIZED, _) if said.is_empty() || said == REFUSED => self.unauthorised(),
            (_, Some(location)) if status.is_redirection() => {
                format!("{gateway} redirects to {location}: give the gateway's new URL with --gateway")
            }
            (StatusCode::NOT_FOUND, _) if said == "404 page not found" => format!("{gateway} has no {path}"),
            _ if said.is_empty() => format!("{gateway} answered {status}"),
            _ => said,
        };
        ClientError::Answer { status: status.as_u16(), text }
    }

    fn unauthorised(&self) -> String {
        let gateway = self.gateway();
        let had = match self.authorization {
            Some(_) => format!("it refused the credentials from {}", self.credentials_from),
            None => format!("it wants credentials, and {} has none for it", self.credentials_from),
        };
        format!(
            "{gateway}: {had}. The password is on the gateway's machine in <data-dir>/auth/basic-auth-password, by default \
             under /var/lib/actord: run this there as root, or log in with `faas-cli login --gateway {gateway} \
             --password-stdin`"
        )
    }

    /// What came between us and the answer.
    pub(in crate::cli) fn broken(&self, error: &reqwest::Error) -> ClientError {
        let (gateway, cause) = (self.gateway(), cause(error));
        ClientError::Unreachable(if error.is_connect() {
            format!(
                "can't reach the gateway at {gateway}: {cause}. Is actord running there? --gateway names another one"
            )
        } else if error.is_timeout() {
            format!("{gateway} did not answer in time: what was asked for may still happen, look with `actord ls`")
        } else {
            format!("the connection to {gateway} broke: {cause}")
        })
    }
}

fn http_client(base: &Url, args: &GatewayArgs) -> reqwest::Result<reqwest::Client> {
    static CRYPTOGRAPHY: Once = Once::new();
    // An error means that a provider was installed before, which is as good.
    CRYPTOGRAPHY.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let builder = reqwest::Client::builder()
        .user_agent(concat!("actord/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT);
    // A proxy is a way to other machines.
    let builder = if url::is_loopback(base) { builder.no_proxy() } else { builder };
    match base.scheme() {
        "https" => match args.tls_certificate.as_deref().filter(|_| url::is_loopback(base)).and_then(own::trust) {
            // Whatever name it is for: the one of this machine to others is not that of its loopback.
            Some(own) if !args.tls_no_verify => builder.tls_backend_preconfigured(own).build(),
            _ => builder.tls_danger_accept_invalid_certs(args.tls_no_verify).build(),
        },
        // Without TLS the machine need not have any certificates.
        _ => builder.tls_certs_only([]).build(),
    }
}

/// The innermost reason: the layers above it only say that there is one.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match error.source() {
        Some(_) => innermost.to_string(),
        None => error.to_string(),
    }
}
