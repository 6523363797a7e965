//! How a request becomes a [`Principal`].
//!
//! | file | what is in it |
//! |---|---|
//! | [`credential`] | what a request shows: a token, a key, or the operators' key |
//! | [`tenant`] | which tenant its headers name |
//! | [`cache`] | what the database knows of somebody, for as long as it is known to be so |
//! | [`authenticator`] | the way from one to the other |
//!
//! Handlers take [`Caller`]. Under `/v1/tenants/{id}` the path names the tenant, and the caller is resolved for that one.

pub mod authenticator;
pub mod cache;
pub mod credential;
pub mod tenant;

use std::{future::Future, ops::Deref, pin::Pin};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
    web::Data,
};
use app::authenticate::{AuthenticateError, Named};
use identity::{AccessError, HasherError};
use kernel::{CommandRef, Principal, RequestInfo};

pub use self::{authenticator::Authenticator, cache::AccessCache};
use crate::{Problem, Services, edge, rate_limit::Standing, tenancy::tenants::no_such_tenant};

/// Who makes the request. A request without a credential, or with a bad one, gets no further.
#[derive(Debug, Clone)]
pub struct Caller(pub Principal);

impl Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl Caller {
    /// Who makes the request; nobody, when it shows no credential.
    ///
    /// # Errors
    /// See [`AuthenticateError`] and [`credential::read`]: a credential that is shown must be good.
    pub async fn or_anonymous(request: &HttpRequest) -> Result<Self, Problem> {
        let found = Self::find(request).await?;
        Ok(found.unwrap_or_else(|| Self(Principal::anonymous(info(request)))))
    }

    async fn find(request: &HttpRequest) -> Result<Option<Self>, Problem> {
        let services = request
            .app_data::<Data<Services>>()
            .ok_or_else(|| Problem::unexpected("the services are not part of the app"))?;
        let Some(shown) = credential::read(request.headers())? else {
            return Ok(None);
        };
        let header = tenant::named(request.headers())?;
        let named = Named {
            path: tenant::of_path(request),
            header,
        };
        let principal = services
            .authenticator
            .principal(shown, named, info(request))
            .await?;
        count(request, services, &principal)?;
        Ok(Some(Self(principal)))
    }
}

/// Counts the request against the caller's rate limit: once, though the idempotency layer and the handler both ask who calls.
fn count(request: &HttpRequest, services: &Services, by: &Principal) -> Result<(), Problem> {
    if request.extensions().contains::<Standing>() {
        return Ok(());
    }
    if let Some(standing) = services.limits.admit(by)? {
        request.extensions_mut().insert(standing);
    }
    Ok(())
}

/// What is known about the request, with the command that its `Idempotency-Key` stands for.
#[must_use]
pub fn info(request: &HttpRequest) -> RequestInfo {
    let command = request.extensions().get::<CommandRef>().cloned();
    RequestInfo {
        command,
        ..edge::info_of(request)
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let found = Self::find(&request).await?;
            found.ok_or_else(unauthenticated)
        })
    }
}

/// 401. One answer for every credential that is missing, forged, expired, revoked or unknown.
#[must_use]
pub fn unauthenticated() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "identity.unauthenticated",
        "Show a valid token or API key in the Authorization header.",
    )
    .header(header::WWW_AUTHENTICATE, "Bearer")
}

/// 403: the person is who they say, and is waiting to be let in or was switched off.
#[must_use]
pub fn not_active() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "identity.not_active",
        "The user is not active.",
    )
}

impl From<AuthenticateError> for Problem {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Unauthenticated => unauthenticated(),
            AuthenticateError::KeysUnavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "identity.keys_unavailable",
                "The issuer of the token cannot be reached. Try again shortly.",
            )
            .header(header::RETRY_AFTER, 2),
            AuthenticateError::AmbiguousTenant => tenant::ambiguous(),
            AuthenticateError::NotAMember => no_such_tenant(),
            AuthenticateError::NotActive => not_active(),
            AuthenticateError::SignUp(error) => error.into(),
            AuthenticateError::Access(AccessError::Hasher(error)) => error.into(),
            AuthenticateError::Access(AccessError::Store(error))
            | AuthenticateError::Store(error) => error.into(),
        }
    }
}

impl From<HasherError> for Problem {
    fn from(error: HasherError) -> Self {
        match error {
            HasherError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "identity.busy",
                "Too many log-ins are waiting. Try again shortly.",
            )
            .header(header::RETRY_AFTER, 1),
            HasherError::Failed(_) => Self::unexpected(error),
        }
    }
}
