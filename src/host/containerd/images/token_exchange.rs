//! Identity tokens: what `docker login` keeps for single sign-on is a refresh token, to be exchanged for each pull.

use std::time::Duration;

use http_auth::parser::ChallengeParser;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use super::fault::Fault;

/// A token server's answer. It calls the token by one name, the other or both.
#[derive(Deserialize)]
struct Granted {
    access_token: Option<String>,
    token: Option<String>,
}

/// An exchange of a refresh token for one that may pull a repository.
pub(crate) struct Exchange<'a> {
    /// The registry: `https://registry.lan/v2/`.
    pub(crate) base: &'a str,
    pub(crate) repository: &'a str,
    /// Who may vouch for it, beside those that the system trusts.
    pub(crate) authorities: &'a [CertificateDer<'static>],
    /// How long may pass without a byte.
    pub(crate) stall: Duration,
}

impl Exchange<'_> {
    /// Asks the registry where to exchange tokens, and exchanges `refresh` there.
    pub(crate) async fn run(&self, refresh: &str) -> Result<String, Fault> {
        let failed = |error: reqwest::Error| Fault::of_request(&error);
        let authorities = self.authorities.iter().map(|authority| reqwest::Certificate::from_der(authority));
        let authorities = authorities.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let client = reqwest::Client::builder().tls_certs_merge(authorities).read_timeout(self.stall);
        let client = client.build().map_err(failed)?;
        exchange(&client, self.base, self.repository, refresh).await
    }
}

async fn exchange(client: &reqwest::Client, base: &str, repository: &str, refresh: &str) -> Result<String, Fault> {
    let failed = |error: reqwest::Error| Fault::of_request(&error);
    let greeting = client.get(base).send().await.map_err(failed)?;
    let challenge = greeting.headers().get(reqwest::header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    let (realm, service) = challenge
        .and_then(token_server)
        .ok_or_else(|| Fault::Permanent("an identity token is configured, but it takes no tokens".to_owned()))?;
    let scope = format!("repository:{repository}:pull");
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "actord"),
        ("service", &service),
        ("scope", &scope),
        ("refresh_token", refresh),
    ];
    let answer = client.post(&realm).form(&form).send().await.map_err(failed)?;
    let status = answer.status();
    if status.is_client_error() {
        return Err(Fault::Denied);
    }
    if !status.is_success() {
        return Err(Fault::Transient(format!("its token server {realm} answered {status}")));
    }
    let granted: Granted = answer.json().await.map_err(failed)?;
    let token = granted.access_token.or(granted.token).filter(|token| !token.is_empty());
    token.ok_or_else(|| Fault::Permanent(format!("its token server {realm} granted no token")))
}

/// The token server and service that a `WWW-Authenticate: Bearer` header names.
fn token_server(header: &str) -> Option<(String, String)> {
    let challenge = ChallengeParser::new(header).flatten().find(|found| found.scheme.eq_ignore_ascii_case("bearer"))?;
    let param = |name: &str| {
        challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_unescaped())
    };
    Some((param("realm")?, param("service").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_server_is_read_from_the_challenge() {
        let header = r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="a:b""#;
        let found = token_server(header);
        assert_eq!(found, Some(("https://auth.example.com/token".to_owned(), "registry.example.com".to_owned())));
        assert_eq!(token_server(r#"Basic realm="x""#), None);
    }
}
