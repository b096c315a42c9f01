//! `/openapi.json`: the API as OpenAPI 3.1, put together from what stands at each handler.
//!
//! ```text
//! #[utoipa::path] at a handler  +  the types of `wire`  +  `params` -> derive -> complete: what all routes share -> JSON
//! ```
//! A route that is not in the list below fails a test, and so does a line of it that is no route.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::needs::{Needs, row};
use super::{
    alert, calls, events, functions, history, instances, invoke as invoke_as_data, logs, machine, namespaces,
    schedules, secrets, session, system, tokens,
};
use crate::http::proxy::invoke;
use crate::http::queued::accept;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "actord",
        description = "The REST API of OpenFaaS, as a gateway (`--listen`) and as a gateway's provider \
            (`--provider-listen`). Both have the same routes. They differ in the shape of `/system/info`, and in what the \
            proxy answers when a function can't: the gateway 404, 502, 503 or 504, the provider 503 or 500. Keys of JSON \
            are read in any case, `null` stands for what was left out, and unknown keys are passed over. Prometheus' \
            `/metrics` is on a listener of its own (`--metrics-listen`). So is a page for people (`--dashboard-listen`), \
            beside which all but the calls of functions is served.",
    ),
    tags(
        (name = "functions", description = "What is deployed, and how it fares"),
        (name = "secrets", description = "What functions may know and nobody else"),
        (name = "namespaces", description = "Where functions live"),
        (name = "tokens", description = "Who may use this, beside the user with the password"),
        (name = "proxy", description = "Calling functions"),
        (name = "calls", description = "Calls that nobody waits for, and what came of them"),
        (name = "system", description = "actord itself"),
    ),
    paths(
        functions::list,
        functions::create,
        functions::update,
        functions::delete,
        functions::status,
        functions::scale,
        functions::rollback,
        functions::stop,
        functions::start,
        invoke_as_data::invoke,
        instances::list,
        history::of_function,
        history::all,
        events::stream,
        alert::receive,
        logs::logs,
        secrets::list,
        secrets::create,
        secrets::update,
        secrets::delete,
        namespaces::list,
        namespaces::get,
        namespaces::create_unnamed,
        namespaces::create,
        namespaces::update,
        namespaces::delete,
        tokens::list,
        tokens::create,
        tokens::revoke,
        tokens::rotate,
        tokens::rotate_password,
        session::get,
        session::begin,
        session::end,
        system::info,
        machine::show,
        system::healthz,
        system::readyz,
        invoke::invoke,
        accept::accept,
        calls::cancel_own,
        calls::list,
        calls::purge,
        calls::show,
        calls::cancel,
        calls::retry,
        calls::queues,
        schedules::list,
        document,
    )
)]
struct Handlers;

/// The text of the document; it never changes.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    // What was derived is plain data: it has a JSON form.
    let mut document = serde_json::to_value(Handlers::openapi()).unwrap_or_default();
    complete(&mut document);
    document.to_string()
});

/// This document
///
/// It holds no secret, and asks for no credentials.
#[utoipa::path(get, path = "/openapi.json", tag = "system", responses(
    (status = 200, description = "The document", content_type = "application/json", body = serde_json::Value)
))]
pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(DOCUMENT.as_str())
}

/// Writes down what holds for more than one route.
fn complete(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({
        "basic": {
            "type": "http",
            "scheme": "basic",
            "description": "The user and the password, or `token` and a token",
        },
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token, which may do what it was made for, or a session, which may do what began it may",
        },
    });
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for property in properties.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
            // What serde fills in for a key that is missing is not part of the API.
            property.remove("default");
        }
    }
    let needless = schemas_without_a_must(document);
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for prefix in ["/function", "/async-function"] {
        if let Some(mut below) = paths.get(&format!("{prefix}/{{name}}")).map(below) {
            // What is cancelled has an id, and nothing below it.
            if let Some(methods) = below.as_object_mut().filter(|_| prefix == "/async-function") {
                methods.remove("delete");
            }
            paths.insert(format!("{prefix}/{{name}}/{{path}}"), below);
        }
    }
    for (path, methods) in paths {
        let system = path.starts_with("/system");
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            let id = operation["operationId"].as_str().unwrap_or_default();
            operation["operationId"] = match path.matches('{').count() {
                // One handler for many methods, and paths.
                _ if system || path == "/openapi.json" || id == "cancel_own_call" => json!(id),
                0 => json!(format!("{method}_{id}")),
                1 => json!(format!("{method}_{id}")),
                _ => json!(format!("{method}_{id}_path")),
            };
            if let Some(needs) = needs(method, path) {
                operation["x-actord-needs"] = json!(needs.word());
            }
            if needs(method, path) == Some(Needs::Asked) {
                operation["security"] = json!([{}, { "token": [] }]);
            }
            if needs(method, path) == Some(Needs::Own) {
                operation["security"] = json!([{}, { "basic": [] }, { "token": [] }]);
            }
            if !system {
                continue;
            }
            operation["security"] = json!([{ "basic": [] }, { "token": [] }]);
            let changes = operation.get("requestBody").is_some();
            if let Some(body) = operation.get_mut("requestBody") {
                let schema = body["content"]["application/json"]["schema"]["$ref"].as_str();
                let needed = schema.is_none_or(|schema| !needless.contains(schema));
                body["required"] = json!(needed);
            }
            let Some(answers) = operation["responses"].as_object_mut() else { continue };
            add(answers, "401", "Other credentials than these, or none");
            add(answers, "403", "They may not do that, or not in that namespace");
            add(answers, "429", "Too many wrong ones came from this address");
            add(answers, "503", "Not now: the same request may succeed later");
            for status in ["429", "503"] {
                answers[status]["headers"]["Retry-After"] =
                    json!({ "description": "When to come back", "schema": { "type": "string" } });
            }
            if changes {
                add(answers, "400", "What was sent can't be, and why");
                add(answers, "413", "The body, or what is in it, is too long");
                add(answers, "507", "The disk is full: nothing was changed");
            }
        }
    }
}

/// What the table says of an operation, if that is in it.
fn needs(method: &str, path: &str) -> Option<Needs> {
    row(&method.to_uppercase().parse().ok()?, path).map(|(_, needs)| needs)
}

/// References to the schemas of bodies that need not say anything, and so can be left out.
fn schemas_without_a_must(document: &Value) -> BTreeSet<String> {
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let needless = schemas.filter(|(_, schema)| schema["required"].as_array().is_none_or(Vec::is_empty));
    needless.map(|(name, _)| format!("#/components/schemas/{name}")).collect()
}

/// An answer of one line, unless the handler has its own words for it.
fn add(answers: &mut Map<String, Value>, status: &str, description: &str) {
    let answer = json!({ "description": description, "content": { "text/plain": { "schema": { "type": "string" } } } });
    answers.entry(status).or_insert(answer);
}

/// The same, for a path below the function's own.
fn below(item: &Value) -> Value {
    let mut item = item.clone();
    for (_, operation) in item.as_object_mut().into_iter().flatten() {
        if let Some(parameters) = operation["parameters"].as_array_mut() {
            parameters.push(json!({
                "name": "path",
                "in": "path",
                "required": true,
                "description": "Handed on to the function as it is; it may have slashes in it",
                "schema": { "type": "string" },
                "example": "some",
            }));
        }
    }
    item
}
