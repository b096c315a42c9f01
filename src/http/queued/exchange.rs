//! One try of a call that was kept: by the proxy, as any call.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use super::stored;
use crate::http::proxy::{NoAnswer, Proxy, StoredAnswer, StoredCall};
use crate::queue::Kept;
use crate::queue::retry::{Came, Hold};
use crate::queue::seam::{Reply, Sending};

/// Sends a call to its function, and says what came of it.
pub(super) async fn exchange(proxy: &Proxy, call: &Sending) -> Reply {
    let since = Instant::now();
    let Some(request) = stored::request(&call.method, &call.head, call.body.len()) else {
        let reason = "its record is damaged".to_owned();
        let came = Came::Internal { status: 400, retry_after: None, reason };
        return Reply { came, answer: None, took: Duration::ZERO, held: None };
    };
    let (id, function) = (call.id.to_string(), call.function.to_string());
    let sent = proxy.call_stored(StoredCall {
        id: &id,
        function: &function,
        path_and_query: &call.path_and_query,
        request: &request,
        body: call.body.clone(),
        keep: call.keep,
    });
    let sent = sent.await;
    let took = since.elapsed();
    match sent {
        Ok(StoredAnswer { status, headers, body, total, lease }) => Reply {
            came: Came::Answered { status: status.as_u16(), retry_after: retry_after(&headers) },
            answer: Some(Kept { status: status.as_u16(), head: head(&headers), body, total }),
            took,
            held: Some(Box::new(lease)),
        },
        Err(why) => Reply { came: told(why), answer: None, took, held: None },
    }
}

fn told(why: NoAnswer) -> Came {
    match why {
        NoAnswer::Gone => Came::NotTried(Hold::Gone),
        NoAnswer::KeptDown => Came::NotTried(Hold::KeptDown),
        NoAnswer::Failed { status, reason, retry_after } => {
            Came::Internal { status: status.as_u16(), retry_after, reason }
        }
    }
}

/// How long an answer asks to wait, where it says so in seconds. A date would be one by the function's clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u32>().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

fn head(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned())).collect()
}
