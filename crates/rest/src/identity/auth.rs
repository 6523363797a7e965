//! The built-in log-in.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    post,
    web::Data,
};
use app::sign_up::{Registration, SignUpError};
use billing::subscription::SubscribeError;
use identity::{Email, LogInError, Password, RefreshError, RegisterError, Tokens, User};
use kernel::Name;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::{
    Problem, Services,
    body::Body,
    caller,
    idempotency::ShownOnce,
    openapi::texts::{self, EmailAddress, NewPassword},
    tenancy::tenants::TenantBody,
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(register)
        .service(log_in)
        .service(refresh)
        .service(log_out);
}

/// What a replay of an `Idempotency-Key` does not show again.
const SECRETS: ShownOnce = ShownOnce(&["access_token", "refresh_token"]);

/// A person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserBody {
    id: Uuid,
    email: String,
    /// Whether they have shown that the address is theirs.
    email_verified: bool,
    name: Option<String>,
    /// `invited`, `waitlist`, `active`, `inactive`, `banned` or `archived`.
    status: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id.into(),
            email: user.email.to_string(),
            email_verified: user.email_verified,
            name: user.name.map(|name| name.to_string()),
            status: user.status.as_str(),
            created_at: user.created_at,
        }
    }
}

/// What somebody goes on with.
#[derive(Serialize, ToSchema)]
#[schema(as = LoggedIn)]
struct LoggedInBody {
    user: UserBody,
    /// Their first tenant; only after registering.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantBody>,
    /// For `Authorization: Bearer`.
    access_token: String,
    /// Buys the next pair, once.
    refresh_token: String,
    /// Seconds that the access token lives.
    expires_in: i64,
    /// `Bearer`.
    token_type: &'static str,
}

fn logged_in(
    status: StatusCode,
    user: User,
    tenant: Option<tenancy::Tenant>,
    tokens: &Tokens,
) -> HttpResponse {
    let mut response = HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(LoggedInBody {
            user: user.into(),
            tenant: tenant.map(TenantBody::from),
            access_token: tokens.access_token.expose_secret().to_owned(),
            refresh_token: tokens.refresh_token.expose_secret().to_owned(),
            expires_in: tokens.expires_in.whole_seconds(),
            token_type: "Bearer",
        });
    response.extensions_mut().insert(SECRETS);
    response
}

/// Somebody who registers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Registration)]
struct RegistrationBody {
    #[schema(value_type = EmailAddress)]
    email: String,
    /// 10 to 256 characters.
    #[schema(value_type = NewPassword)]
    password: SecretString,
    #[schema(value_type = Option<texts::Name>)]
    name: Option<String>,
}

/// Somebody who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LogIn)]
struct LogInBody {
    #[schema(value_type = EmailAddress)]
    email: String,
    #[schema(value_type = String)]
    password: SecretString,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RefreshToken)]
struct RefreshBody {
    #[schema(value_type = String)]
    refresh_token: SecretString,
}

/// Signs somebody up: makes them, their personal tenant and its free subscription, and logs them in.
#[utoipa::path(
    tag = "identity",
    security(()),
    request_body = RegistrationBody,
    responses(
        (status = 201, description = "The user, their tenant, and tokens", body = LoggedInBody),
        (status = 403, description = "`identity.local_signup_disabled`"),
        (status = 409, description = "`identity.email_taken`")
    )
)]
#[post("/v1/auth/register")]
async fn register(
    services: Data<Services>,
    request: HttpRequest,
    Body(body): Body<RegistrationBody>,
) -> Result<HttpResponse, Problem> {
    let registration = Registration {
        email: Email::parse("email", &body.email)?,
        password: Password::new("password", body.password)?,
        name: body
            .name
            .map(|name| Name::parse("name", &name))
            .transpose()?,
    };
    let info = caller::info(&request);
    let (user, tenant, tokens) = services.app.register(registration, info).await?;
    Ok(logged_in(StatusCode::CREATED, user, tenant, &tokens))
}

/// Logs somebody in. An unknown address takes as long as a wrong password, and answers the same.
#[utoipa::path(
    tag = "identity",
    security(()),
    request_body = LogInBody,
    responses(
        (status = 200, description = "The user, and tokens", body = LoggedInBody),
        (status = 401, description = "`identity.invalid_credentials`")
    )
)]
#[post("/v1/auth/login")]
async fn log_in(
    services: Data<Services>,
    request: HttpRequest,
    Body(body): Body<LogInBody>,
) -> Result<HttpResponse, Problem> {
    let email = Email::parse("email", &body.email)?;
    let info = caller::info(&request);
    let (user, tokens) = services.identity.log_in(email, body.password, info).await?;
    Ok(logged_in(StatusCode::OK, user, None, &tokens))
}

