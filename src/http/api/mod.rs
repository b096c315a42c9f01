//! The REST API of OpenFaaS, under `/system`, and the document of it.
//!
//! ```text
//! auth, needs -> functions, secrets, namespaces, alert, logs: parse (request, params, wire) -> ask the engine -> answer, or error
//!                calls: what was called without waiting
//!                invoke: a call of a function, and its answer, as data
//!                tokens, session: who may use this    system, machine: what this is, and whether it is well
//! ```

mod alert;
mod auth;
mod call_shown;
mod calls;
mod error;
mod event_shown;
mod events;
mod functions;
#[cfg(feature = "testing")]
pub(super) mod fuzzed;
mod history;
mod instances;
mod invoke;
mod logs;
mod machine;
mod namespaces;
mod needs;
mod next_tier;
mod openapi;
mod params;
mod request;
mod schedules;
mod secrets;
mod session;
mod sse;
mod status;
mod subject;
pub(super) mod system;
mod tokens;

pub use self::machine::Machine;
pub use self::needs::table_of_routes;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

use super::guesses::Guesses;
use super::{Settings, metrics};

/// The route of the API that stands beside the calls of functions.
pub(super) fn configure_calls(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/async-function/{name}").route(web::delete().to(calls::cancel_own)));
}

/// The route table of the API.
pub(super) fn configure(cfg: &mut ServiceConfig, settings: &Settings, guesses: &Guesses) {
    let function = web::resource("/function/{name}");
    let (functions, secrets) = (web::resource("/functions"), web::resource("/secrets"));
    let namespace = web::resource("/namespace/{name}");
    cfg.app_data(web::Data::new(settings.access.clone()))
        .app_data(web::Data::new(guesses.clone()))
        .service(
            web::scope("/system")
                .wrap(from_fn(auth::require))
                .wrap(from_fn(metrics::count))
                .service(
                    functions
                        .route(web::get().to(functions::list))
                        .route(web::post().to(functions::create))
                        .route(web::put().to(functions::update))
                        .route(web::delete().to(functions::delete)),
                )
                .service(function.route(web::get().to(functions::status)))
                .service(web::resource("/function/{name}/history").route(web::get().to(history::of_function)))
                .service(web::resource("/function/{name}/instances").route(web::get().to(instances::list)))
                .service(web::resource("/function/{name}/rollback").route(web::post().to(functions::rollback)))
                .service(web::resource("/function/{name}/invoke").route(web::post().to(invoke::invoke)))
                .service(web::resource("/function/{name}/stop").route(web::post().to(functions::stop)))
                .service(web::resource("/function/{name}/start").route(web::post().to(functions::start)))
                .service(web::resource("/scale-function/{name}").route(web::post().to(functions::scale)))
                .service(web::resource("/events").route(web::get().to(events::stream)))
                .service(web::resource("/history").route(web::get().to(history::all)))
                .service(web::resource("/logs").route(web::get().to(logs::logs)))
                .service(
                    web::resource("/calls").route(web::get().to(calls::list)).route(web::delete().to(calls::purge)),
                )
                .service(
                    web::resource("/call/{id}")
                        .route(web::get().to(calls::show))
                        .route(web::delete().to(calls::cancel)),
                )
                .service(web::resource("/call/{id}/retry").route(web::post().to(calls::retry)))
                .service(web::resource("/queues").route(web::get().to(calls::queues)))
                .service(web::resource("/schedules").route(web::get().to(schedules::list)))
                .service(
                    secrets
                        .route(web::get().to(secrets::list))
                        .route(web::post().to(secrets::create))
                        .route(web::put().to(secrets::update))
                        .route(web::delete().to(secrets::delete)),
                )
                .service(web::resource("/namespaces").route(web::get().to(namespaces::list)))
                .service(web::resource(["/namespace", "/namespace/"]).route(web::post().to(namespaces::create_unnamed)))
                .service(
                    namespace
                        .route(web::get().to(namespaces::get))
                        .route(web::post().to(namespaces::create))
                        .route(web::put().to(namespaces::update))
                        .route(web::delete().to(namespaces::delete)),
                )
                .service(web::resource("/alert").route(web::post().to(alert::receive)))
                .service(
                    web::resource("/tokens").route(web::get().to(tokens::list)).route(web::post().to(tokens::create)),
                )
                .service(web::resource("/tokens/{id}").route(web::delete().to(tokens::revoke)))
                .service(web::resource("/tokens/{id}/rotate").route(web::post().to(tokens::rotate)))
                .service(web::resource("/password/rotate").route(web::post().to(tokens::rotate_password)))
                .service(
                    web::resource("/session")
                        .route(web::get().to(session::get))
                        .route(web::post().to(session::begin))
                        .route(web::delete().to(session::end)),
                )
                .service(web::resource("/machine").route(web::get().to(machine::show)))
                .service(web::resource("/info").route(web::get().to(system::info)))
                .default_service(web::to(system::not_found)),
        )
        .service(web::resource("/healthz").route(web::get().to(system::healthz)).route(web::head().to(system::healthz)))
        .service(web::resource("/readyz").route(web::get().to(system::readyz)).route(web::head().to(system::readyz)))
        .service(web::resource("/openapi.json").route(web::get().to(openapi::document)));
}
