//! `billing` on PostgreSQL.

pub(crate) mod counts;
mod invoices;
mod overrides;
mod plans;
mod reservations;
mod resources;
mod standing;
mod standing_reader;
mod subscriptions;
mod tally;
mod thresholds;

use billing::{
    Catalogue, Counts, Grant, Granted, Invoice, Invoices, Override, Overrides, Period, Plan,
    PlanChange, PlanRef, QuotaWatch, Reservation, Reservations, Resource, Resources, Standing,
    Subscription, Subscriptions, Thresholds,
    invoice::Line,
    reservation::Filter,
    threshold::{Look, Reached},
};
use kernel::{InvoiceId, PageRequest, Quantity, ReservationId, StoreError, TenantId, Zone};
use time::OffsetDateTime;

use self::standing::Question;
pub use self::standing_reader::PgStandingReader;

use crate::{
    PgTx,
    tenancy::has_tenant,
    usage::{current_watermark, metered_total},
};

impl Catalogue for PgTx {
    fn plans_on_sale(&mut self) -> Result<Vec<Plan>, StoreError> {
        plans::on_sale(self.conn())
    }

    fn plan_on_sale(&mut self, code: &str) -> Result<Option<Plan>, StoreError> {
        plans::on_sale_as(self.conn(), code)
    }

    fn plan(&mut self, plan: &PlanRef) -> Result<Plan, StoreError> {
        plans::version(self.conn(), plan)
    }
}

impl Subscriptions for PgTx {
    fn lock_tenant(&mut self, tenant_id: TenantId) -> Result<OffsetDateTime, StoreError> {
        subscriptions::lock_tenant(self.conn(), tenant_id)
    }

    fn tenant_zone(&mut self, tenant_id: TenantId) -> Result<Zone, StoreError> {
        subscriptions::tenant_zone(self.conn(), tenant_id)
    }

    fn subscription(&mut self, tenant_id: TenantId) -> Result<Option<Subscription>, StoreError> {
        subscriptions::live(self.conn(), tenant_id)
    }

    fn insert_subscription(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        subscriptions::insert(self.conn(), subscription)
    }

    fn save_subscription(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        subscriptions::save(self.conn(), subscription)
    }

    fn plan_changes(&mut self, subscription: &Subscription) -> Result<Vec<PlanChange>, StoreError> {
        subscriptions::changes(self.conn(), subscription)
    }

    fn add_plan_change(
        &mut self,
        subscription: &Subscription,
        change: &PlanChange,
    ) -> Result<(), StoreError> {
        subscriptions::add_change(self.conn(), subscription, change)
    }
}

impl Counts for PgTx {
    fn granted(
        &mut self,
        tenant_id: TenantId,
        key: Option<&str>,
        at: OffsetDateTime,
    ) -> Result<Granted, StoreError> {
        counts::granted(self.conn(), tenant_id, key, at)
    }

    fn standing(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        at: OffsetDateTime,
    ) -> Result<Standing, StoreError> {
        standing::standing(self.conn(), Question { tenant_id, key, at })
    }

    fn watermark(&mut self) -> Result<String, StoreError> {
        current_watermark(self.conn())
    }

    fn metered(
        &mut self,
        tenant_id: TenantId,
        metric: &str,
        period: Period,
        watermark: &str,
    ) -> Result<Quantity, StoreError> {
        let range = (period.start, period.end);
        let total = metered_total(self.conn(), tenant_id, metric, range, watermark)?;
        Ok(Quantity::from(total.quantity))
    }

    fn count(
        &mut self,
        tenant_id: TenantId,
        quota: &Grant,
        period: Period,
        watermark: &str,
    ) -> Result<Quantity, StoreError> {
        standing::count(self.conn(), tenant_id, quota, period, watermark)
    }

    fn settled(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        period: Period,
    ) -> Result<i64, StoreError> {
        counts::settled(self.conn(), tenant_id, key, period)
    }
}

impl Reservations for PgTx {
    fn insert_reservation(&mut self, reservation: &Reservation) -> Result<(), StoreError> {
        reservations::insert(self.conn(), reservation)
    }

