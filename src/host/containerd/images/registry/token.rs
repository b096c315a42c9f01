//! Tokens: a Bearer challenge and the credentials -> a token of the token server that it names.
//!
//! ```text
//! nothing, or a name and a password -> GET realm?service=..&scope=..   (docker's own way)
//!                                      POST, grant_type=password       (where GET is not served)
//! an identity token                 -> POST, grant_type=refresh_token  (OAuth 2, as docker's distribution has it)
//! ```

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::Instant;

use super::challenge::TokenRealm;
use super::refusal::{Refusal, place, read_body};
use crate::host::containerd::images::credentials::Credentials;
use crate::host::containerd::images::fault::Fault;

/// What we call ourselves towards a token server.
const CLIENT: &str = "actord";

/// How long a token is good whose server does not say it: the least that the protocol lets it be.
const DEFAULT_EXPIRY: Duration = Duration::from_secs(60);

/// How long before its end a token counts as expired, so that it does not end on its way.
const EXPIRY_MARGIN: Duration = Duration::from_secs(5);

/// The longest that a token counts as good, in seconds: longer than any pull.
const MAX_EXPIRY: u64 = 24 * 3600;

/// A token, and when it is void.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) expires: Instant,
}

/// A token server, asked for one repository.
pub(crate) struct TokenServer<'a> {
    pub(crate) client: &'a Client,
    /// Its address, with the query that it may have already.
    pub(crate) address: &'a Url,
    pub(crate) realm: &'a TokenRealm,
    /// What a challenge without a scope asks for: `repository:team/fn:pull`.
    pub(crate) default_scope: &'a str,
}

impl TokenServer<'_> {
    /// Asks for a token.
    pub(crate) async fn grant(&self, credentials: &Credentials) -> Result<Token, Fault> {
        let answer = match credentials {
            Credentials::Identity(token) => {
                self.post(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await?
            }
            Credentials::Basic(user, password) => {
                let answer = self.get(Some((user, password))).await?;
                match serves(answer.status()) {
                    true => answer,
                    false => {
                        self.post(&[("grant_type", "password"), ("username", user), ("password", password)]).await?
                    }
                }
            }
            Credentials::Anonymous | Credentials::Bearer(_) => self.get(None).await?,
        };
        if !answer.status().is_success() {
            return Err(self.refused(&Refusal::read(answer).await, credentials));
        }
        let body = read_body(answer).await.map_err(|fault| fault.of(&self.name()))?;
        read(&body).ok_or_else(|| Fault::Permanent(format!("{} answered without a token", self.name())))
    }

    async fn get(&self, basic: Option<(&String, &String)>) -> Result<Response, Fault> {
        let mut address = self.address.clone();
        {
            let mut query = address.query_pairs_mut();
            if !self.realm.service.is_empty() {
                query.append_pair("service", &self.realm.service);
            }
            for scope in self.scope().split_whitespace() {
                query.append_pair("scope", scope);
            }
            query.append_pair("client_id", CLIENT);
            if let Some((user, _)) = basic {
                query.append_pair("account", user);
            }
        }
        let request = self.client.get(address);
        self.send(match basic {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        })
        .await
    }

    async fn post(&self, grant: &[(&str, &str)]) -> Result<Response, Fault> {
        let mut form = vec![("client_id", CLIENT), ("scope", self.scope())];
        if !self.realm.service.is_empty() {
            form.push(("service", &self.realm.service));
        }
        form.extend_from_slice(grant);
        self.send(self.client.post(self.address.clone()).form(&form)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        request.send().await.map_err(|error| Fault::of_request(&error).of(&self.name()))
    }

    /// What the challenge asks for, or else what a pull needs.
    fn scope(&self) -> &str {
        if self.realm.scope.is_empty() { self.default_scope } else { &self.realm.scope }
    }

    fn refused(&self, refusal: &Refusal, credentials: &Credentials) -> Fault {
        let status = refusal.status;
        match credentials {
            Credentials::Identity(_) if !serves(status) => Fault::Permanent(format!(
                "{} takes no identity tokens (it answered {status}): log in with a name and an access token",
                self.name()
            )),
            // RFC 6749, section 5.2: a grant that is void is a 400.
            Credentials::Identity(_) if status == StatusCode::BAD_REQUEST => Fault::denied(),
            _ if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Fault::denied(),
            _ => refusal.fault(&self.name()),
        }
    }

    fn name(&self) -> String {
        format!("its token server {}", place(self.address))
    }
}

/// Whether a token server knows this way of asking.
fn serves(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// Reads a token server's answer. It calls the token by one name, the other or both, and may say how many seconds it is
/// good for, as a number or a text.
fn read(body: &[u8]) -> Option<Token> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let text =
        ["token", "access_token"].iter().filter_map(|name| answer[name].as_str()).find(|text| !text.is_empty())?;
    // A token that can't be in a header would only be told of as a broken client.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let seconds = &answer["expires_in"];
    let seconds = seconds.as_u64().or_else(|| seconds.as_str()?.trim().parse().ok()).filter(|seconds| *seconds > 0);
    let good_for = seconds.map_or(DEFAULT_EXPIRY, |seconds| Duration::from_secs(seconds.min(MAX_EXPIRY)));
    Some(Token { text: text.to_owned(), expires: Instant::now() + good_for - EXPIRY_MARGIN.min(good_for / 2) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_read_in_every_form() {
        for (answer, expected) in [
            (r#"{"token":"t"}"#, Some(("t", 55))),
            (r#"{"access_token":"t"}"#, Some(("t", 55))),
            (r#"{"token":"","access_token":"t","expires_in":300}"#, Some(("t", 295))),
            (r#"{"token":"t","access_token":"other","expires_in":"300","issued_at":"x"}"#, Some(("t", 295))),
            (r#"{"token":"t","access_token":null,"expires_in":null}"#, Some(("t", 55))),
            (r#"{"token":"t","expires_in":0}"#, Some(("t", 55))),
            (r#"{"token":"t","expires_in":-1}"#, Some(("t", 55))),
            (r#"{"token":"t","expires_in":18446744073709551615}"#, Some(("t", MAX_EXPIRY - 5))),
            (r#"{"token":"t","expires_in":4}"#, Some(("t", 2))),
            (r#"{"token":"a\nb"}"#, None),
            (r#"{"token":""}"#, None),
            (r#"{"token":7}"#, None),
            ("{}", None),
            ("[]", None),
            ("<html>", None),
            ("", None),
        ] {
            let token = read(answer.as_bytes());
            let seen = token.as_ref().map(|token| (token.text.as_str(), (token.expires - Instant::now()).as_secs()));
            assert_eq!(seen, expected, "{answer}");
        }
    }
}
