//! `/system/function/{name}/instances`: what runs of a function, what is on its way, and what goes.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::error::HttpError;
use super::params::{InNamespace, Named};
use super::request::{Answer, Context, answer, namespace};
use crate::engine::InstanceView;
use crate::function::FunctionId;
use crate::wire::ListedInstance;

/// What runs of a function, its instances
#[utoipa::path(get, path = "/system/function/{name}/instances", operation_id = "list_instances", tag = "functions",
params(Named, InNamespace), responses(
    (status = 200, description = "Its instances, also those that start and end", body = Vec<ListedInstance>),
    (status = 400, description = "There is no such namespace", content_type = "text/plain", body = String),
    (status = 404, description = "There is no such function", content_type = "text/plain", body = String),
))]
pub(super) async fn list(path: web::Path<String>, request: HttpRequest, (services, settings): Context) -> Answer {
    let id = FunctionId::new(path.parse()?, namespace(&services, "", &request).await?);
    if answer(settings.answer_timeout, services.engine.get(&id)).await??.is_none() {
        return Err(HttpError::new(StatusCode::NOT_FOUND, format!("function: {id} not found")));
    }
    let all: Vec<_> = services.engine.instances(&id).iter().map(listed).collect();
    Ok(HttpResponse::Ok().json(all))
}

fn listed(instance: &InstanceView) -> ListedInstance {
    ListedInstance {
        id: instance.id.to_string(),
        generation: instance.generation.0,
        phase: instance.phase.to_string(),
        address: instance.address.map(|address| address.to_string()),
    }
}
