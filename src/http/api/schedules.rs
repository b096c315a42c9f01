//! `/system/schedules`: what is called by the clock.

use actix_web::{HttpRequest, HttpResponse};

use super::params::InNamespace;
use super::request::{Answer, Context, namespace};
use crate::cron::Listed;
use crate::http::Services;
use crate::queue::view;
use crate::wire::ListedSchedule;

/// Schedules of functions, by their names
#[utoipa::path(get, path = "/system/schedules", operation_id = "list_schedules", tag = "calls", params(InNamespace),
responses(
    (status = 200, description = "When each fires, and what it fired last", body = Vec<ListedSchedule>),
    (status = 400, description = "There is no such namespace", content_type = "text/plain", body = String),
))]
pub(super) async fn list((services, _): Context, request: HttpRequest) -> Answer {
    let namespace = namespace(&services, "", &request).await?;
    let mut all = Vec::new();
    for listed in services.schedules.list() {
        if listed.function.namespace == namespace {
            all.push(shown(&services, listed).await);
        }
    }
    Ok(HttpResponse::Ok().json(all))
}

async fn shown(services: &Services, listed: Listed) -> ListedSchedule {
    let last = match listed.last_call.as_deref().map(str::parse) {
        // Where it can't be had just now, the rest is told.
        Some(Ok(call)) => services.queue.call(call).await.ok().flatten(),
        _ => None,
    };
    ListedSchedule {
        function: listed.function.name.to_string(),
        namespace: listed.function.namespace.to_string(),
        schedule: listed.schedule,
        timezone: listed.zone,
        last: listed.last.map(|time| time.to_string()),
        last_call: listed.last_call,
        last_state: last
            .as_ref()
            .map(|last| view::state(&last.call, services.queue.is_running(last.call.seq)).to_owned()),
        last_status: last.as_ref().and_then(|last| last.call.status),
        next: listed.next.map(|time| time.to_string()),
        missed: listed.missed,
        skipped: listed.skipped,
        missed_rule: listed.missed_rule.word().to_owned(),
        overlap: listed.overlap.word().to_owned(),
        note: listed.note,
    }
}
