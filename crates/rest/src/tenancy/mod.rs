//! Tenants, members, invitations, projects, roles.

use utoipa_actix_web::service_config::ServiceConfig;

pub mod admin;
pub mod invitations;
pub mod members;
pub mod projects;
pub mod roles;
pub mod tenants;

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    tenants::routes(config);
    members::routes(config);
    invitations::routes(config);
    projects::routes(config);
    roles::routes(config);
    admin::routes(config);
}
