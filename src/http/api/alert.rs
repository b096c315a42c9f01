//! POST `/system/alert`: AlertManager says that a function has too much to do, or no longer has.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, http::header};
use tracing::info;

use super::error::HttpError;
use super::needs::enter;
use super::request::{Answer, BODY_MAX, Context, answer, read};
use super::subject::about_function;
use crate::function::FunctionId;
use crate::http::{Services, Settings};
use crate::wire::{self, Alert, Alerts};

/// Scales functions as AlertManager says
///
/// An alert that fires adds a step of replicas, one that is resolved goes back to the least, and wakes nothing that is at
/// zero. Every function that is named is scaled, as far as it goes.
#[utoipa::path(post, path = "/system/alert", tag = "functions",
request_body(content = serde_json::Value, content_type = "application/json",
    description = "What AlertManager sends to a webhook; of each alert its status and its label `function_name` are read"),
responses(
    (status = 200, description = "Every function has the replicas that were asked for"),
    (status = 500, description = "What did not go, a line each", content_type = "text/plain", body = String),
))]
pub(super) async fn receive(request: HttpRequest, body: Payload, (services, settings): Context) -> Answer {
    let Ok(Alerts { alerts }) = wire::read(&read(body, BODY_MAX).await?) else {
        return Ok(plain(StatusCode::BAD_REQUEST, "Unable to parse alert, bad format.".to_owned()));
    };
    // Of an alert about functions that the caller may not change, nothing is done.
    for alert in &alerts {
        if let Ok(id) = alert.labels.function_name.parse::<FunctionId>() {
            enter(&request, &id.namespace)?;
        }
    }
    if let [alert] = alerts.as_slice()
        && let Ok(id) = alert.labels.function_name.parse()
    {
        about_function(&request, &id);
    }
    let mut errors = Vec::new();
    for alert in alerts.iter().filter(|alert| !alert.labels.function_name.is_empty()) {
        errors.extend(scale(alert, &services, &settings).await.err());
    }
    if errors.is_empty() {
        return Ok(HttpResponse::Ok().finish());
    }
    let lines = errors.iter().enumerate().map(|(at, error)| format!("[{at}] {error}\n")).collect();
    Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, lines))
}

async fn scale(alert: &Alert, services: &Services, settings: &Settings) -> Result<(), HttpError> {
    let id: FunctionId = alert.labels.function_name.parse()?;
    let firing = alert.status == "firing";
    let view = answer(settings.answer_timeout, services.engine.get(&id)).await??;
    let Some(desired) = view.and_then(|view| view.status.desired) else {
        return Err(HttpError::new(StatusCode::NOT_FOUND, format!("function {id} not found")));
    };
    let scaling = desired.serving_spec().scaling();
    // An alert that is resolved takes away, and never wakes what was scaled to zero meanwhile.
    // Nor what is idle, or kept down.
    let now = if desired.kept_down { desired.replicas } else { desired.running_replicas() };
    let replicas = if firing { scaling.up(now) } else { scaling.min.min(now) };
    if replicas == now {
        return Ok(());
    }
    info!(function = %id, from = now, to = replicas, firing, "scaled by an alert");
    Ok(answer(settings.answer_timeout, services.engine.scale(&id, replicas)).await??)
}

/// These bodies are AlertManager's to log: as they are, without a line's end of their own.
fn plain(status: StatusCode, text: String) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8")).body(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Invalid;

    #[test]
    fn an_alert_is_read_as_alertmanager_sends_it() {
        let body = br#"{"receiver": "scale-up", "status": "firing", "alerts": [
            {"status": "firing", "labels": {"alertname": "APIHighInvocationRate", "function_name": "echo.dev"},
             "annotations": {"summary": "s"}, "startsAt": "2026-01-01T00:00:00Z", "generatorURL": "http://p"},
            {"STATUS": "resolved", "labels": {"FUNCTION_NAME": "env"}},
            {"status": "firing", "labels": null}], "groupLabels": {}, "version": "4"}"#;
        let parse = |body: &[u8]| {
            let alerts = wire::read::<Alerts>(body)?.alerts.into_iter();
            Ok::<_, Invalid>(
                alerts.map(|alert| (alert.status == "firing", alert.labels.function_name)).collect::<Vec<_>>(),
            )
        };
        let alert = |firing: bool, function: &str| (firing, function.to_owned());
        assert_eq!(parse(body).unwrap(), [alert(true, "echo.dev"), alert(false, "env"), alert(true, "")]);
        assert_eq!(parse(b"{}").unwrap(), []);
        for bad in ["", "{", "[]", r#"{"alerts": {}}"#, r#"{"alerts": [1]}"#, r#"{"alerts": [{"labels": "x"}]}"#] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
