//! Routes of the identity domain.

use utoipa_actix_web::service_config::ServiceConfig;

pub mod api_keys;
pub mod auth;
pub mod jwks;
pub mod me;

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    auth::routes(config);
    me::routes(config);
    api_keys::routes(config);
    jwks::routes(config);
}
