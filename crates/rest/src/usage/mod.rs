//! Routes of the usage domain.

use utoipa_actix_web::service_config::ServiceConfig;

mod batch;
mod events;
mod meters;
mod question;
mod usage;

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(events::ingest)
        .service(usage::read)
        .service(usage::summarise)
        .service(meters::list)
        .service(meters::create);
}
