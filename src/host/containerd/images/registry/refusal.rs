//! Refusals: an answer that is no success -> what it says, and what that means for the next attempt.

use std::time::{Duration, SystemTime};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use super::retry_after;
use crate::host::containerd::images::fault::Fault;

/// How much of an answer's words is read, in bytes, and how much of them is told, in characters.
const READ_LIMIT: usize = 16 << 10;
const TOLD_LIMIT: usize = 200;

/// What stands for the words of a web page.
const PAGE: &str = "a web page";

/// What the body of an answer may have at most, in bytes, where it is no document: a token.
const BODY_LIMIT: usize = 1 << 20;

/// An answer that is no success.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// How long it asks to be left alone.
    wait: Option<Duration>,
    /// The error codes of the distribution protocol in it.
    codes: Vec<String>,
    /// Its words.
    message: String,
}

impl Refusal {
    /// Reads what there is. What can't be read has no words.
    pub(crate) async fn read(mut answer: Response) -> Self {
        let (status, wait) = (answer.status(), retry_after::read(answer.headers(), SystemTime::now()));
        let is_page = is_web_page(&answer);
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > READ_LIMIT {
                break;
            }
        }
        let (codes, mut message) = words(&body);
        if is_page {
            message = PAGE.to_owned();
        }
        Self { status, wait, codes, message }
    }

    /// What a refusal by `who` means for the next attempt. What its refusal of credentials means is the caller's.
    pub(crate) fn fault(&self, who: &str) -> Fault {
        let (status, message) = (self.status.as_u16(), &self.message);
        let why = match message.as_str() {
            "" => format!("{who} answered {status}"),
            message => format!("{who} answered {status}: {message}"),
        };
        let is_busy = matches!(status, 408 | 425 | 429 | 500..) || self.has_code(&["TOOMANYREQUESTS"]);
        match self.wait {
            Some(wait) if is_busy => Fault::Busy { why, wait },
            _ if is_busy => Fault::Transient(why),
            _ if status == 416 => Fault::NotInRange,
            _ => Fault::Permanent(why),
        }
    }

    /// What a registry's own refusal means.
    pub(crate) fn fault_of_registry(&self) -> Fault {
        let fault = self.fault("it");
        match (self.status.as_u16(), &fault) {
            (_, Fault::Busy { .. } | Fault::Transient(_)) => fault,
            _ if self.has_code(&["UNAUTHORIZED", "DENIED"]) => Fault::Denied(self.grounds()),
            (404 | 410, _) => Fault::NotFound,
            _ if self.has_code(&[
                "MANIFEST_UNKNOWN",
                "NAME_UNKNOWN",
                "NOT_FOUND",
                "BLOB_UNKNOWN",
                "MANIFEST_BLOB_UNKNOWN",
            ]) =>
            {
                Fault::NotFound
            }
            (401 | 403, _) => Fault::Denied(self.grounds()),
            _ => fault,
        }
    }

    /// Why it denies us, in its words: a quota, a policy, an archived project. A 401 only says that it wants to know us,
    /// and pages and documents are no words.
    fn grounds(&self) -> String {
        let is_told = self.status != StatusCode::UNAUTHORIZED && self.message != PAGE && !self.message.starts_with('<');
        if is_told { self.message.clone() } else { String::new() }
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|code| codes.contains(&code.as_str()))
    }
}

/// The whole body of an answer that is small.
pub(crate) async fn read_body(mut answer: Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| Fault::of_body(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_LIMIT {
            return Err(Fault::Permanent("its answer is too long".to_owned()));
        }
    }
    Ok(body)
}

/// Whether an answer is meant for a browser: a page to log in at, or of a server that is no registry.
pub(crate) fn is_web_page(answer: &Response) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/html")
}

/// A server as a person names it: `host`, or `host:port` where the port is not the scheme's own.
pub(crate) fn place(address: &Url) -> String {
    let host = address.host_str().unwrap_or_default();
    address.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The error codes and words of a body: those of the distribution protocol, else the beginning of its text.
fn words(body: &[u8]) -> (Vec<String>, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = parsed["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let codes = errors.iter().map(|error| text(&error["code"]).to_uppercase()).collect();
    let said: Vec<_> = errors.iter().map(|error| text(&error["message"])).filter(|text| !text.is_empty()).collect();
    let message = match said.is_empty() {
        false => said.join("; "),
        true => String::from_utf8_lossy(body).split_whitespace().collect::<Vec<_>>().join(" "),
    };
    (codes, message.chars().filter(|c| !c.is_control()).take(TOLD_LIMIT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, wait: Option<u64>, body: &str) -> Refusal {
        let (codes, message) = words(body.as_bytes());
        let status = StatusCode::from_u16(status).unwrap();
        Refusal { status, wait: wait.map(Duration::from_secs), codes, message }
    }

    #[test]
    fn what_a_registry_answers_is_told_apart_by_status_and_code() {
        let code = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"words"}}]}}"#);
        for (status, wait, body, expected) in [
            (429, None, String::new(), "Transient(\"it answered 429\")"),
            (500, None, "out of\n order".to_owned(), "Transient(\"it answered 500: out of order\")"),
            (503, None, code("UNKNOWN"), "Transient(\"it answered 503: words\")"),
            (503, None, code("DENIED"), "Transient(\"it answered 503: words\")"),
            (400, None, code("TOOMANYREQUESTS"), "Transient(\"it answered 400: words\")"),
            (429, Some(9), code("TOOMANYREQUESTS"), "Busy { why: \"it answered 429: words\", wait: 9s }"),
            (503, Some(9), String::new(), "Busy { why: \"it answered 503\", wait: 9s }"),
            (404, Some(9), String::new(), "NotFound"),
            (404, None, code("MANIFEST_UNKNOWN"), "NotFound"),
            (404, None, code("DENIED"), "Denied(\"words\")"),
            (400, None, code("NAME_UNKNOWN"), "NotFound"),
            (401, None, String::new(), "Denied(\"\")"),
            (401, None, code("UNAUTHORIZED"), "Denied(\"\")"),
            (403, None, code("DENIED"), "Denied(\"words\")"),
            (403, None, "blocked by policy".to_owned(), "Denied(\"blocked by policy\")"),
            (403, None, "<Error/>".to_owned(), "Denied(\"\")"),
            (400, None, code("unauthorized"), "Denied(\"words\")"),
            (
                400,
                None,
                r#"{"errors":null,"x":1}"#.to_owned(),
                "Permanent(\"it answered 400: {\\\"errors\\\":null,\\\"x\\\":1}\")",
            ),
            (400, None, code("NAME_INVALID"), "Permanent(\"it answered 400: words\")"),
        ] {
            assert_eq!(format!("{:?}", refusal(status, wait, &body).fault_of_registry()), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_words_of_an_answer_are_told_in_one_short_line() {
        let long = "x".repeat(1000);
        assert_eq!(words(long.as_bytes()).1.len(), TOLD_LIMIT);
        assert_eq!(words(b"a\r\n\tb\x1b[31m c").1, "a b[31m c");
        assert_eq!(words(&[0xff, b'a']).1, "\u{fffd}a");
    }
}