/// Exchanges a refresh token for the next pair. Showing one twice ends the session.
#[utoipa::path(
    tag = "identity",
    security(()),
    request_body = RefreshBody,
    responses(
        (status = 200, description = "The user, and new tokens", body = LoggedInBody),
        (status = 401, description = "`identity.invalid_credentials`")
    )
)]
#[post("/v1/auth/refresh")]
async fn refresh(
    services: Data<Services>,
    request: HttpRequest,
    Body(body): Body<RefreshBody>,
) -> Result<HttpResponse, Problem> {
    let info = caller::info(&request);
    let (user, tokens) = services.identity.refresh(body.refresh_token, info).await?;
    Ok(logged_in(StatusCode::OK, user, None, &tokens))
}

/// Ends the session of a refresh token, and its access tokens with it. Ending it twice is no error.
#[utoipa::path(
    tag = "identity",
    security(()),
    request_body = RefreshBody,
    responses(
        (status = 204, description = "The session is over"),
        (status = 401, description = "`identity.invalid_credentials`")
    )
)]
#[post("/v1/auth/logout")]
async fn log_out(
    services: Data<Services>,
    request: HttpRequest,
    Body(body): Body<RefreshBody>,
) -> Result<HttpResponse, Problem> {
    services
        .identity
        .log_out(body.refresh_token, caller::info(&request))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn invalid_credentials(detail: &'static str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "identity.invalid_credentials",
        detail,
    )
    .header(header::WWW_AUTHENTICATE, "Bearer")
}

fn disabled() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "identity.local_signup_disabled",
        "People sign in with an identity provider here, not with a password.",
    )
}

impl From<LogInError> for Problem {
    fn from(error: LogInError) -> Self {
        match error {
            LogInError::Disabled => disabled(),
            LogInError::InvalidCredentials => {
                invalid_credentials("The e-mail address or the password is wrong.")
            }
            LogInError::NotActive => caller::not_active(),
            LogInError::Hasher(error) => error.into(),
            LogInError::Mint(error) => Self::unexpected(error),
            LogInError::Store(error) => error.into(),
        }
    }
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Disabled => disabled(),
            RefreshError::Invalid => invalid_credentials("The refresh token is not valid."),
            RefreshError::Mint(error) => Self::unexpected(error),
            RefreshError::Store(error) => error.into(),
        }
    }
}

/// Each kind by name: what stands for all others would also swallow a store that is merely away.
impl From<SignUpError> for Problem {
    fn from(error: SignUpError) -> Self {
        match error {
            SignUpError::Disabled => disabled(),
            SignUpError::User(RegisterError::EmailTaken) => Self::conflict(
                "identity.email_taken",
                "Somebody has registered with this e-mail address.",
            ),
            SignUpError::Tenant(error) => error.into(),
            SignUpError::Limit(error) => error.into(),
            SignUpError::Invalid(error) => error.into(),
            SignUpError::Hasher(error) => error.into(),
            SignUpError::User(RegisterError::Store(error))
            | SignUpError::Subscription(SubscribeError::Store(error))
            | SignUpError::Store(error) => error.into(),
            // The first plan and a new tenant are ours to get right.
            SignUpError::User(RegisterError::IdentityTaken)
            | SignUpError::Subscription(
                SubscribeError::Invalid(_) | SubscribeError::AlreadySubscribed,
            )
            | SignUpError::Mint(_) => Self::unexpected(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::StoreError;
    use tenancy::tenant::CreateTenantError;

    use super::*;

    #[test]
    fn a_database_that_goes_away_in_the_middle_of_a_sign_up_is_unavailable() {
        let away = || StoreError::Unavailable("the database system is shutting down".to_owned());
        let at_each_step = [
            SignUpError::User(RegisterError::Store(away())),
            SignUpError::Tenant(CreateTenantError::Store(away())),
            SignUpError::Subscription(SubscribeError::Store(away())),
            SignUpError::Store(away()),
        ];
        for error in at_each_step {
            assert_eq!(Problem::from(error).code(), "unavailable");
        }
    }
}
