//! A person makes another tenant, or joins one.

use identity::api_key;
use kernel::{Denied, Name, Principal, Scope, StoreError, TenantId, UserId};
use tenancy::{
    Slug, Tenant,
    invitation::AcceptError,
    membership::{self, ChangeMemberError},
    tenant::{CreateTenantError, NewTenant},
};

use crate::{
    App,
    sign_up::{SignUpError, open_tenant},
};

impl App {
    /// Makes a tenant with the principal's user as its owner, on the first plan.
    ///
    /// # Errors
    /// See [`SignUpError`].
    pub async fn create_tenant(
        &self,
        by: &Principal,
        name: Name,
        slug: Option<Slug>,
    ) -> Result<Tenant, SignUpError> {
        let owner = by.user().map_err(CreateTenantError::Denied)?;
        if by.kind != kernel::PrincipalKind::User {
            return Err(CreateTenantError::Denied(Denied::NotAUser).into());
        }
        let (by, now) = (by.clone(), self.clock.now());
        let id = TenantId::new(now);
        let slug_from = name.as_str().to_owned();
        let new = NewTenant {
            name,
            slug,
            slug_from,
            is_personal: false,
        };
        let scope = Scope {
            tenant_id: Some(id),
            ..Scope::of(&by)
        };
        self.db
            .run(scope, move |store| {
                open_tenant(store, id, new, owner, &by, now)
            })
            .await
    }

    /// The principal's user joins the tenant that an invitation's token is for.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub async fn accept_invitation(
        &self,
        by: &Principal,
        token: &str,
    ) -> Result<Tenant, AcceptError> {
        let user_id = by.user()?;
        if by.kind != kernel::PrincipalKind::User {
            return Err(Denied::NotAUser.into());
        }
        let found: Result<_, StoreError> = self
            .db
            .run(Scope::user(user_id), move |store| store.user(user_id))
            .await;
        let user = found?.ok_or(Denied::NotAUser)?;
        self.tenancy
            .accept(by, user.email.as_str().to_owned(), token)
            .await
    }

    /// Removes a member of the tenant in scope, or lets them leave, and ends the keys that they made there.
    ///
    /// # Errors
    /// See [`ChangeMemberError`].
    pub async fn remove_member(
        &self,
        by: &Principal,
        user: UserId,
    ) -> Result<(), ChangeMemberError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                let tenant_id = by.tenant_id()?;
                membership::remove(store, user, &by, now)?;
                api_key::revoke_of_leaver(store, tenant_id, user, &by, now)?;
                Ok(())
            })
            .await
    }
}
