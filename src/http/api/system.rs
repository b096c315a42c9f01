//! The small routes: what this is, and whether it is well.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use crate::http::text::text;
use crate::http::{ApiFlavor, Services, Settings};
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

/// Whether this process is well
#[utoipa::path(method(get, head), path = "/healthz", tag = "system", responses((status = 200, description = "It is")))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// Whether all that this needs is well
///
/// It asks for no credentials. What it says is what was found in the last seconds: no request causes a look.
#[utoipa::path(method(get, head), path = "/readyz", tag = "system", responses(
    (status = 200, description = "It is", content_type = "text/plain", body = String),
    (status = 503, description = "What is not, one line each", content_type = "text/plain", body = String),
))]
pub(in crate::http) async fn readyz(services: web::Data<Services>) -> HttpResponse {
    let mut faults = services.engine.faults();
    faults.extend(services.queue.faults());
    if services.draining.is_raised() {
        faults.push("actord: it is ending, and finishes the requests that it has".to_owned());
    }
    if faults.is_empty() {
        return text(StatusCode::OK, "ready");
    }
    text(StatusCode::SERVICE_UNAVAILABLE, &faults.join("\n"))
}

/// GET `/healthz` of the metrics listener.
pub(in crate::http) async fn healthz_ok() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK")
}

/// GET `/` of the public listener. There is no page for people: it says where to go on.
pub(in crate::http) async fn front_door() -> HttpResponse {
    let page = concat!(
        "actord ",
        env!("CARGO_PKG_VERSION"),
        "\n\n/function/NAME[.NAMESPACE]  calls a function\n/async-function/NAME        \
         calls it without waiting\n/system/functions           the OpenFaaS REST API, with \
         basic authentication\n/healthz                    whether this is up\n/readyz                     \
         whether all that it needs is\n\nfaas-cli and `actord help` speak it.\n"
    );
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(page)
}

/// Any path that is not there.
pub(in crate::http) async fn not_found() -> HttpResponse {
    text(StatusCode::NOT_FOUND, "404 page not found")
}
