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
//! | [`services`] | everything that a handler may call |
//! | [`openapi`] | the contract, collected from the routes |
//! | [`health`], [`metrics`] | for operators |
//! | one folder a domain, one file a resource | DTOs, the mapping of errors, handlers |
//!
//! A handler parses, calls one use case, and maps the result. Rules live in the domains, so the API, the worker and embedders are held to
//! the same ones.

use actix_web::{
    App, HttpServer, dev,
    dev::{ServiceFactory, ServiceRequest},
    middleware::from_fn,
    web::{self, Data},
};
use utoipa::OpenApi;
use utoipa_actix_web::{AppExt, service_config::ServiceConfig};
use utoipa_swagger_ui::SwaggerUi;

pub mod audit;
pub mod billing;
pub mod body;
pub mod caller;
pub mod edge;
pub mod health;
pub mod idempotency;
pub mod identity;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod problem;
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
    app.into_utoipa_app()
        .openapi(openapi::Contract::openapi())
        .configure(operations)
        .configure(identity::routes)
        .configure(tenancy::routes)
        .configure(usage::routes)
        .configure(billing::routes)
        .configure(audit::routes)
        .split_for_parts()
}

fn operations(config: &mut ServiceConfig) {
    config
        .service(health::healthz)
        .service(health::readyz)
        .service(metrics::metrics)
        .service(openapi::openapi);
}

/// Serves the API on `listener` with `workers` threads until it is told to stop.
///
/// # Errors
/// When the socket cannot be used, or the contract cannot be rendered.
pub fn serve(
    services: Services,
    listener: std::net::TcpListener,
    workers: usize,
) -> std::io::Result<dev::Server> {
    let document = openapi::document();
    let rendered = Data::new(openapi::Rendered(
        document.to_pretty_json().map_err(std::io::Error::other)?,
    ));
    let services = Data::new(services);
    let server = HttpServer::new(move || {
        let (app, _) = assemble(App::new());
        app.app_data(services.clone())
            .app_data(rendered.clone())
            .app_data(web::PayloadConfig::new(body::MAX_BODY))
            .service(SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", document.clone()))
            .service(web::redirect("/docs", "/docs/"))
            .default_service(web::route().to(edge::no_route))
            .wrap(from_fn(idempotency::layer))
            .wrap(from_fn(edge::layer))
    });
    Ok(server.workers(workers).shutdown_timeout(3).disable_signals().listen(listener)?.run())
}
