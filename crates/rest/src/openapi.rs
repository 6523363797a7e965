//! The contract: OpenAPI 3.1, collected from the routes.

use actix_web::{HttpResponse, get, web::Data};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
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

/// Gives each operation a name of its own: handlers are called `list` and `create` in every file, clients need `projects_list`.
pub(crate) fn name_operations(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        let resource = path.trim_start_matches("/v1/").trim_start_matches('/');
        let resource = resource.split("/{").next().unwrap_or_default();
        let resource = resource.replace(['-', '/', '.'], "_");
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
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
#[utoipa::path(tag = "operations", responses((status = 200, description = "OpenAPI 3.1")))]
#[get("/openapi.json")]
pub(crate) async fn contract(rendered: Data<Rendered>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(rendered.0.clone())
}
