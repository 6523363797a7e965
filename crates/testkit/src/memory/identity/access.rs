//! What the store knows of somebody who signs in.

use identity::{AccessQuery, MemberAccess, OrgClaim, User, UserAccess};
use kernel::{SessionId, TenantId, TenantStatus, UserId};
use time::OffsetDateTime;

use crate::memory::MemoryTx;

/// Looks beyond the scope: nobody is known yet.
pub(super) fn find(tx: &MemoryTx, query: &AccessQuery) -> Option<UserAccess> {
    let named = || tx.tables.identity.identities.get(&query.identity).copied();
    let id = query.user_id.or_else(named)?;
    let user = tx.tables.identity.users.get(&id)?;
    let claimed = query
        .org
        .as_ref()
        .and_then(|org| claimed_tenant(tx, id, org));
    let tenant = query
        .tenant_id
        .or(claimed)
        .or_else(|| last_tenant(tx, user))
        .or_else(|| foremost_tenant(tx, id));
    let session = query.session_id;
    Some(UserAccess {
        user: user.clone(),
        session_is_live: session.is_none_or(|session| is_live(tx, session, id, query.now)),
        global: tx.global_permissions(id),
        claimed_tenant_id: claimed,
        membership: tenant.and_then(|tenant| membership(tx, tenant, id)),
    })
}

fn is_live(tx: &MemoryTx, id: SessionId, user: UserId, now: OffsetDateTime) -> bool {
    let session = tx.tables.identity.sessions.get(&id);
    session.is_some_and(|session| session.user_id == user && session.is_live(now))
}

/// By external name, else by slug; either way only among the person's own tenants.
fn claimed_tenant(tx: &MemoryTx, user: UserId, org: &OrgClaim) -> Option<TenantId> {
    let tables = &tx.tables.tenancy;
    let names = [&org.id, &org.slug].into_iter().flatten();
    let by_name = names.filter_map(|name| {
        let key = (org.kind.to_owned(), name.clone());
        tables.external_refs.get(&key).copied()
    });
    let with_slug = tables
        .tenants
        .values()
        .filter(|tenant| org.slug.as_deref() == Some(tenant.slug.as_str()));
    by_name
        .chain(with_slug.map(|tenant| tenant.id))
        .find(|tenant| tx.active_member(*tenant, user).is_some())
}

fn last_tenant(tx: &MemoryTx, user: &User) -> Option<TenantId> {
    let tenant = tx.tables.tenancy.tenants.get(&user.last_tenant_id?)?;
    let is_open = !matches!(
        tenant.status,
        TenantStatus::Archived | TenantStatus::Deleted
    );
    tx.active_member(tenant.id, user.id)
        .filter(|_| is_open)
        .map(|_| tenant.id)
}

/// The personal one, else the one they joined first; an archived one only when there is no other.
fn foremost_tenant(tx: &MemoryTx, user: UserId) -> Option<TenantId> {
    let tenants = tx.tables.tenancy.tenants.values();
    tenants
        .filter(|tenant| tenant.status != TenantStatus::Deleted)
        .filter_map(|tenant| {
            let joined_at = tx.active_member(tenant.id, user)?.joined_at;
            let is_archived = tenant.status == TenantStatus::Archived;
            Some((is_archived, !tenant.is_personal, joined_at, tenant.id))
        })
        .min()
        .map(|(.., id)| id)
}

fn membership(tx: &MemoryTx, tenant_id: TenantId, user: UserId) -> Option<MemberAccess> {
    let row = tx.active_member(tenant_id, user)?;
    let tenant = tx.tables.tenancy.tenants.get(&tenant_id)?;
    (tenant.status != TenantStatus::Deleted).then(|| MemberAccess {
        tenant_id,
        tenant_status: tenant.status,
        roles: row.roles.iter().cloned().collect(),
        permissions: tx.member_permissions(tenant_id, user),
    })
}
