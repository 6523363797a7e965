//! Making a key.

use audit::{Crud, NewEvent, Target};
use kernel::{
    ApiKeyId, Denied, EnvironmentId, FieldError, Grant, Name, Permission, PermissionSet, Principal,
    PrincipalKind, ProjectId, StoreError, text,
};
use time::OffsetDateTime;

use super::{ApiKey, parse_scopes};
use crate::{KeyHash, KeyStore, KeyText, permissions};

/// How a client names an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentRef {
    /// By id.
    Id(EnvironmentId),
    /// By name, among those of the key's project.
    Name(String),
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What people call it.
    pub name: Name,
    /// What it may do, as the client wrote it.
    pub scopes: Vec<String>,
    /// The only project it may touch.
    pub project_id: Option<ProjectId>,
    /// The environment it is for; implies the project.
    pub environment: Option<EnvironmentRef>,
    /// When it ends by itself. A key that a key makes ends with its maker when this is `None`, and at the latest.
    pub expires_at: Option<OffsetDateTime>,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateKeyError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A field breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The key would do what its creator may not.
    #[error("the scope {0} exceeds what its creator may do")]
    ExceedsCreator(Permission),
    /// A usable key of the tenant has this name.
    #[error("another key has this name")]
    NameTaken,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for CreateKeyError {
    fn from(error: StoreError) -> Self {
        if error.conflicts_with("api_keys_live_name_key") {
            Self::NameTaken
        } else {
            Self::Store(error)
        }
    }
}

/// Makes a key out of `text`, of which `hash` is kept.
///
/// # Errors
/// See [`CreateKeyError`].
pub fn create(
    store: &mut dyn KeyStore,
    new: NewKey,
    text: &KeyText,
    hash: &KeyHash,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<ApiKey, CreateKeyError> {
    let tenant_id = by.may(&permissions::API_KEY_CREATE)?;
    let scopes = parse_scopes(&new.scopes)?;
    if let Some(code) = exceeding(by, &scopes) {
        return Err(CreateKeyError::ExceedsCreator(code));
    }
    if new.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(FieldError::new("expires_at", "in_the_past", "must be in the future").into());
    }
    let latest = end_of_maker(store, by)?;
    if let (Some(asked), Some(latest)) = (new.expires_at, latest)
        && asked > latest
    {
        let message = "must not be later than the end of the key that makes it";
        return Err(FieldError::new("expires_at", "out_of_range", message).into());
    }
    let (project_id, environment_id) = place(store, &new, by)?;
    let key = ApiKey {
        id: ApiKeyId::new(now),
        tenant_id,
        name: new.name,
        key_id: text.key_id().to_owned(),
        mode: text.mode(),
        scopes,
        project_id,
        environment_id,
        created_by: by.user_id,
        expires_at: new.expires_at.or(latest),
        revoked_at: None,
        revoked_reason: None,
        overlap_until: None,
        rotated_from: None,
        last_used_at: None,
        created_at: now,
    };
    store.insert_key(&key, hash)?;
    let target = Target::new("api_key", key.id, key.name.as_str());
    let event = NewEvent::new(tenant_id, "api_key.created", Crud::Create, target, by, now)
        .field("prefix", key.prefix())
        .field("scopes", written(&key.scopes));
    store.record(event)?;
    Ok(key)
}

/// When the key that acts ends by itself: else one that leaked could make itself a successor without an end. `None` for people.
pub(super) fn end_of_maker(
    store: &mut dyn KeyStore,
    by: &Principal,
) -> Result<Option<OffsetDateTime>, StoreError> {
    let (PrincipalKind::ApiKey, Some(grant)) = (by.kind, &by.grant) else {
        return Ok(None);
    };
    let maker = store.key(grant.tenant_id, by.id.into())?;
    Ok(maker.and_then(|maker| maker.ends_at()))
}

/// The first scope that the principal does not hold.
pub(super) fn exceeding(by: &Principal, scopes: &PermissionSet) -> Option<Permission> {
    let held = by.grant.as_ref().map(|grant| &grant.permissions);
    held.map_or_else(|| scopes.iter().next(), |held| held.first_missing(scopes))
        .cloned()
}

/// The scopes as one line of text, for the trail.
pub(super) fn written(scopes: &PermissionSet) -> String {
    scopes
        .iter()
        .map(Permission::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The project and the environment of a new key. Whoever is held to one project makes keys for that project only.
fn place(
    store: &mut dyn KeyStore,
    new: &NewKey,
    by: &Principal,
) -> Result<(Option<ProjectId>, Option<EnvironmentId>), CreateKeyError> {
    let tenant_id = by.tenant_id()?;
    let held_to = by.grant.as_ref().and_then(|grant: &Grant| grant.project_id);
    let asked = new.project_id.or(held_to);
    if let Some(project_id) = asked
        && ((held_to.is_some() && held_to != asked) || !store.has_project(tenant_id, project_id)?)
    {
        return Err(FieldError::new(
            "project_id",
            "unknown_project",
            "must be a project of the tenant",
        )
        .into());
    }
    let Some(wanted) = &new.environment else {
        return Ok((asked, None));
    };
    if let EnvironmentRef::Name(name) = wanted {
        text::check("environment", name, 255)?;
    }
    let found = store.environment(tenant_id, asked, wanted)?;
    match found {
        Some((environment_id, project_id)) if asked.is_none_or(|asked| asked == project_id) => {
            Ok((Some(project_id), Some(environment_id)))
        }
        _ => Err(FieldError::new(
            "environment",
            "unknown_environment",
            "must be live, test, or an environment of the project",
        )
        .into()),
    }
}
