//! A tenant: the root of isolation.

use audit::{Crud, NewEvent, Target};
use kernel::{
    Denied, FieldError, Name, Principal, StoreError, TenantId, TenantStatus, UserId, Zone,
};
use time::OffsetDateTime;

use crate::{Slug, Store, membership, permissions};

/// What a tenant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantKind {
    /// Somebody's.
    Customer,
    /// A shared demonstration.
    Demo,
}

impl TenantKind {
    /// The kind as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Demo => "demo",
        }
    }
}

/// A customer's workspace or organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name in URLs, unique over the deployment.
    pub slug: Slug,
    /// Its name.
    pub name: Name,
    /// Where it stands in its life.
    pub status: TenantStatus,
    /// Why it stands there, when somebody said so.
    pub status_reason: Option<String>,
    /// What it is for.
    pub kind: TenantKind,
    /// Code of the plan that its subscription gives it.
    pub plan_code: String,
    /// Whether it was made for one person at sign-up.
    pub is_personal: bool,
    /// Its calendar: days and billing periods follow it.
    pub timezone: Zone,
    /// Goes up with each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// A tenant to be made.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its name.
    pub name: Name,
    /// Its slug; one is made of `slug_from` when nobody asks for one.
    pub slug: Option<Slug>,
    /// What to make a slug of: the name, or something shorter.
    pub slug_from: String,
    /// Whether it is made for one person at sign-up.
    pub is_personal: bool,
}

/// Why a tenant was not made or renamed.
#[derive(Debug, thiserror::Error)]
pub enum CreateTenantError {
    /// Another tenant has the slug, or gave it up less than 90 days ago.
    #[error("the slug {slug} is taken")]
    SlugTaken {
        /// The slug.
        slug: Slug,
    },
    /// A value breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a tenant with `owner` as its owner. Runs in the scope of the new tenant, whose id the caller made.
/// The subscription is the caller's to add, in the same transaction: see `app::sign_up`.
///
/// # Errors
/// See [`CreateTenantError`].
pub fn create(
    store: &mut dyn Store,
    id: TenantId,
    new: NewTenant,
    owner: UserId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Tenant, CreateTenantError> {
    let slug = choose_slug(store, id, &new)?;
    let tenant = Tenant {
        id,
        slug: slug.clone(),
        name: new.name,
        status: TenantStatus::Active,
        status_reason: None,
        kind: TenantKind::Customer,
        plan_code: "free".to_owned(),
        is_personal: new.is_personal,
        timezone: Zone::utc(),
        version: 1,
        created_at: now,
    };
    store
        .insert_tenant(&tenant)
        .map_err(|error| taken(error, &slug))?;
    store.record(
        NewEvent::new(id, "tenant.created", Crud::Create, target(&tenant), by, now)
            .field("slug", &tenant.slug),
    )?;
    membership::add(store, id, owner, &["owner".to_owned()], None, by, now)?;
    Ok(tenant)
}

fn choose_slug(
    store: &mut dyn Store,
    id: TenantId,
    new: &NewTenant,
) -> Result<Slug, CreateTenantError> {
    if let Some(slug) = new.slug.clone() {
        return if store.slug_is_free(&slug, id)? {
            Ok(slug)
        } else {
            Err(CreateTenantError::SlugTaken { slug })
        };
    }
    let plain = Slug::suggest(&new.slug_from, None);
    if store.slug_is_free(&plain, id)? {
        return Ok(plain);
    }
    Ok(Slug::suggest_another(&new.slug_from))
}

fn taken(error: StoreError, slug: &Slug) -> CreateTenantError {
    if error.conflicts_with("tenants_slug_key") {
        CreateTenantError::SlugTaken { slug: slug.clone() }
    } else {
        error.into()
    }
}

fn target(tenant: &Tenant) -> Target {
    Target::new("tenant", tenant.id, tenant.name.as_str())
}

/// What may change about a tenant. `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    /// A new name.
    pub name: Option<Name>,
    /// A new slug; the old one redirects, and stays out of others' reach for 90 days.
    pub slug: Option<Slug>,
    /// A new calendar.
    pub timezone: Option<Zone>,
}

/// Why a tenant was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeTenantError {
    /// Somebody else changed it first: `If-Match` names an older version.
    #[error("the tenant has changed since it was read")]
    Stale,
    /// There is no such tenant.
    #[error("there is no such tenant")]
    NotFound,
    /// The slug is not to be had.
    #[error(transparent)]
    Create(#[from] CreateTenantError),
    /// The state does not admit this.
    #[error("a tenant that is {} cannot {verb}", status.as_str())]
    WrongState {
        /// The tenant's state.
        status: TenantStatus,
        /// What was asked.
        verb: &'static str,
    },
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes the tenant in scope. With `expected`, only when it still has that version.
///
/// # Errors
/// See [`ChangeTenantError`].
pub fn change(
    store: &mut dyn Store,
    change: TenantChange,
    expected: Option<i64>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Tenant, ChangeTenantError> {
    let id = by.may(&permissions::TENANT_WRITE)?;
    let before = store
        .tenant_for_update(id)?
        .ok_or(ChangeTenantError::NotFound)?;
    if expected.is_some_and(|version| version != before.version) {
        return Err(ChangeTenantError::Stale);
    }
    let mut after = before.clone();
    after.name = change.name.unwrap_or(after.name);
    after.timezone = change.timezone.unwrap_or(after.timezone);
    if let Some(slug) = change.slug.filter(|slug| *slug != before.slug) {
        if !store.slug_is_free(&slug, id)? {
            return Err(CreateTenantError::SlugTaken { slug }.into());
        }
        store.release_slug(id, &before.slug, now)?;
        after.slug = slug;
    }
    if after == before {
        return Ok(before);
    }
    after.version += 1;
    store
        .update_tenant(&after)
        .map_err(|error| taken(error, &after.slug))?;
    let mut event = NewEvent::new(id, "tenant.updated", Crud::Update, target(&after), by, now);
    for (field, old, new) in [
        ("name", before.name.as_str(), after.name.as_str()),
        ("slug", before.slug.as_str(), after.slug.as_str()),
        ("timezone", before.timezone.name(), after.timezone.name()),
    ] {
        if old != new {
            event = event.changed(field, old, new);
        }
    }
    store.record(event)?;
    Ok(after)
}

/// What moves a tenant from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Stop writes; archived after 30 days.
    Freeze,
    /// Undo a freeze.
    Unfreeze,
    /// Stop everything.
    Suspend,
    /// Undo a suspension.
    Resume,
    /// Close: only the owner's export and the audit trail remain.
    Archive,
    /// Undo an archiving.
    Restore,
}

impl Transition {
    /// The verb, as routes and the audit trail write it.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Archive => "archive",
            Self::Restore => "restore",
        }
    }

