//! The small routes: what this is, whether it is well, and what it does not have.

use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::{HttpResponse, web};

use super::error::text;
use super::{ApiFlavor, Services, Settings};
use crate::wire::{GatewayInfo, Info, ProviderInfo, Version};

/// What this is, in the shape of the peer that the listener stands for
#[utoipa::path(get, path = "/system/info", tag = "system", responses(
    (status = 200, description = "The gateway's shape on the public listener, else the provider's", body = Info),
))]
pub(super) async fn info(settings: web::Data<Settings>) -> HttpResponse {
    let version = || Version {
        release: settings.release.version.clone(),
        sha: settings.release.sha.clone(),
        commit_message: settings.release.commit_message.clone(),
    };
    let provider = ProviderInfo { provider: "actord".into(), version: version(), orchestration: "containerd".into() };
    HttpResponse::Ok().json(match settings.flavor {
        ApiFlavor::Provider => Info::Provider(provider),
        ApiFlavor::Public => {
            Info::Gateway(GatewayInfo { provider, version: version(), arch: std::env::consts::ARCH.into() })
        }
    })
}

/// Whether this is well
#[utoipa::path(method(get, head), path = "/healthz", tag = "system", responses((status = 200, description = "It is")))]
pub(super) async fn healthz(services: web::Data<Services>) -> HttpResponse {
    close_if_draining(HttpResponse::Ok().finish(), &services)
}

/// GET `/healthz` of the metrics listener.
pub(super) async fn healthz_ok() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK")
}

/// GET `/` of the public listener. There is no page for people: it says where to go on.
pub(super) async fn front_door(services: web::Data<Services>) -> HttpResponse {
    let page = concat!(
        "actord ",
        env!("CARGO_PKG_VERSION"),
        "\n\n/function/NAME[.NAMESPACE]  calls a function\n/system/functions           the OpenFaaS REST API, with \
         basic authentication\n/healthz                    whether this is up\n\nfaas-cli and `actord help` speak it.\n"
    );
    close_if_draining(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(page), &services)
}

/// Any path that is not there.
pub(super) async fn not_found(services: web::Data<Services>) -> HttpResponse {
    close_if_draining(text(StatusCode::NOT_FOUND, "404 page not found"), &services)
}

/// Asynchronous invocations, which are not available
#[utoipa::path(post, path = "/async-function/{name}", tag = "proxy",
params(("name" = String, Path, description = "The function's name", example = "env")), responses(
    (status = 501, description = "Always", content_type = "text/plain", body = String),
))]
pub(super) async fn no_async(method: Method, services: web::Data<Services>) -> HttpResponse {
    if method != Method::POST {
        return close_if_draining(HttpResponse::MethodNotAllowed().finish(), &services);
    }
    let line = "asynchronous invocations are not available: call /function/ instead";
    close_if_draining(text(StatusCode::NOT_IMPLEMENTED, line), &services)
}

/// Asks the client to come back on a new connection if this process is about to end.
pub(super) fn close_if_draining(mut answer: HttpResponse, services: &Services) -> HttpResponse {
    if services.draining.is_raised() {
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    answer
}
