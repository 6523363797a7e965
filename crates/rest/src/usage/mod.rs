//! Routes of the usage domain.

use utoipa_actix_web::service_config::ServiceConfig;

mod batch;
mod buckets;
pub(crate) mod events;
mod meters;
mod question;
mod raw;

/// Adds the routes, but for `events::ingest`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(raw::list)
        .service(raw::read)
        .service(buckets::read)
        .service(buckets::summarise)
        .service(meters::list)
        .service(meters::create)
        .service(meters::read)
        .service(meters::change)
        .service(meters::versions);
}
