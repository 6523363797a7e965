//! The contract: OpenAPI 3.1, collected from the routes.
//!
//! | file | what is in it |
//! |---|---|
//! | `answers` | problems that every route may answer with |
//! | `headers` | headers that every route reads |
//! | `links` | which answer leads to which operation |
//! | `texts` | schemas of texts that have rules |
//!
//! A route says what is its own; what holds for all of them is said once, here.

pub(crate) mod answers;
pub(crate) mod headers;
pub(crate) mod links;
pub(crate) mod texts;

use actix_web::{HttpResponse, get, http::Method, web::Data};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document, PathItem,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::problem::ProblemBody;

/// What the document says besides the routes.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Plinth",
        description = "Tenancy, identity, billing, usage and audit for B2B SaaS.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(ProblemBody)),
    modifiers(&Credentials),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) struct Contract;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Default::default);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let key = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(key));
    }
}

/// Adds to the collected routes what holds for all of them.
pub(crate) fn complete(document: &mut Document) {
    name_operations(document);
    answers::add(document);
    headers::add(document);
    links::add(document);
}

/// Operations of a path, by method.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Whether the operation asks for a credential: it does unless it says otherwise.
fn is_secured(operation: &Operation) -> bool {
    operation.security.is_none()
}

/// Gives each operation a name of its own: handlers are called `list` and `create` in every file, clients need `projects_list`.
fn name_operations(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        let resource = path.trim_start_matches("/v1/").trim_start_matches('/');
        let resource = resource.split("/{").next().unwrap_or_default();
        let resource = resource.replace(['-', '/', '.'], "_");
        for (_, operation) in operations(item) {
            let verb = operation.operation_id.take().unwrap_or_default();
            let named = resource.ends_with(&verb);
            operation.operation_id = Some(match named {
                true => resource.clone(),
                false => format!("{resource}_{verb}"),
            });
        }
    }
}

/// The document as it is served and committed.
#[must_use]
pub fn document() -> Document {
    let (_, document) = crate::assemble(actix_web::App::new());
    document
}

/// The document, rendered once.
#[derive(Debug, Clone)]
pub(crate) struct Rendered(pub(crate) String);

/// The contract of this API.
#[utoipa::path(
    tag = "operations",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object))
)]
#[get("/openapi.json")]
pub(crate) async fn contract(rendered: Data<Rendered>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(rendered.0.clone())
}
