//! The dashboard: a page for people, and the API that it works by, on a listener of its own.
//!
//! ```text
//! browser -> /                  index.html, which names the hash of all files
//!            /HASH/FILE         assets: out of the program, kept for ever; keys.json: what may be set of functions
//!            /system/...        the same `api` as on the other listeners; no call of a function by its path
//! ```
//! Another port is another origin: a page that a function answers is not one of this one, and nothing here is let out to others
//! (no CORS). [`protect`] says so to the browser with every answer. Who signs in holds a text that the page sends itself; there
//! is no cookie, so no other page can send it.

mod assets;
mod headers;
mod keys;

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

pub(super) use self::headers::protect;

use super::api::{self, system};
use super::guesses::Guesses;
use super::{Services, Settings};

/// Kept for ever: another content has another hash, and so another path.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The route table of the dashboard's listener.
pub(super) fn configure(
    cfg: &mut ServiceConfig,
    services: &Arc<Services>,
    settings: &Arc<Settings>,
    guesses: &Guesses,
) {
    let file = web::resource(format!("/{}/{{file}}", assets::page().hash));
    cfg.app_data(web::Data::from(services.clone()))
        .app_data(web::Data::from(settings.clone()))
        .configure(|cfg| api::configure(cfg, settings, guesses))
        .service(web::resource("/").route(web::get().to(index)).route(web::head().to(index)))
        .service(file.route(web::get().to(asset)).route(web::head().to(asset)))
        .default_service(web::to(system::not_found));
}

/// GET `/`: the page. It is asked for anew each time, and names what it is made of.
async fn index(request: HttpRequest) -> HttpResponse {
    assets::page().index.answer(&request)
}

/// GET `/HASH/FILE`.
async fn asset(name: web::Path<String>, request: HttpRequest) -> HttpResponse {
    let Some(file) = assets::page().file(&name) else { return system::not_found().await };
    let mut answer = file.answer(&request);
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static(FOR_EVER));
    answer
}
