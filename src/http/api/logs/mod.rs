//! GET `/system/logs`: what a function's instances wrote, as lines of JSON.
//!
//! ```text
//! query -> LogQuery -> engine::Logs -> batches of lines -> portions of the answer, until the client leaves
//! ```

mod query;

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::timeout;

use self::query::Unreadable;
use super::error::HttpError;
use super::needs::enter;
use super::params::LogRequest;
use super::request::{Answer, Context};
use crate::engine::{LogLine, LogsRefused, LogsUnreadable};
use crate::function::FunctionId;
use crate::http::ApiFlavor;
use crate::wire::LogMessage;

/// Lines that are there come within this long, also on a disk that is busy.
const LAST_LINES: Duration = Duration::from_millis(250);

/// What a function's instances wrote
///
/// One JSON object a line, with `name`, `namespace`, `instance`, `timestamp` and `text`. Those who follow get what there is
/// and then what comes, for as long as the function is there. On the provider's listener a function that is not there has
/// no lines, and is no 404: a gateway would make of that a 501, as if there were no logs at all.
#[utoipa::path(get, path = "/system/logs", tag = "functions", params(LogRequest), responses(
    (status = 200, description = "The lines", content_type = "application/x-ndjson", body = String),
    (status = 404, description = "There is no such function", content_type = "text/plain", body = String),
    (status = 422, description = "The query can't be read", content_type = "text/plain", body = String),
    (status = 500, description = "The logs can't be read: actord's own log says why", content_type = "text/plain",
        body = String),
))]
pub(super) async fn logs(request: HttpRequest, (services, settings): Context) -> Answer {
    let unreadable = |_| HttpError::new(StatusCode::UNPROCESSABLE_ENTITY, "could not parse the log request");
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let pairs = pairs.map_err(|_| Unreadable).map_err(unreadable)?;
    let query = query::parse(&pairs, Timestamp::now()).map_err(unreadable)?;
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/x-ndjson");
    let mut unknown = |line: String| match settings.flavor {
        ApiFlavor::Public => Err(HttpError::new(StatusCode::NOT_FOUND, line)),
        ApiFlavor::Provider => Ok(answer.streaming(stream::empty::<Result<Bytes, LogsUnreadable>>())),
    };
    let Some(query) = query else {
        return unknown("no function can have that name: ask with ?name=NAME&namespace=NAMESPACE".to_owned());
    };
    enter(&request, &query.function.namespace)?;
    let (function, follow) = (query.function.clone(), query.follow);
    let lines = match services.logs.read(query).await {
        Ok(lines) => lines,
        Err(gone @ LogsRefused::NotFound(_)) => return unknown(format!("{gone}: it has no logs")),
        Err(LogsRefused::Unreadable(error)) => {
            tracing::warn!(%function, %error, "its logs could not be read");
            return Err(HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "function log request failed"));
        }
    };
    let draining = services.draining.clone();
    // A token may be revoked, and the password rotated, while somebody follows.
    let sent = request.headers().get(header::AUTHORIZATION).map(|sent| sent.as_bytes().to_owned());
    let is_known = move || sent.as_ref().is_some_and(|sent| settings.access.caller(sent).is_ok());
    let begun = (lines, draining, function, is_known);
    let portions = stream::unfold(begun, move |(mut lines, draining, function, is_known)| async move {
        let next = tokio::select! {
            // Lines that are there go out first, also those that are still read: only the wait for more is cut short.
            biased;
            next = lines.next() => next?,
            () = draining.raised(), if follow => timeout(LAST_LINES, lines.next()).await.ok()??,
        };
        if follow && !is_known() {
            tracing::info!(%function, "its logs are not followed any more by credentials that do not hold any more");
            return None;
        }
        let portion = next.map(|lines| portion(&function, &lines)).inspect_err(|error| {
            tracing::warn!(%function, %error, "its logs could not be read to the end");
        });
        Some((portion, (lines, draining, function, is_known)))
    });
    Ok(answer.streaming(portions))
}

fn portion(function: &FunctionId, lines: &[LogLine]) -> Bytes {
    let mut bytes = Vec::new();
    for line in lines {
        let message = LogMessage {
            name: function.name.as_str().into(),
            namespace: function.namespace.as_str().into(),
            instance: line.instance.as_str().into(),
            timestamp: line.time.to_string().into(),
            text: line.text.as_str().into(),
        };
        // Texts have a JSON form, and memory takes every byte.
        if serde_json::to_writer(&mut bytes, &message).is_ok() {
            bytes.push(b'\n');
        }
    }
    bytes.into()
}
