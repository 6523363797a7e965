//! The REST API: actix routes, problem+json and OpenAPI. The only crate that knows a status code.
//!
//! | file | what is in it |
//! |---|---|
//! | [`edge`] | request ids, problems, access log |
//! | [`caller`] | how a request becomes a `kernel::Principal` |
//! | [`idempotency`] | `Idempotency-Key` |
//! | [`body`] | reading bodies, queries and paths |
//! | [`page`] | lists |
//! | [`problem`] | what a client is told when a request fails |
//! | `methods` | which methods a path has |
//! | [`rate_limit`] | how fast callers may be |
//! | [`services`] | everything that a handler may call |
//! | [`openapi`] | the contract, collected from the routes |
//! | [`health`], [`metrics`] | for operators |
//! | one folder a domain, one file a resource | DTOs, the mapping of errors, handlers |
//!
//! A handler parses, calls one use case, and maps the result. Rules live in the domains, so the API, the worker and embedders are held to
//! the same ones.

use std::{net::TcpListener, time::Duration};

use actix_web::{
    App, HttpServer, dev,
    dev::{ServiceFactory, ServiceRequest},
    middleware::from_fn,
    web::{self, Data},
};
use utoipa::OpenApi;
use utoipa_actix_web::{AppExt, service_config::ServiceConfig};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub mod audit;
pub mod billing;
pub mod body;
pub mod caller;
pub mod edge;
pub mod health;
pub mod idempotency;
pub mod identity;
mod methods;
pub mod metrics;
pub mod openapi;
mod packing;
pub mod page;
pub mod problem;
pub mod rate_limit;
pub mod services;
pub mod tenancy;
pub mod usage;

pub use caller::Caller;
pub use problem::Problem;
pub use services::{Services, Settings};

/// Adds every route to an app, and collects the contract from them.
fn assemble<T>(app: App<T>) -> (App<T>, utoipa::openapi::OpenApi)
where
    T: ServiceFactory<ServiceRequest, Config = (), Error = actix_web::Error, InitError = ()>,
{
    let (app, mut document) = app
        .into_utoipa_app()
        .openapi(openapi::Contract::openapi())
        // Routes are tried in this order, most of them by a regular expression: what is asked all the time stands first.
        .service(usage::events::ingest)
        .service(billing::entitlements::check)
        .configure(operations)
        .configure(identity::routes)
        .configure(tenancy::routes)
        .configure(usage::routes)
        .configure(billing::routes)
        .configure(audit::routes)
        .split_for_parts();
    openapi::complete(&mut document);
    (app, document)
}

fn operations(config: &mut ServiceConfig) {
    config
        .service(health::healthz)
        .service(health::readyz)
        .service(metrics::metrics)
        .service(openapi::contract);
}

/// How the listener behaves.
#[derive(Debug, Clone)]
pub struct Serving {
    /// Threads that serve requests.
    pub workers: usize,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// How long running requests are given when the server stops.
    pub shutdown: Duration,
}

/// Serves the API on `listener` until it is told to stop.
///
/// # Errors
/// When the socket cannot be used, or the contract cannot be rendered.
pub fn serve(
    services: Services,
    listener: TcpListener,
    serving: &Serving,
) -> std::io::Result<dev::Server> {
    let document = openapi::document();
    let json = document.to_pretty_json().map_err(std::io::Error::other)?;
    let rendered = Data::new(openapi::Rendered(json));
    let methods = Data::new(methods::Methods::of(&document));
    let services = Data::new(services);
    let server = HttpServer::new(move || {
        let (app, _) = assemble(App::new());
        app.app_data(services.clone())
            .app_data(rendered.clone())
            .app_data(methods.clone())
            .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")))
            .service(web::redirect("/docs", "/docs/"))
            .default_service(web::route().to(edge::no_route))
            .wrap(from_fn(idempotency::layer))
            .wrap(from_fn(edge::layer))
    });
    let server = server
        .workers(serving.workers)
        .keep_alive(serving.keep_alive)
        .shutdown_timeout(serving.shutdown.as_secs())
        .disable_signals();
    Ok(server.listen(listener)?.run())
}
