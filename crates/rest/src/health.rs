//! `/healthz` says that the process runs, `/readyz` that it can serve.

use actix_web::{HttpResponse, get, web::Data};
use kernel::{BoxFuture, StoreError};

use crate::{Problem, Services};

/// What the API asks about its database.
pub trait Database: Send + Sync {
    /// Whether it answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Connections in use, and connections open.
    fn connections(&self) -> (usize, usize);
}

/// The process runs.
#[utoipa::path(tag = "operations", security(()), responses((status = 200, description = "The process runs")))]
#[get("/healthz")]
pub(crate) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// The process can serve: its database answers.
#[utoipa::path(
    tag = "operations",
    security(()),
    responses((status = 200, description = "Ready"), (status = 503, description = "The database is away"))
)]
#[get("/readyz")]
pub(crate) async fn readyz(services: Data<Services>) -> Result<HttpResponse, Problem> {
    services.database.ping().await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "status": "ready" })))
}
