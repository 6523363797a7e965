//! Plans, subscriptions, entitlements, resources, reservations and invoices.

use utoipa_actix_web::service_config::ServiceConfig;

pub mod entitlements;
pub mod invoices;
pub mod plans;
pub mod reservations;
pub mod resources;
pub mod subscription;

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    plans::routes(config);
    subscription::routes(config);
    entitlements::routes(config);
    resources::routes(config);
    reservations::routes(config);
    invoices::routes(config);
}

/// A limit on the wire: −1 is unlimited.
fn wire_limit(maximum: Option<i64>) -> i64 {
    maximum.unwrap_or(-1)
}
