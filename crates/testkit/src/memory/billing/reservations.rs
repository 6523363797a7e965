//! Reservations of quota and concurrency, in memory.

use billing::{Reservation, Reservations, reservation::Filter};
use kernel::{PageRequest, ReservationId, StoreError, TenantId};
use time::OffsetDateTime;

use crate::memory::{MemoryTx, conflict, oldest};

#[derive(Clone)]
pub(super) struct Row {
    pub(super) reservation: Reservation,
    pub(super) finished_at: Option<OffsetDateTime>,
}

impl Row {
    /// When it is over: it was finished, or its lease runs out.
    fn over_at(&self) -> OffsetDateTime {
        self.finished_at.unwrap_or(self.reservation.expires_at)
    }
}

impl MemoryTx {
    /// Deletes up to `limit` reservations of all tenants that were over before `before`.
    pub(in crate::memory) fn forget_reservations(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> u64 {
        let rows = &mut self.tables.billing.reservations;
        let over = rows.iter().map(|(key, row)| (row.over_at(), *key));
        let gone = oldest(over.filter(|(at, _)| *at < before), limit);
        for key in &gone {
            rows.remove(key);
        }
        gone.len() as u64
    }
}

impl Reservations for MemoryTx {
    fn insert_reservation(&mut self, reservation: &Reservation) -> Result<(), StoreError> {
        self.must_see(reservation.tenant_id)?;
        if reservation.quantity <= 0 {
            return Err(conflict("quota_reservations_quantity_check"));
        }
        let key = (reservation.tenant_id, reservation.id);
        if self.tables.billing.reservations.contains_key(&key) {
            return Err(conflict("quota_reservations_pkey"));
        }
        self.refuse_unknown_tenant(reservation.tenant_id, "quota_reservations_tenant_id_fkey")?;
        let row = Row {
            reservation: reservation.clone(),
            finished_at: None,
        };
        self.tables.billing.reservations.insert(key, row);
        Ok(())
    }

    fn reservation_for_update(
        &mut self,
        tenant_id: TenantId,
        id: ReservationId,
    ) -> Result<Option<Reservation>, StoreError> {
        let row = self.tables.billing.reservations.get(&(tenant_id, id));
        Ok(row
            .filter(|_| self.sees(tenant_id))
            .map(|row| row.reservation.clone()))
    }

    fn finish_reservation(
        &mut self,
        reservation: &Reservation,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        if !self.sees(reservation.tenant_id) {
            return Ok(());
        }
        let key = (reservation.tenant_id, reservation.id);
        if let Some(row) = self.tables.billing.reservations.get_mut(&key) {
            row.reservation.outcome = reservation.outcome;
            row.finished_at = Some(at);
        }
        Ok(())
    }

    fn reservations(
        &mut self,
        tenant_id: TenantId,
        filter: &Filter,
        page: &PageRequest,
        after: Option<ReservationId>,
    ) -> Result<Vec<Reservation>, StoreError> {
        let newest_first = self.tables.billing.reservations.values().rev();
        Ok(newest_first
            .map(|row| &row.reservation)
            .filter(|one| one.tenant_id == tenant_id && self.sees(tenant_id))
            .filter(|one| filter.key.as_ref().is_none_or(|key| one.key == *key))
            .filter(|one| {
                filter
                    .status
                    .is_none_or(|status| one.outcome.as_str() == status)
            })
            .filter(|one| after.is_none_or(|after| one.id < after))
            .take(page.limit as usize + 1)
            .cloned()
            .collect())
    }
}
