//! Problems that every route may answer with, beside its own.

use actix_web::http::Method;
use utoipa::openapi::{
    Content, HeaderBuilder, Object, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder,
    path::Operation,
    schema::{SchemaType, Type},
};

use super::{is_secured, operations};

/// A status, the name of its answer among the components, and the codes it stands for wherever it can happen.
struct Common {
    status: &'static str,
    name: &'static str,
    codes: &'static str,
    applies: fn(&Method, &Operation) -> bool,
}

const COMMON: [Common; 10] = [
    Common {
        status: "400",
        name: "BadRequest",
        codes: "`request.malformed_json`, `request.malformed_path`, `request.unreadable_body`, `identity.ambiguous_credentials`, \
                `tenancy.ambiguous`, `tenancy.no_tenant`, `idempotency.key_invalid`",
        applies: |_, _| true,
    },
    Common {
        status: "401",
        name: "Unauthenticated",
        codes: "`identity.unauthenticated`",
        applies: |_, _| true,
    },
    Common {
        status: "403",
        name: "Forbidden",
        codes: "`identity.forbidden`, `identity.not_a_user`, `identity.not_active`, `identity.local_signup_disabled`, `tenancy.read_only`",
        applies: |_, _| true,
    },
    Common {
        status: "404",
        name: "NotFound",
        codes: "`tenancy.not_found`",
        applies: |_, operation| is_secured(operation),
    },
    Common {
        status: "409",
        name: "Conflict",
        codes: "`idempotency.in_progress`, `idempotency.outcome_unknown`",
        applies: |method, _| *method == Method::POST,
    },
    Common {
        status: "413",
        name: "TooLarge",
        codes: "`request.too_large`",
        applies: |method, operation| *method == Method::POST || operation.request_body.is_some(),
    },
    Common {
        status: "415",
        name: "UnsupportedMediaType",
        codes: "`request.unsupported_media_type`",
        applies: |_, operation| operation.request_body.is_some(),
    },
    Common {
        status: "422",
        name: "Invalid",
        codes: "`request.invalid`, `idempotency.key_reused`",
        applies: |_, _| true,
    },
    Common {
        status: "429",
        name: "RateLimited",
        codes: "`request.rate_limited`",
        applies: |_, _| true,
    },
    Common {
        status: "503",
        name: "Unavailable",
        codes: "`unavailable`, `identity.busy`, `identity.keys_unavailable`",
        applies: |_, _| true,
    },
];

/// The one that stands for every defect of ours.
const INTERNAL: (&str, &str) = ("500", "Internal");

/// Adds the answers, and says of every answer that is a problem what it looks like.
pub(super) fn add(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            for (status, response) in &mut operation.responses.responses {
                if let (true, RefOr::T(response)) = (status.as_str() >= "400", response) {
                    shape(response);
                }
            }
            if path.starts_with("/v1/") {
                complete(&method, operation);
            }
        }
    }
    let components = document.components.get_or_insert_default();
    for common in &COMMON {
        let mut response = Response::new(common.codes);
        shape(&mut response);
        if matches!(common.status, "429" | "503") {
            let header = HeaderBuilder::new()
                .schema(Some(Object::with_type(SchemaType::new(Type::Integer))))
                .description(Some("Seconds until it may be tried again."));
            let header = RefOr::T(header.build());
            response.headers.insert("Retry-After".to_owned(), header);
        }
        components
            .responses
            .insert(common.name.to_owned(), response.into());
    }
    let mut internal = ResponseBuilder::new().description("`internal`").build();
    shape(&mut internal);
    components
        .responses
        .insert(INTERNAL.1.to_owned(), internal.into());
}

fn complete(method: &Method, operation: &mut Operation) {
    let internal = RefOr::Ref(Ref::from_response_name(INTERNAL.1));
    let mut answers = vec![(INTERNAL.0, internal)];
    for common in &COMMON {
        if !(common.applies)(method, operation) {
            continue;
        }
        match operation.responses.responses.get_mut(common.status) {
            // The route's own codes come first.
            Some(RefOr::T(response)) => {
                response.description = format!("{}; {}", response.description, common.codes);
            }
            _ => {
                let answer = RefOr::Ref(Ref::from_response_name(common.name));
                answers.push((common.status, answer));
            }
        }
    }
    for (status, answer) in answers {
        operation
            .responses
            .responses
            .insert(status.to_owned(), answer);
    }
}

fn shape(response: &mut Response) {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    response
        .content
        .insert("application/problem+json".to_owned(), RefOr::T(problem));
}
