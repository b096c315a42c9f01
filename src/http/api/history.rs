//! `/system/history` and `/system/function/{name}/history`: how much functions were called, and what that took.
//!
//! ```text
//! history: series of points, the last ended so long ago -> columns, and the time on the wall at which they end
//! ```

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;

use super::error::HttpError;
use super::params::{InNamespace, Named, Points};
use super::request::{Answer, Context, answer, last_in_query, namespace};
use crate::function::FunctionId;
use crate::history::{MOST, Point, STEP, Series};
use crate::wire::{CallsOfFunction, FunctionHistory, NamespaceHistory};

/// The list's small graphs, and the most of each: they are of all functions together.
const MINUTES: usize = 30;
const MINUTES_MOST: usize = 60;

/// How much a function was called in the last hour, and what that took
///
/// It is kept in memory: a restart begins it anew, and so does a function of a name that was deleted. Where there are more than
/// a thousand functions, less than an hour is kept of each.
#[utoipa::path(get, path = "/system/function/{name}/history", operation_id = "function_history", tag = "functions",
params(Named, InNamespace, Points), responses(
    (status = 200, description = "Values of ten seconds each, the oldest first", body = FunctionHistory),
    (status = 400, description = "There is no such namespace", content_type = "text/plain", body = String),
    (status = 404, description = "There is no such function", content_type = "text/plain", body = String),
))]
pub(super) async fn of_function(
    path: web::Path<String>,
    request: HttpRequest,
    (services, settings): Context,
) -> Answer {
    let id = FunctionId::new(path.parse()?, namespace(&services, "", &request).await?);
    if answer(settings.answer_timeout, services.engine.get(&id)).await??.is_none() {
        return Err(HttpError::new(StatusCode::NOT_FOUND, format!("function: {id} not found")));
    }
    let series = services.history.of(&id, points(&request, MOST)?);
    let end = end(series.iter());
    let all = series.map(|series| series.points).unwrap_or_default();
    Ok(HttpResponse::Ok().json(FunctionHistory {
        function: id.name.to_string(),
        namespace: id.namespace.to_string(),
        step: STEP.as_secs(),
        end,
        calls: each(&all, |point| point.calls),
        errors: each(&all, |point| point.errors),
        p50: each(&all, |point| known(point.p50)),
        p99: each(&all, |point| known(point.p99)),
        in_flight: each(&all, |point| point.in_flight.into()),
        replicas: each(&all, |point| point.ready.into()),
        cpu: each(&all, |point| point.cpu_millis),
        memory: each(&all, |point| u64::from(point.memory_kib) << 10),
    }))
}

/// How much all functions of a namespace were called in the last minutes
///
/// At most the newest 60 values of each.
#[utoipa::path(get, path = "/system/history", operation_id = "history", tag = "functions", params(InNamespace, Points),
responses(
    (status = 200, description = "Values of ten seconds each, the oldest first", body = NamespaceHistory),
    (status = 400, description = "There is no such namespace", content_type = "text/plain", body = String),
))]
pub(super) async fn all(request: HttpRequest, (services, _): Context) -> Answer {
    let namespace = namespace(&services, "", &request).await?;
    let all = services.history.all(&namespace, points(&request, MINUTES)?.min(MINUTES_MOST));
    let end = end(all.iter().map(|(_, series)| series));
    let functions = all.into_iter().map(|(name, Series { points, .. })| {
        let last = points.last().copied().unwrap_or(Point::NOTHING);
        let calls = CallsOfFunction {
            calls: each(&points, |point| point.calls),
            errors: each(&points, |point| point.errors),
            p99: known(last.p99),
            in_flight: last.in_flight.into(),
        };
        (name.to_string(), calls)
    });
    Ok(HttpResponse::Ok().json(NamespaceHistory { step: STEP.as_secs(), end, functions: functions.collect() }))
}

/// When the last steps ended: they end together. Where there is none yet, this moment.
fn end<'a>(mut series: impl Iterator<Item = &'a Series>) -> String {
    let age = series.next().map(|series| series.age).unwrap_or_default();
    let now = Timestamp::now();
    now.checked_sub(age).unwrap_or(now).to_string()
}

fn each<T>(points: &[Point], value: impl Fn(&Point) -> T) -> Vec<T> {
    points.iter().map(value).collect()
}

/// Hundredths of a millisecond are finer than they are known.
pub(super) fn known(millis: f32) -> Option<f32> {
    (!millis.is_nan()).then(|| (millis * 100.0).round() / 100.0)
}

/// How many points are asked for.
fn points(request: &HttpRequest, usual: usize) -> Result<usize, HttpError> {
    let Some(text) = last_in_query(request, "points") else { return Ok(usual) };
    let number = text.parse::<usize>().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| HttpError::new(StatusCode::BAD_REQUEST, format!("points is a number from 1 to {MOST}")))
}
