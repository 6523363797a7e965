//! The public keys of the built-in issuer.

use actix_web::{HttpResponse, get, http::header, web::Data};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(jwks);
}

/// The keys that verify this deployment's own tokens; none when it has no built-in log-in.
#[utoipa::path(
    tag = "identity",
    security(()),
    responses((status = 200, description = "A JSON Web Key Set", body = Object))
)]
#[get("/.well-known/jwks.json")]
async fn jwks(services: Data<Services>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .json(&services.published_keys)
}
