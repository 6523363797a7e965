//! Plans, subscriptions, entitlements, overrides, resources, reservations and invoices.

use utoipa_actix_web::service_config::ServiceConfig;

pub mod entitlements;
pub mod invoices;
pub mod overrides;
pub mod plans;
pub mod reservations;
pub mod resources;
pub mod subscription;

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    plans::routes(config);
    subscription::routes(config);
    entitlements::routes(config);
    overrides::routes(config);
    resources::routes(config);
    reservations::routes(config);
    invoices::routes(config);
}

/// A limit on the wire: −1 is unlimited.
fn wire_limit(maximum: Option<i64>) -> i64 {
    maximum.unwrap_or(-1)
}

/// Whether a word that stands in an answer only when it is true is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_false(word: &bool) -> bool {
    !*word
}
