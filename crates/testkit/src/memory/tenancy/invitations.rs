//! Invitations in memory.

use kernel::{Allowance, InvitationId, StoreError, TenantId};
use tenancy::{Invitation, InvitationStatus, InvitationStore};
use time::OffsetDateTime;

use crate::memory::{MemoryTx, conflict, must_exist};

impl MemoryTx {
    /// Invitations of the tenant in scope, oldest first.
    fn own_invitations(&self, tenant_id: TenantId) -> impl DoubleEndedIterator<Item = &Invitation> {
        let rows = self.tables.tenancy.invitations.values();
        rows.filter(move |row| row.tenant_id == tenant_id && self.sees(tenant_id))
    }

    /// An address has one pending invitation in a tenant.
    fn refuse_second_pending(&self, invitation: &Invitation) -> Result<(), StoreError> {
        let pending = |row: &Invitation| row.status == InvitationStatus::Pending;
        let mut rows = self.own_invitations(invitation.tenant_id);
        let is_second = pending(invitation)
            && rows.any(|row| {
                pending(row) && row.email == invitation.email && row.id != invitation.id
            });
        if is_second {
            return Err(conflict("invitations_pending_key"));
        }
        Ok(())
    }

    /// Seats taken at `at`: active members, and pending invitations that are not over.
    pub(in crate::memory) fn seats_taken(&self, tenant_id: TenantId, at: OffsetDateTime) -> i64 {
        let members = self.member_rows(tenant_id);
        let active = members.map(|(_, row)| i64::from(row.is_active()));
        let invitations = self.own_invitations(tenant_id);
        let open = invitations
            .map(|row| i64::from(row.status == InvitationStatus::Pending && row.expires_at > at));
        active.chain(open).sum()
    }
}

impl MemoryTx {
    /// Pending invitations of all tenants that had expired at `now`, the longest expired first.
    pub(in crate::memory) fn invitations_expired_at(
        &self,
        now: OffsetDateTime,
    ) -> Vec<(TenantId, InvitationId)> {
        let rows = self.tables.tenancy.invitations.values();
        let is_over =
            |row: &&Invitation| row.status == InvitationStatus::Pending && row.expires_at <= now;
        let mut over: Vec<&Invitation> = rows.filter(is_over).collect();
        over.sort_by_key(|row| row.expires_at);
        over.iter().map(|row| (row.tenant_id, row.id)).collect()
    }
}

impl InvitationStore for MemoryTx {
    fn seats(
        &mut self,
        tenant_id: TenantId,
        now: OffsetDateTime,
    ) -> Result<(Allowance, i64), StoreError> {
        let allowance = self.allowance(tenant_id, "max_members", self.now)?;
        Ok((allowance, self.seats_taken(tenant_id, now)))
    }

    fn seat_taken(&mut self, tenant_id: TenantId, now: OffsetDateTime) -> Result<(), StoreError> {
        billing::take::taken(self, tenant_id, "max_members", now)
    }

    fn insert_invitation(&mut self, invitation: &Invitation) -> Result<(), StoreError> {
        self.must_see(invitation.tenant_id)?;
        let key = (invitation.tenant_id, invitation.id);
        if self.tables.tenancy.invitations.contains_key(&key) {
            return Err(conflict("invitations_pkey"));
        }
        self.refuse_second_pending(invitation)?;
        must_exist(
            self.tables
                .tenancy
                .tenants
                .contains_key(&invitation.tenant_id),
            "invitations_tenant_id_fkey",
        )?;
        let row = Invitation {
            accepted_by: None,
            ..invitation.clone()
        };
        self.tables.tenancy.invitations.insert(key, row);
        Ok(())
    }

    fn tenant_of_invitation(&mut self, id: InvitationId) -> Result<Option<TenantId>, StoreError> {
        let mut rows = self.tables.tenancy.invitations.values();
        Ok(rows.find(|row| row.id == id).map(|row| row.tenant_id))
    }

    fn invitation(
        &mut self,
        tenant_id: TenantId,
        id: InvitationId,
    ) -> Result<Option<Invitation>, StoreError> {
        let mut rows = self.own_invitations(tenant_id);
        Ok(rows.find(|row| row.id == id).cloned())
    }

    fn invitations(
        &mut self,
        tenant_id: TenantId,
        before: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StoreError> {
        let newest_first = self.own_invitations(tenant_id).rev();
        let behind = newest_first.filter(|row| before.is_none_or(|before| row.id < before));
        Ok(behind.take(limit as usize + 1).cloned().collect())
    }

    fn update_invitation(
        &mut self,
        invitation: &Invitation,
        _now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        if self
            .invitation(invitation.tenant_id, invitation.id)?
            .is_none()
        {
            return Ok(());
        }
        self.refuse_second_pending(invitation)?;
        let key = (invitation.tenant_id, invitation.id);
        if let Some(row) = self.tables.tenancy.invitations.get_mut(&key) {
            row.status = invitation.status;
            row.sends = invitation.sends;
            row.expires_at = invitation.expires_at;
            row.accepted_by = invitation.accepted_by;
        }
        Ok(())
    }

    fn expire_invitation_to(
        &mut self,
        tenant_id: TenantId,
        email: &str,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let is_over = |row: &&Invitation| {
            row.status == InvitationStatus::Pending && row.email == email && row.expires_at <= now
        };
        let over = self.own_invitations(tenant_id).find(is_over);
        let Some(id) = over.map(|row| row.id) else {
            return Ok(false);
        };
        if let Some(row) = self.tables.tenancy.invitations.get_mut(&(tenant_id, id)) {
            row.status = InvitationStatus::Expired;
        }
        Ok(true)
    }
}