    fn reservation_for_update(
        &mut self,
        tenant_id: TenantId,
        id: ReservationId,
    ) -> Result<Option<Reservation>, StoreError> {
        reservations::lock(self.conn(), tenant_id, id)
    }

    fn finish_reservation(
        &mut self,
        reservation: &Reservation,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        reservations::finish(self.conn(), reservation, at)
    }

    fn reservations(
        &mut self,
        tenant_id: TenantId,
        filter: &Filter,
        page: &PageRequest,
        after: Option<ReservationId>,
    ) -> Result<Vec<Reservation>, StoreError> {
        reservations::list(self.conn(), tenant_id, filter, page, after)
    }
}

impl Overrides for PgTx {
    fn has_tenant(&mut self, tenant_id: TenantId) -> Result<bool, StoreError> {
        has_tenant(self.conn(), tenant_id)
    }

    fn overrides(
        &mut self,
        tenant_id: TenantId,
        key: Option<&str>,
    ) -> Result<Vec<Override>, StoreError> {
        overrides::list(self.conn(), tenant_id, key)
    }

    // Who may is decided by the functions, and whose it is by the transaction's tenant.
    fn put_override(&mut self, _: TenantId, given: &Override) -> Result<(), StoreError> {
        overrides::put(self.conn(), given)
    }

    fn delete_override(&mut self, _: TenantId, key: &str) -> Result<(), StoreError> {
        overrides::delete(self.conn(), key)
    }
}

impl Thresholds for PgTx {
    fn mark_thresholds(
        &mut self,
        tenant_id: TenantId,
        reached: &Reached,
    ) -> Result<Vec<i16>, StoreError> {
        thresholds::mark(self.conn(), tenant_id, reached)
    }

    fn start_grace(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        period_start: Option<OffsetDateTime>,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        thresholds::start_grace(self.conn(), tenant_id, key, period_start, at)
    }

    fn end_grace(&mut self, tenant_id: TenantId, key: &str) -> Result<(), StoreError> {
        thresholds::end_grace(self.conn(), tenant_id, key)
    }
}

impl QuotaWatch for PgTx {
    fn look(&mut self, at_most: u32) -> Result<Look, StoreError> {
        thresholds::look(self.conn(), at_most)
    }

    fn looked(&mut self, look: &Look) -> Result<(), StoreError> {
        thresholds::looked(self.conn(), look)
    }
}

impl Resources for PgTx {
    fn resource(
        &mut self,
        tenant_id: TenantId,
        kind: &str,
        external_id: &str,
    ) -> Result<Option<Resource>, StoreError> {
        resources::find(self.conn(), tenant_id, kind, external_id)
    }

    fn resources(
        &mut self,
        tenant_id: TenantId,
        kind: &str,
        page: &PageRequest,
        after: Option<&str>,
    ) -> Result<Vec<Resource>, StoreError> {
        resources::list(self.conn(), tenant_id, kind, page, after)
    }

    fn insert_resource(&mut self, resource: &Resource) -> Result<(), StoreError> {
        resources::insert(self.conn(), resource)
    }

    fn delete_resource(
        &mut self,
        tenant_id: TenantId,
        kind: &str,
        external_id: &str,
    ) -> Result<bool, StoreError> {
        resources::delete(self.conn(), tenant_id, kind, external_id)
    }
}

impl Invoices for PgTx {
    fn invoices(
        &mut self,
        tenant_id: TenantId,
        page: &PageRequest,
        after: Option<InvoiceId>,
    ) -> Result<Vec<Invoice>, StoreError> {
        invoices::list(self.conn(), tenant_id, page, after)
    }

    fn invoice(
        &mut self,
        tenant_id: TenantId,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        invoices::find(self.conn(), tenant_id, id)
    }

    fn invoice_lines(
        &mut self,
        tenant_id: TenantId,
        id: InvoiceId,
    ) -> Result<Vec<Line>, StoreError> {
        invoices::lines(self.conn(), tenant_id, id)
    }
}
