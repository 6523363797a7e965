//! API keys.

use actix_web::{
    HttpResponse, get,
    http::{StatusCode, header},
    post,
    web::{Data, Json},
};
use identity::{
    ApiKey, CreateKeyError, EnvironmentRef, KeyMode, KeyText, NewKey, PermissionQuery,
    ReadKeyError, RevokeKeyError, RotateKeyError, Verification, VerifyCode, VerifyKeyError,
};
use kernel::{ApiKeyId, EnvironmentId, FieldError, Name, Permission, ProjectId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::{
    Caller, Problem, Services,
    body::{self, Body, OptionalBody, Params, PathId},
    idempotency::ShownOnce,
    openapi::texts,
    page::{ListBody, PageQuery},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    // `verify` comes before `{id}`, which would take the word for an id.
    config
        .service(verify)
        .service(create)
        .service(list)
        .service(read)
        .service(revoke)
        .service(rotate);
}

/// What a replay of an `Idempotency-Key` does not show again.
const SECRETS: ShownOnce = ShownOnce(&["key"]);

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct KeyBody {
    id: Uuid,
    /// The part of the key that is no secret.
    prefix: String,
    name: String,
    /// `live` or `test`.
    mode: &'static str,
    /// The most it may do; what its creator may no longer do, it may no longer do either.
    scopes: Vec<String>,
    project_id: Option<Uuid>,
    environment_id: Option<Uuid>,
    created_by: Option<Uuid>,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    revoked_at: Option<OffsetDateTime>,
    revoked_reason: Option<String>,
    /// Set when another key has taken its place: until then it still works.
    #[serde(with = "time::serde::rfc3339::option")]
    overlap_until: Option<OffsetDateTime>,
    /// The key whose place it took.
    rotated_from: Option<Uuid>,
    /// To the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<ApiKey> for KeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.into(),
            prefix: key.prefix(),
            name: key.name.to_string(),
            mode: key.mode.as_str(),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            project_id: key.project_id.map(Uuid::from),
            environment_id: key.environment_id.map(Uuid::from),
            created_by: key.created_by.map(Uuid::from),
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            revoked_reason: key.revoked_reason,
            overlap_until: key.overlap_until,
            rotated_from: key.rotated_from.map(Uuid::from),
            last_used_at: key.last_used_at,
            created_at: key.created_at,
        }
    }
}

/// A new key, with its secret: shown here and never again.
#[derive(Serialize, ToSchema)]
#[schema(as = NewApiKey)]
struct ShownKeyBody {
    /// The key itself. Null when the answer is a replay.
    #[schema(value_type = Option<String>)]
    key: String,
    #[serde(flatten)]
    about: KeyBody,
}

fn shown(key: ApiKey, text: &KeyText) -> HttpResponse {
    let body = ShownKeyBody {
        key: text.reveal().to_owned(),
        about: key.into(),
    };
    let mut response = HttpResponse::Created()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body);
    response.extensions_mut().insert(SECRETS);
    response
}

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyCreation)]
struct NewKeyBody {
    /// 1 to 255 characters; no other usable key of the tenant may have it.
    #[schema(value_type = texts::Name)]
    name: String,
    /// Permission codes, wildcards such as `project.*`, or `read` and `write`. None allow nothing.
    #[schema(max_items = 100)]
    scopes: Vec<String>,
    /// `live`, which is the default, or `test`.
    #[schema(pattern = "^(live|test)$")]
    mode: Option<String>,
    /// `live` or `test`, as `mode`; or an environment of the project, by id or name.
    #[schema(value_type = Option<texts::ShortText>)]
    environment: Option<String>,
    /// An environment of a project.
    environment_id: Option<Uuid>,
    /// The only project that the key may touch.
    project_id: Option<Uuid>,
    /// When it ends by itself.
    #[serde(default, deserialize_with = "crate::body::instant")]
    expires_at: Option<OffsetDateTime>,
}

