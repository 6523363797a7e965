//! The outermost layer: gives each request an id, names it in every problem, and counts it.

use std::{net::IpAddr, time::Instant};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use kernel::RequestInfo;
use percent_encoding::percent_decode_str;

use crate::{Problem, Services, Settings, methods::Methods, rate_limit::Standing};

/// `X-Request-ID`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known about the request; put into its extensions by [`layer`].
#[must_use]
pub fn info_of(request: &HttpRequest) -> RequestInfo {
    request
        .extensions()
        .get::<RequestInfo>()
        .cloned()
        .unwrap_or_default()
}

/// Wraps everything else.
///
/// # Errors
/// None of its own: what is inside answers with responses.
pub async fn layer(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let services = request.app_data::<Data<Services>>().cloned();
    let info = describe(
        &request,
        services.as_ref().map(|services| &services.settings),
    );
    let (id, source_ip) = (info.id.clone(), info.source_ip);
    request.extensions_mut().insert(info);
    let method = request.method().clone();
    let admitted = readable(&request)
        .and_then(|()| has_method(&request))
        .and_then(|()| {
            services
                .as_ref()
                .map_or(Ok(()), |services| services.limits.admit_sign_in(&request))
        });
    if method == Method::HEAD {
        // Answered as GET is; the connection leaves the body out.
        request.head_mut().method = Method::GET;
    }
    let mut response = match admitted {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(problem) => request.error_response(problem),
    };
    if let Some(problem) = problem_of(&response) {
        response = response.into_response(problem.respond(&id));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    // The path as the router reads it, with `%31` for what it stands for.
    let is_private = response.request().match_info().as_str().starts_with("/v1/");
    protect(response.headers_mut(), is_private);
    let standing = response.request().extensions().get::<Standing>().copied();
    if let Some(standing) = standing {
        standing.show(response.headers_mut());
    }
    let route = response
        .request()
        .match_pattern()
        .unwrap_or_else(|| "unmatched".to_owned());
    let (status, elapsed) = (response.status(), started.elapsed());
    if let Some(services) = services {
        services
            .metrics
            .observe(known(&method), &route, status.as_u16(), elapsed);
    }
    tracing::info!(
        request_id = %id, source_ip = source_ip.map(tracing::field::display), %method, route, status = status.as_u16(),
        micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), "request"
    );
    Ok(response)
}

/// What OWASP's REST security cheat sheet asks of every answer: nobody keeps what is private, guesses at its type, or frames it.
fn protect(headers: &mut HeaderMap, is_private: bool) {
    if is_private {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("frame-ancestors 'none'"),
    );
}

/// Refuses a path that is no text once decoded: what cannot be read would be replaced, and two names would become one.
fn readable(request: &ServiceRequest) -> Result<(), Problem> {
    match percent_decode_str(request.uri().path()).decode_utf8() {
        Ok(_) => Ok(()),
        Err(_) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "request.malformed_path",
            "The path is not UTF-8.",
        )),
    }
}

/// Refuses a method that the path does not have, before a route with a parameter takes the request for its own.
fn has_method(request: &ServiceRequest) -> Result<(), Problem> {
    request
        .app_data::<Data<Methods>>()
        .map_or(Ok(()), |methods| {
            methods.admit(request.method(), request.match_info().as_str())
        })
}

/// The method as a label. Anybody can invent methods, and each label is kept for good.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::HEAD
        | Method::OPTIONS => method.as_str(),
        _ => "OTHER",
    }
}

/// The problem behind an answer, whoever found it: a handler, an extractor, or actix itself.
fn problem_of(response: &ServiceResponse<BoxBody>) -> Option<Problem> {
    let status = response.status();
    if let Some(error) = response.response().error() {
        return Some(
            error
                .as_error::<Problem>()
                .cloned()
                .unwrap_or_else(|| foreign(status, error)),
        );
    }
    None
}

fn foreign(status: StatusCode, error: &Error) -> Problem {
    if status.is_client_error() {
        Problem::new(status, "request.refused", "The request could not be read.")
    } else {
        Problem::unexpected(error)
    }
}

/// 405 for a method that a path does not have, 404 for a path that does not exist.
pub(crate) async fn no_route(
    request: HttpRequest,
    methods: Data<Methods>,
) -> Result<HttpResponse, Problem> {
    Err(methods.unrouted(request.method(), request.match_info().as_str()))
}

fn describe(request: &ServiceRequest, settings: Option<&Settings>) -> RequestInfo {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let given = header("x-request-id").filter(|id| {
        (1..=128).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    });
    RequestInfo {
        id: given.map_or_else(new_id, str::to_owned),
        source_ip: client_address(request, settings),
        user_agent: header("user-agent").map(|agent| agent.chars().take(255).collect()),
        command: None,
    }
}

/// The nearest address that is not one of our own proxies. What stands further left in `X-Forwarded-For` anybody may have written.
fn client_address(request: &ServiceRequest, settings: Option<&Settings>) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let trusts =
        |address: IpAddr| settings.is_some_and(|settings| (settings.trusts_proxy)(address));
    if !trusts(peer) {
        return Some(peer);
    }
    let values = request.headers().get_all("x-forwarded-for");
    let list: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    // From the right, for as long as it can be read: behind the first stranger, nothing is to be believed.
    let hops = list.iter().flat_map(|value| value.split(',')).rev();
    let hops = hops.map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    let mut nearest = peer;
    for hop in hops {
        nearest = hop;
        if !trusts(hop) {
            break;
        }
    }
    Some(nearest)
}

fn new_id() -> String {
    format!("{:032x}", u128::from_be_bytes(kernel::id::random_bytes()))
}
