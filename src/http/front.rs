//! What stands between actix's HTTP and what answers: the proxy, for `/function/...`, what keeps calls, for
//! `/async-function/...`, or the routes of actix-web.
//!
//! ```text
//! request -> Exchange (turn, body) -> /function/...: proxy        -> draining -> Exchange (version, rest of the body) -> answer
//!                                     any other: routes
//! ```
//! A call of a function takes no way through routes, extractors and middleware: each of them boxes a future of every request.

use std::convert::Infallible;
use std::rc::Rc;

use actix_http::{Request, Response};
use actix_service::{Service, ServiceFactory, fn_factory, fn_service, map_config};
use actix_web::body::{BoxBody, EitherBody};
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::{App, Error};

use super::connection::{Answer, Exchange};
use super::draining::Draining;
use super::proxy::invoke::invoke;
use super::proxy::{FunctionBody, Proxy, is_call};
use super::queued::accept::{accept, is_queued};

/// The body of any answer.
type Body = Answer<EitherBody<FunctionBody, BoxBody>>;

/// Makes what answers, once for each worker.
pub(super) fn front<A, R>(
    draining: Draining,
    rooms: A,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = Response<Body>,
    Error = Infallible,
    InitError = (),
    Service = impl Service<Request, Response = Response<Body>, Error = Infallible, Future: 'static> + 'static,
    Future: 'static,
> + 'static
where
    A: Fn() -> (App<R>, Option<Proxy>) + 'static,
    R: ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()> + 'static,
{
    fn_factory(move || {
        let (app, proxy) = rooms();
        let routes = map_config(app, |()| AppConfig::default()).new_service(());
        // The worker's own: a count that all workers share would be touched by each request.
        let draining = Rc::new(draining.clone());
        async move {
            let (routes, proxy) = (Rc::new(routes.await?), proxy.map(Rc::new));
            let answer = move |request| answer(request, routes.clone(), proxy.clone(), draining.clone());
            actix_service::IntoServiceFactory::into_factory(fn_service(answer)).new_service(()).await
        }
    })
}

async fn answer<S>(
    mut request: Request,
    routes: Rc<S>,
    proxy: Option<Rc<Proxy>>,
    draining: Rc<Draining>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request, Response = ServiceResponse, Error = Error>,
{
    let exchange = Exchange::begin(&mut request);
    let mut answer = match &proxy {
        Some(proxy) if is_call(&request) => invoke(proxy, request).await,
        // Boxed: the future of every request would be larger for it.
        Some(proxy) if is_queued(&request) => {
            Box::pin(accept(proxy, request)).await.map_body(|_, body| EitherBody::right(body))
        }
        _ => match routes.call(request).await {
            Ok(answer) => Response::from(answer).map_body(|_, body| EitherBody::right(body)),
            Err(error) => Response::<BoxBody>::from(error).map_body(|_, body| EitherBody::right(body)),
        },
    };
    draining.close_connection(&mut answer);
    Ok(exchange.end(answer).await)
}