impl NewKeyBody {
    fn read(self) -> Result<(KeyMode, NewKey), FieldError> {
        let by_word = self.environment.as_deref().and_then(KeyMode::parse);
        let by_mode = self
            .mode
            .as_deref()
            .map(|mode| {
                let unknown = || FieldError::new("mode", "unknown_value", "must be live or test");
                KeyMode::parse(mode).ok_or_else(unknown)
            })
            .transpose()?;
        if by_word.is_some() && by_mode.is_some() && by_word != by_mode {
            return Err(FieldError::new(
                "environment",
                "contradiction",
                "must agree with mode",
            ));
        }
        let named = self.environment.filter(|_| by_word.is_none()).map(|text| {
            text.parse::<EnvironmentId>()
                .map_or(EnvironmentRef::Name(text), EnvironmentRef::Id)
        });
        let by_id = self.environment_id.map(|id| EnvironmentRef::Id(id.into()));
        let new = NewKey {
            name: Name::parse("name", &self.name)?,
            scopes: self.scopes,
            project_id: self.project_id.map(ProjectId::from),
            environment: by_id.or(named),
            expires_at: self.expires_at,
        };
        Ok((by_mode.or(by_word).unwrap_or(KeyMode::Live), new))
    }
}

/// Makes a key. Its text is shown in this answer and never again. Needs `api_key.create`, and every scope that the key gets.
#[utoipa::path(
    tag = "api keys",
    request_body = NewKeyBody,
    responses(
        (status = 201, description = "The key", body = ShownKeyBody),
        (status = 403, description = "`identity.scope_exceeds_creator`"),
        (status = 409, description = "`identity.key_name_taken`")
    )
)]
#[post("/v1/api-keys")]
async fn create(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<NewKeyBody>,
) -> Result<HttpResponse, Problem> {
    let (mode, new) = body.read()?;
    let (key, text) = services.identity.create_key(mode, new, &caller).await?;
    Ok(shown(key, &text))
}

/// The tenant's keys, newest first, ended ones included. Needs `api_key.read`.
#[utoipa::path(
    tag = "api keys",
    params(PageQuery),
    responses((status = 200, description = "A page of keys", body = ListBody<KeyBody>))
)]
#[get("/v1/api-keys")]
async fn list(
    services: Data<Services>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Json<ListBody<KeyBody>>, Problem> {
    let keys = services.identity.keys(page.parse()?, &caller).await?;
    Ok(Json(ListBody::of(keys, KeyBody::from)))
}

/// One key. Needs `api_key.read`.
#[utoipa::path(
    tag = "api keys",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The key", body = KeyBody),
        (status = 404, description = "`identity.key_not_found`")
    )
)]
#[get("/v1/api-keys/{id}")]
async fn read(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
) -> Result<Json<KeyBody>, Problem> {
    Ok(Json(services.identity.key(id, &caller).await?.into()))
}

/// Why a key is ended.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyRevocation)]
struct RevokeBody {
    /// At most 255 characters.
    #[schema(value_type = Option<texts::ShortText>)]
    reason: Option<String>,
}

/// Ends a key for good, everywhere within a second. Ending it again changes nothing. Needs `api_key.delete`.
#[utoipa::path(
    tag = "api keys",
    params(("id" = Uuid, Path)),
    request_body = Option<RevokeBody>,
    responses(
        (status = 200, description = "The key", body = KeyBody),
        (status = 404, description = "`identity.key_not_found`")
    )
)]
#[post("/v1/api-keys/{id}/revoke")]
async fn revoke(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    body: OptionalBody<RevokeBody>,
) -> Result<Json<KeyBody>, Problem> {
    let key = services
        .identity
        .revoke_key(id, body.0.reason, &caller)
        .await?;
    Ok(Json(key.into()))
}

/// How a key is rotated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyRotation)]
struct RotateBody {
    /// How long the old key goes on to work: 0 to 2,592,000.
    #[serde(default, deserialize_with = "body::whole")]
    #[schema(minimum = 0, maximum = 2_592_000)]
    overlap_seconds: i64,
}

/// Puts a new key in the place of another: same name, scopes and project. Needs `api_key.write`, and every scope of the key.
#[utoipa::path(
    tag = "api keys",
    params(("id" = Uuid, Path)),
    request_body = Option<RotateBody>,
    responses(
        (status = 201, description = "The new key", body = ShownKeyBody),
        (status = 403, description = "`identity.scope_exceeds_creator`"),
        (status = 404, description = "`identity.key_not_found`"),
        (status = 409, description = "`identity.key_not_live`")
    )
)]
#[post("/v1/api-keys/{id}/rotate")]
async fn rotate(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    body: OptionalBody<RotateBody>,
) -> Result<HttpResponse, Problem> {
    let (key, text) = services
        .identity
        .rotate_key(id, body.0.overlap_seconds, &caller)
        .await?;
    Ok(shown(key, &text))
}

