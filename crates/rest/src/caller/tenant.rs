//! Which tenant a request names by itself, in a header or in its path.

use actix_web::{
    HttpRequest,
    http::{
        StatusCode,
        header::{HeaderMap, HeaderName},
    },
};
use kernel::{FieldError, TenantId};
use uuid::Uuid;

use crate::Problem;

/// The header, and its alias for those who say workspace.
const HEADERS: [(&str, HeaderName); 2] = [
    ("X-Tenant-ID", HeaderName::from_static("x-tenant-id")),
    ("X-Workspace-ID", HeaderName::from_static("x-workspace-id")),
];

/// The tenant that `X-Tenant-ID` or `X-Workspace-ID` names.
///
/// # Errors
/// 422 on the header for what is no UUID; 400 `tenancy.ambiguous` for two that differ.
pub fn named(headers: &HeaderMap) -> Result<Option<TenantId>, Problem> {
    let mut named = None;
    for (name, header) in HEADERS {
        for value in headers.get_all(header) {
            let text = value.to_str().unwrap_or_default().trim();
            let id = Uuid::try_parse(text)
                .map_err(|_| FieldError::new(name, "invalid_uuid", "must be a UUID"))?;
            if named.is_some_and(|other| other != id) {
                return Err(ambiguous());
            }
            named = Some(id);
        }
    }
    Ok(named.map(TenantId::from))
}

/// The tenant that the path names: under `/v1/tenants/{id}`, and only once the request has its route. What is no UUID is for the handler
/// to refuse.
#[must_use]
pub fn of_path(request: &HttpRequest) -> Option<TenantId> {
    let pattern = request.match_pattern()?;
    let (_, text) = request
        .match_info()
        .iter()
        .next()
        .filter(|_| pattern.starts_with("/v1/tenants/{"))?;
    Uuid::try_parse(text).ok().map(TenantId::from)
}

/// 400: key, path, headers and token do not agree.
#[must_use]
pub fn ambiguous() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "tenancy.ambiguous",
        "The request names two different tenants.",
    )
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError, test::TestRequest};

    use super::*;

    const A: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const B: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

    fn naming(headers: &[(&'static str, &str)]) -> Result<Option<String>, u16> {
        let mut request = TestRequest::default();
        for (name, value) in headers {
            request = request.append_header((*name, (*value).to_owned()));
        }
        named(request.to_http_request().headers())
            .map(|id| id.map(|id| id.to_string()))
            .map_err(|problem| problem.status_code().as_u16())
    }

    #[test]
    fn both_headers_mean_the_same() {
        assert_eq!(naming(&[]), Ok(None));
        assert_eq!(naming(&[("x-tenant-id", A)]), Ok(Some(A.to_owned())));
        assert_eq!(
            naming(&[("x-workspace-id", A), ("x-tenant-id", A)]),
            Ok(Some(A.to_owned()))
        );
        assert_eq!(
            naming(&[("x-workspace-id", A), ("x-tenant-id", B)]),
            Err(400)
        );
        assert_eq!(naming(&[("x-tenant-id", A), ("x-tenant-id", B)]), Err(400));
        assert_eq!(naming(&[("x-workspace-id", "acme")]), Err(422));
    }
}
