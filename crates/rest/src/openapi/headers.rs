//! Headers that every route reads.

use actix_web::http::Method;
use utoipa::openapi::{
    KnownFormat, Object, ObjectBuilder, OpenApi as Document, RefOr, SchemaFormat,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn},
    schema::{SchemaType, Type},
};

use super::{is_secured, operations};

/// Adds `X-Tenant-ID` where a credential is shown and the path names no tenant, and `Idempotency-Key` where it is honoured.
pub(super) fn add(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        if !path.starts_with("/v1/") {
            continue;
        }
        for (method, operation) in operations(item) {
            if is_secured(operation) && !path.starts_with("/v1/tenants/{") {
                push(operation, tenant());
            }
            if method == Method::POST {
                push(operation, idempotency_key());
            }
        }
    }
}

fn push(operation: &mut Operation, parameter: Parameter) {
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(RefOr::T(parameter));
}

fn header(name: &str, description: &str, schema: Object) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

fn tenant() -> Parameter {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    header(
        "X-Tenant-ID",
        "The tenant of the request, for somebody who is in several; `X-Workspace-ID` means the same. It must agree with the \
         API key.",
        text().format(Some(format)).build(),
    )
}

fn idempotency_key() -> Parameter {
    header(
        "Idempotency-Key",
        "Repeated within 24 hours with the same request, it gets the first answer and does nothing.",
        text()
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]+$"))
            .build(),
    )
}