/// A key that somebody has shown to another service.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyQuestion)]
struct VerifyBody {
    #[schema(value_type = String)]
    key: secrecy::SecretString,
    /// What it must allow, such as `a.read AND (b.write OR c.read)`.
    #[schema(max_length = 1000)]
    permissions: Option<String>,
}

/// Whether a key is good.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeyVerification)]
struct VerificationBody {
    valid: bool,
    /// `VALID`, `NOT_FOUND`, `REVOKED`, `EXPIRED`, `INSUFFICIENT_PERMISSIONS` or `RATE_LIMITED`.
    code: &'static str,
    tenant_id: Option<Uuid>,
    key_id: Option<Uuid>,
    /// What the key may do now.
    scopes: Vec<String>,
}

impl From<Verification> for VerificationBody {
    fn from(verification: Verification) -> Self {
        let (tenant_id, key_id, scopes) = match verification.key {
            Some((tenant_id, key_id, permissions)) => {
                let scopes = permissions.iter().map(ToString::to_string).collect();
                (Some(tenant_id.into()), Some(key_id.into()), scopes)
            }
            None => (None, None, Vec::new()),
        };
        let (valid, code) = (
            verification.code == VerifyCode::Valid,
            verification.code.as_str(),
        );
        Self {
            valid,
            code,
            tenant_id,
            key_id,
            scopes,
        }
    }
}

/// Tells another service whether a key of this tenant is good, and for what. Needs `api_key.read`.
#[utoipa::path(
    tag = "api keys",
    request_body = VerifyBody,
    responses((status = 200, description = "The answer", body = VerificationBody))
)]
#[post("/v1/api-keys/verify")]
async fn verify(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<VerifyBody>,
) -> Result<Json<VerificationBody>, Problem> {
    let wanted = body.permissions.as_deref();
    let wanted = wanted
        .map(|text| PermissionQuery::parse("permissions", text))
        .transpose()?;
    let key = secrecy::ExposeSecret::expose_secret(&body.key);
    Ok(Json(
        services
            .identity
            .verify_key(key, wanted, &caller)
            .await?
            .into(),
    ))
}

fn no_such_key() -> Problem {
    Problem::not_found("identity.key_not_found", "API key")
}

fn exceeds_creator(code: &Permission) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "identity.scope_exceeds_creator",
        format!("You do not hold {code}, so no key of yours may."),
    )
    .with("required", code.as_str())
}

impl From<CreateKeyError> for Problem {
    fn from(error: CreateKeyError) -> Self {
        match error {
            CreateKeyError::Denied(error) => error.into(),
            CreateKeyError::Invalid(error) => error.into(),
            CreateKeyError::ExceedsCreator(code) => exceeds_creator(&code),
            CreateKeyError::NameTaken => Self::conflict(
                "identity.key_name_taken",
                "Another usable key has this name.",
            ),
            CreateKeyError::Store(error) => error.into(),
        }
    }
}

impl From<ReadKeyError> for Problem {
    fn from(error: ReadKeyError) -> Self {
        match error {
            ReadKeyError::Denied(error) => error.into(),
            ReadKeyError::Invalid(error) => error.into(),
            ReadKeyError::NotFound => no_such_key(),
            ReadKeyError::Store(error) => error.into(),
        }
    }
}

impl From<RevokeKeyError> for Problem {
    fn from(error: RevokeKeyError) -> Self {
        match error {
            RevokeKeyError::Denied(error) => error.into(),
            RevokeKeyError::Invalid(error) => error.into(),
            RevokeKeyError::NotFound => no_such_key(),
            RevokeKeyError::Store(error) => error.into(),
        }
    }
}

impl From<RotateKeyError> for Problem {
    fn from(error: RotateKeyError) -> Self {
        match error {
            RotateKeyError::Denied(error) => error.into(),
            RotateKeyError::Invalid(error) => error.into(),
            RotateKeyError::NotFound => no_such_key(),
            RotateKeyError::NotLive => Self::conflict(
                "identity.key_not_live",
                "The key has ended, or another key has its place already.",
            ),
            RotateKeyError::ExceedsCreator(code) => exceeds_creator(&code),
            RotateKeyError::Store(error) => error.into(),
        }
    }
}

impl From<VerifyKeyError> for Problem {
    fn from(error: VerifyKeyError) -> Self {
        match error {
            VerifyKeyError::Denied(error) => error.into(),
            VerifyKeyError::Invalid(error) => error.into(),
            VerifyKeyError::Hasher(error) => error.into(),
            VerifyKeyError::Store(error) => error.into(),
        }
    }
}
