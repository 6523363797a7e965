//! What a client is told when a request fails: RFC 9457 problem+json.
//!
//! Codes are stable and public: each stands in `docs/errors.md`, and a test finds those that do not. Use cases have their own error enums;
//! each is turned into a [`Problem`] once, beside its route. What nobody expected is 500, logged in full and told in one sentence.

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use kernel::{Denied, FieldError, LimitReached, StoreError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::idempotency::in_progress;

/// What every problem has.
const FIELDS: [&str; 7] = [
    "type",
    "title",
    "status",
    "detail",
    "code",
    "request_id",
    "errors",
];

/// A failed request.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    extra: Map<String, Value>,
    headers: Vec<(header::HeaderName, String)>,
}

/// A problem as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Where the code is explained.
    r#type: String,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong, for people.
    detail: String,
    /// What went wrong, for programs.
    code: &'static str,
    /// `X-Request-ID` of the request.
    request_id: String,
    /// Each field that breaks a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    /// Facts of this kind of problem, such as `limit`, `max`, `used` and `plan`.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// A field that breaks a rule.
#[derive(Debug, Serialize, ToSchema)]
struct FieldProblem {
    /// The field.
    field: String,
    /// The rule.
    code: &'static str,
    /// The rule in words.
    message: String,
}

impl Problem {
    /// A problem with a stable `code`, told in `detail`.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            extra: Map::new(),
            headers: Vec::new(),
        }
    }

    /// 404. One text for what does not exist and for what is another tenant's.
    #[must_use]
    pub fn not_found(code: &'static str, what: &'static str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            code,
            format!("There is no such {what}."),
        )
    }

    /// 409.
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 412: `If-Match` names an older version.
    #[must_use]
    pub fn stale() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "request.stale",
            "It has changed since it was read: read it again, and repeat the change with the new ETag.",
        )
    }

    /// 422 with the fields that break a rule.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "request.invalid",
            "The request breaks a rule; see errors.",
        );
        problem.errors = errors;
        problem
    }

    /// 500. What happened goes to the log and nowhere else.
    pub fn unexpected(error: impl fmt::Display) -> Self {
        tracing::error!(%error, "unexpected failure");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something failed on our side. It was logged under this request_id.",
        )
    }

    /// The same problem under a code of its own.
    #[must_use]
    pub fn coded(mut self, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        self.code = code;
        self.detail = detail.into();
        self
    }

    /// Adds a fact, under a name that is no field of every problem.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        debug_assert!(
            !FIELDS.contains(&name),
            "{name} is a field of every problem"
        );
        if !FIELDS.contains(&name) {
            self.extra.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The code, for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The first field that breaks a rule, as `field:code`.
    #[cfg(test)]
    pub(crate) fn first_error(&self) -> Option<String> {
        self.errors
            .first()
            .map(|error| format!("{}:{}", error.field, error.code))
    }

    /// The answer, naming the request it belongs to.
    #[must_use]
    pub fn respond(&self, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type("application/problem+json");
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.as_str()));
        }
        let fields = self.errors.iter().map(|error| FieldProblem {
            field: error.field.clone().into_owned(),
            code: error.code,
            message: error.message.clone().into_owned(),
        });
        let body = ProblemBody {
            r#type: format!("https://plinth.dev/errors#{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail.clone().into_owned(),
            code: self.code,
            request_id: request_id.to_owned(),
            errors: fields.collect(),
            extra: self.extra.clone(),
        };
        response.body(serde_json::to_vec(&body).unwrap_or_default())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.code)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        // The outermost middleware answers again, with the request's id: see `crate::edge`.
        self.respond("")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => {
                tracing::warn!(%reason, "the database is unavailable");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "The service cannot reach its database. Try again shortly.",
                )
                .header(header::RETRY_AFTER, 2)
            }
            StoreError::Conflict { constraint } if constraint == "idempotency_lease" => {
                in_progress()
            }
            other => Self::unexpected(other),
        }
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::invalid(vec![error])
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let detail = format!("{}.", capitalise(&denied.to_string()));
        match denied {
            Denied::NoTenant => Self::new(StatusCode::BAD_REQUEST, "tenancy.no_tenant", detail),
            Denied::NotAUser => Self::new(StatusCode::FORBIDDEN, "identity.not_a_user", detail),
            Denied::Forbidden { required } => {
                Self::new(StatusCode::FORBIDDEN, "identity.forbidden", detail)
                    .with("required", required.as_str())
            }
            Denied::ReadOnly { status } => {
                Self::new(StatusCode::FORBIDDEN, "tenancy.read_only", detail)
                    .with("tenant_status", status.as_str())
            }
        }
    }
}

impl From<LimitReached> for Problem {
    fn from(reached: LimitReached) -> Self {
        Self::new(
            StatusCode::PAYMENT_REQUIRED,
            "billing.limit_reached",
            format!("{}.", capitalise(&reached.to_string())),
        )
        .with("limit", reached.limit)
        .with("max", reached.max)
        .with("used", reached.used)
        .with("plan", reached.plan)
    }
}

fn capitalise(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(rest).collect()
    })
}