    /// Reads a verb.
    #[must_use]
    pub fn parse(verb: &str) -> Option<Self> {
        [
            Self::Freeze,
            Self::Unfreeze,
            Self::Suspend,
            Self::Resume,
            Self::Archive,
            Self::Restore,
        ]
        .into_iter()
        .find(|transition| transition.verb() == verb)
    }

    const fn action(self) -> &'static str {
        match self {
            Self::Freeze => "tenant.frozen",
            Self::Unfreeze => "tenant.unfrozen",
            Self::Suspend => "tenant.suspended",
            Self::Resume => "tenant.resumed",
            Self::Archive => "tenant.archived",
            Self::Restore => "tenant.restored",
        }
    }

    /// The state that this leads to from `status`; `None` when it does not lead anywhere from there.
    #[must_use]
    pub const fn from(self, status: TenantStatus) -> Option<TenantStatus> {
        use TenantStatus::{
            Active, Archived, Deleted, Demo, Frozen, PastDue, Provisioning, Suspended, Trial,
        };
        match (self, status) {
            (Self::Freeze, Trial | Active | PastDue) => Some(Frozen),
            (Self::Unfreeze, Frozen | PastDue)
            | (Self::Resume, Suspended)
            | (Self::Restore, Archived) => Some(Active),
            (Self::Suspend, Trial | Active | PastDue | Frozen) => Some(Suspended),
            (
                Self::Archive,
                Provisioning | Demo | Trial | Active | PastDue | Frozen | Suspended,
            ) => Some(Archived),
            (_, Deleted) => None,
            _ => None,
        }
    }
}

/// Moves the tenant `id` to another state. The caller has checked that `by` may: see [`archive`] and [`administer`].
///
/// # Errors
/// [`ChangeTenantError::NotFound`], [`ChangeTenantError::WrongState`], [`ChangeTenantError::Store`].
pub fn transition(
    store: &mut dyn Store,
    id: TenantId,
    transition: Transition,
    reason: Option<String>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Tenant, ChangeTenantError> {
    let before = store
        .tenant_for_update(id)?
        .ok_or(ChangeTenantError::NotFound)?;
    let status = transition
        .from(before.status)
        .ok_or(ChangeTenantError::WrongState {
            status: before.status,
            verb: transition.verb(),
        })?;
    let mut after = before.clone();
    after.status = status;
    after.status_reason = reason;
    after.version += 1;
    store.set_tenant_status(&after, now)?;
    store.record(
        NewEvent::new(
            id,
            transition.action(),
            Crud::Update,
            target(&after),
            by,
            now,
        )
        .changed("status", before.status.as_str(), after.status.as_str())
        .field("reason", after.status_reason.as_deref().unwrap_or("")),
    )?;
    Ok(after)
}

/// Archives the tenant in scope, as its owner.
///
/// # Errors
/// As [`transition`], and [`ChangeTenantError::Denied`] without `tenant.delete`.
pub fn archive(
    store: &mut dyn Store,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Tenant, ChangeTenantError> {
    let grant = by.grant.as_ref().ok_or(Denied::NoTenant)?;
    if !grant.allows(&permissions::TENANT_DELETE) {
        return Err(Denied::Forbidden {
            required: permissions::TENANT_DELETE,
        }
        .into());
    }
    transition(
        store,
        grant.tenant_id,
        Transition::Archive,
        Some("archived by its owner".to_owned()),
        by,
        now,
    )
}

/// Moves any tenant to another state, as an operator.
///
/// # Errors
/// As [`transition`], and [`ChangeTenantError::Denied`] without `tenant.admin` over the deployment.
pub fn administer(
    store: &mut dyn Store,
    id: TenantId,
    verb: Transition,
    reason: Option<String>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Tenant, ChangeTenantError> {
    by.may_globally(&permissions::ADMIN_TENANTS)?;
    transition(store, id, verb, reason, by, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_tenant_never_comes_back() {
        for verb in [
            "freeze", "unfreeze", "suspend", "resume", "archive", "restore",
        ] {
            let verb = Transition::parse(verb).unwrap();
            assert_eq!(verb.from(TenantStatus::Deleted), None);
        }
    }

    #[test]
    fn what_is_done_can_be_undone() {
        for (verb, undo) in [
            (Transition::Freeze, Transition::Unfreeze),
            (Transition::Suspend, Transition::Resume),
            (Transition::Archive, Transition::Restore),
        ] {
            let there = verb.from(TenantStatus::Active).unwrap();
            assert_eq!(undo.from(there), Some(TenantStatus::Active));
            assert_eq!(undo.from(TenantStatus::Active), None);
        }
    }
}
