//! GET `/system/logs`: what a function's instances wrote, as lines of JSON.
//!
//! ```text
//! Query -> places, from the logs' ends -> Reader: a Cursor a log, merged by time -> portions of the answer
//!                                           ^------ Logs::changed, while somebody follows ------+
//! ```
//! Everything is pulled by the client: one that reads slowly is read for slowly, one that leaves ends the reading.

mod cursor;
mod query;
mod reader;
mod start;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use self::query::{Query, Unreadable};
use self::reader::Reader;
use super::error::HttpError;
use super::params::LogRequest;
use super::provider::ask;
use super::system::close_if_draining;
use super::{Services, Settings};
use crate::actors::messages::Get;
use crate::host::HostError;

/// How long the host may take to answer a question.
const HOST_WITHIN: Duration = Duration::from_secs(30);

/// A follower that hears of nothing looks by itself now and then: whether the function is still there.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A host that can't be asked is not asked at once again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a function's instances wrote
///
/// One JSON object a line, with `name`, `namespace`, `instance`, `timestamp` and `text`. Those who follow get what there is
/// and then what comes, for as long as the function is there.
#[utoipa::path(get, path = "/system/logs", tag = "functions", params(LogRequest), responses(
    (status = 200, description = "The lines; none of a function that is not there",
        content_type = "application/x-ndjson", body = String),
    (status = 422, description = "The query can't be read", content_type = "text/plain", body = String),
    (status = 500, description = "The logs can't be read: actord's own log says why", content_type = "text/plain",
        body = String),
))]
pub(super) async fn logs(
    request: HttpRequest,
    services: web::Data<Services>,
    settings: web::Data<Settings>,
) -> Result<HttpResponse, HttpError> {
    let unreadable = |_| HttpError::new(StatusCode::UNPROCESSABLE_ENTITY, "could not parse the log request");
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let pairs = pairs.map_err(|_| Unreadable).map_err(unreadable)?;
    let query = Query::parse(&pairs, Timestamp::now()).map_err(unreadable)?;
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/x-ndjson");
    let Some(function) = query.function.clone() else {
        return Ok(close_if_draining(answer.streaming(stream::empty::<Result<Bytes, HostError>>()), &services));
    };
    let failed = |error: HostError| {
        tracing::warn!(%function, %error, "its logs could not be read");
        HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "function log request failed")
    };
    let follow = query.follow;
    let mut reader = Reader::open(services.logs.clone(), function.clone(), query).await.map_err(failed)?;
    let first = reader.batch().await.map_err(failed)?;
    let stream = Stream { reader, follow, services: services.clone(), longest: settings.answer_timeout };
    let first = stream::iter((!first.is_empty()).then(|| Ok(Bytes::from(first))));
    let rest = stream::unfold(Some(stream), |stream| async {
        let mut stream = stream?;
        match stream.next().await {
            Ok(Some(lines)) => Some((Ok(Bytes::from(lines)), Some(stream))),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(function = %stream.reader.function(), %error, "its logs could not be read to the end");
                Some((Err(error), None))
            }
        }
    });
    Ok(close_if_draining(answer.streaming(first.chain(rest)), &services))
}

/// What is left of an answer.
struct Stream {
    reader: Reader,
    follow: bool,
    services: web::Data<Services>,
    /// How long the registry may take to answer.
    longest: Duration,
}

impl Stream {
    /// The next lines; none at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, HostError> {
        loop {
            let lines = self.reader.batch().await?;
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if !self.follow || (!self.reader.grows && !self.is_there().await) || !self.wait().await {
                return Ok(None);
            }
            self.reader.refresh().await?;
        }
    }

    /// Waits until there may be more. Says whether there may.
    async fn wait(&self) -> bool {
        tokio::select! {
            () = self.services.draining.raised() => false,
            () = sleep(LOOK_AGAIN) => true,
            changed = caught(self.reader.changed()) => {
                if let Err(error) = changed {
                    tracing::warn!(function = %self.reader.function(), %error, "following its logs");
                    sleep(ASK_AGAIN).await;
                }
                true
            }
        }
    }

    /// Whether the function is there. A registry that does not answer is no reason to go.
    async fn is_there(&self) -> bool {
        let get = Get { id: self.reader.function().clone() };
        match ask(&self.services.provider.now().get, get, self.longest).await {
            Ok(view) => view.is_some_and(|view| view.status.desired.is_some()),
            Err(_) => true,
        }
    }
}

/// A question to the host, with its deadline and with its panics caught.
async fn asked<T>(question: impl Future<Output = Result<T, HostError>>) -> Result<T, HostError> {
    let late = |_| HostError::Deadline(format!("reading logs ({} s)", HOST_WITHIN.as_secs()));
    timeout(HOST_WITHIN, caught(question)).await.map_err(late)?
}

async fn caught<T>(question: impl Future<Output = Result<T, HostError>>) -> Result<T, HostError> {
    let panicked = |_| Err(HostError::Failed("reading logs panicked".to_owned()));
    AssertUnwindSafe(question).catch_unwind().await.unwrap_or_else(panicked)
}
