//! The small routes: what this is, and whether it is well.

use std::net::IpAddr;

use actix_web::http::uri::Authority;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::guesses::Guesses;
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

/// GET `/` of the public listener. The page for people is elsewhere: it says where to go on.
pub(in crate::http) async fn front_door(settings: web::Data<Settings>) -> HttpResponse {
    let usual = concat!(
        "actord ",
        env!("CARGO_PKG_VERSION"),
        "\n\n/function/NAME[.NAMESPACE]  calls a function\n/async-function/NAME        \
         calls it without waiting\n/system/functions           the OpenFaaS REST API, with \
         basic authentication\n/healthz                    whether this is up\n/readyz                     \
         whether all that it needs is\n"
    );
    let dashboard = settings.dashboard.map(|_| "/ui/                        leads to the dashboard\n");
    let page = format!("{usual}{}\nfaas-cli and `actord help` speak it.\n", dashboard.unwrap_or_default());
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(page)
}

/// GET `/ui/` of the public listener: where the dashboard is. It is not here, so that nothing which a function answers can act
/// as who looks at it.
pub(in crate::http) async fn to_dashboard(
    request: HttpRequest,
    settings: web::Data<Settings>,
    guesses: web::Data<Guesses>,
) -> HttpResponse {
    let Some(dashboard) = settings.dashboard else { return not_found().await };
    let client = guesses.client(request.peer_addr(), request.headers());
    let (scheme, port) = (if settings.tls.is_some() { "https" } else { "http" }, dashboard.port());
    let named = named(&request);
    let is_here = client.is_loopback() && named.as_deref().is_some_and(is_loopback);
    match named {
        Some(named) if is_here || !dashboard.ip().is_loopback() => HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, format!("{scheme}://{named}:{port}/")))
            .finish(),
        named => {
            let machine = named.unwrap_or_else(|| "MACHINE".to_owned());
            let line = format!(
                "The dashboard listens on {dashboard}, which is reached from its own machine alone. From another one:\n\n  \
                 ssh -L {port}:{dashboard} {machine}\n\nand then {scheme}://127.0.0.1:{port}/ in a browser there. The \
                 setting dashboard-listen gives it another address.\n"
            );
            HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(line)
        }
    }
}

/// What the client calls this machine, without a port.
fn named(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = header.or_else(|| Some(request.uri().authority()?.as_str()))?.parse::<Authority>().ok()?;
    let (text, port) = (authority.as_str(), authority.port());
    let named = port.map_or(Some(text), |port| text.strip_suffix(port.as_str()))?.trim_end_matches(':');
    (!named.is_empty()).then(|| named.to_owned())
}

fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Any path that is not there.
pub(in crate::http) async fn not_found() -> HttpResponse {
    text(StatusCode::NOT_FOUND, "404 page not found")
}
