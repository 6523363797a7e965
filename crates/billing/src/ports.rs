//! What this domain needs from a store, by noun. [`Store`] is all of it.

use kernel::{
    BoxFuture, InvoiceId, PageRequest, Quantity, ReservationId, StoreError, TenantId, Zone,
};
use time::OffsetDateTime;

use crate::{
    Grant, Granted, Invoice, Override, Period, Plan, PlanChange, PlanRef, Reservation, Resource,
    Standing, Subscription,
    invoice::Line,
    reservation::Filter,
    standing::counted,
    threshold::{Look, Reached},
};

/// Plans, for every tenant the same.
pub trait Catalogue {
    /// The plans on sale, in the order of the catalogue, each in its current version.
    ///
    /// # Errors
    /// [`StoreError`].
    fn plans_on_sale(&mut self) -> Result<Vec<Plan>, StoreError>;

    /// The current version of the plan on sale with this code or alias. A plan's own code wins over an alias.
    ///
    /// # Errors
    /// [`StoreError`].
    fn plan_on_sale(&mut self, code: &str) -> Result<Option<Plan>, StoreError>;

    /// A version that was sold, on sale or not.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when there is none: versions are never deleted.
    fn plan(&mut self, plan: &PlanRef) -> Result<Plan, StoreError>;
}

/// Subscriptions of tenants.
pub trait Subscriptions {
    /// Makes concurrent callers for one tenant take turns until their transactions end: MUST lock the tenant's row, but not against
    /// rows that refer to it. Answers when the transaction began.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the tenant is not there.
    fn lock_tenant(&mut self, tenant_id: TenantId) -> Result<OffsetDateTime, StoreError>;

    /// The zone that the tenant lives in.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the tenant is not there.
    fn tenant_zone(&mut self, tenant_id: TenantId) -> Result<Zone, StoreError>;

    /// The tenant's subscription that is not canceled.
    ///
    /// # Errors
    /// [`StoreError`].
    fn subscription(&mut self, tenant_id: TenantId) -> Result<Option<Subscription>, StoreError>;

    /// Writes a new subscription, and its plan's code into the tenant. MUST fail with a conflict on `subscriptions_live_key` when the
    /// tenant has a live one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn insert_subscription(&mut self, subscription: &Subscription) -> Result<(), StoreError>;

    /// Writes the plan, the pending plan, the status and the end of a subscription, and its plan's code into the tenant while it is live.
    /// MUST leave the anchor, the zone and the interval as they are: periods are counted by them. One that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError`].
    fn save_subscription(&mut self, subscription: &Subscription) -> Result<(), StoreError>;

    /// Every plan that the subscription has had, with the first, in order of time.
    ///
    /// # Errors
    /// [`StoreError`].
    fn plan_changes(&mut self, subscription: &Subscription) -> Result<Vec<PlanChange>, StoreError>;

    /// Remembers that a plan took effect. A second one at the same instant replaces the first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn add_plan_change(
        &mut self,
        subscription: &Subscription,
        change: &PlanChange,
    ) -> Result<(), StoreError>;
}

/// What a tenant may have, and what it uses.
pub trait Counts {
    /// What the plan in force at `at` and the tenant's overrides grant: all of it, or what they say about one key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn granted(
        &mut self,
        tenant_id: TenantId,
        key: Option<&str>,
        at: OffsetDateTime,
    ) -> Result<Granted, StoreError>;

    /// Where the tenant stands with one entitlement at `at`: what [`Counts::granted`] and [`Counts::watermark`] answer, the tenant's zone,
    /// where its billing months start, when the limit was first crossed, and
    ///
    /// - how many things the limit counts: `max_members` counts active members and pending invitations that have not expired, `max_projects`
    ///   projects that are neither archived nor the default one, `max_<kind>` registered resources, and anything else nothing;
    /// - what open reservations hold: those that are neither finished nor expired;
    /// - of a quota, what [`Counts::count`] answers of its period around `at`. It MUST be there where reservations are what counts, and MAY be
    ///   where a meter counts.
    ///
    /// MUST read all of it out of one snapshot, and, where that is what costs, in one round trip.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the tenant is not there.
    fn standing(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        at: OffsetDateTime,
    ) -> Result<Standing, StoreError>;

    /// How far usage can be read now: an opaque mark that everything committed by now is behind, and nothing else.
    ///
    /// # Errors
    /// [`StoreError`].
    fn watermark(&mut self) -> Result<String, StoreError>;

    /// What the meter of a metric counted in a period, up to a watermark; nought for a metric that is not there. The same arguments MUST
    /// always give the same quantity.
    ///
    /// # Errors
    /// [`StoreError`].
    fn metered(
        &mut self,
        tenant_id: TenantId,
        metric: &str,
        period: Period,
        watermark: &str,
    ) -> Result<Quantity, StoreError>;

    /// What counts against a quota in a period, up to a watermark: what [`Counts::metered`] or [`Counts::settled`] answer. The store MAY
    /// remember it, so that the next [`Counts::standing`] has it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn count(
        &mut self,
        tenant_id: TenantId,
        quota: &Grant,
        period: Period,
        watermark: &str,
    ) -> Result<Quantity, StoreError> {
        counted(self, tenant_id, quota, period, watermark)
    }

    /// What reservations of a key that were finished in a period settled.
    ///
    /// # Errors
    /// [`StoreError`].
    fn settled(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        period: Period,
    ) -> Result<i64, StoreError>;
}

/// Reads where tenants stand outside of a unit of work, for a question that is asked all the time.
pub trait StandingReader: Send + Sync {
    /// As [`Counts::standing`], in the scope of this tenant and of no person, but without [`Standing::counted`] where that takes more than
    /// one round trip. `None` where nothing can be read in one, or nobody answered: a unit of work then says why.
    fn standing(
        &self,
        tenant_id: TenantId,
        key: &str,
        at: OffsetDateTime,
    ) -> BoxFuture<'_, Result<Option<Standing>, StoreError>>;
}

/// Reservations of quota and concurrency.
pub trait Reservations {
    /// Writes a new reservation, which is open.
    ///
    /// # Errors
    /// [`StoreError`].
    fn insert_reservation(&mut self, reservation: &Reservation) -> Result<(), StoreError>;

    /// A reservation of the tenant. MUST lock its row until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reservation_for_update(
        &mut self,
        tenant_id: TenantId,
        id: ReservationId,
    ) -> Result<Option<Reservation>, StoreError>;

    /// Writes what became of a reservation, and when, and nothing else of it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn finish_reservation(
        &mut self,
        reservation: &Reservation,
        at: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Reservations that the filter lets through, newest first by id, at most `page.limit + 1`, behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reservations(
        &mut self,
        tenant_id: TenantId,
        filter: &Filter,
        page: &PageRequest,
        after: Option<ReservationId>,
    ) -> Result<Vec<Reservation>, StoreError>;
}

/// What operators give a tenant besides its plan.
pub trait Overrides {
    /// Whether there is such a tenant, and it was not deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    fn has_tenant(&mut self, tenant_id: TenantId) -> Result<bool, StoreError>;

    /// The tenant's overrides by key, expired or not: all of them, or the one of a key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn overrides(
        &mut self,
        tenant_id: TenantId,
        key: Option<&str>,
    ) -> Result<Vec<Override>, StoreError>;

    /// Writes an override in place of the one of its key. MUST refuse, with [`StoreError::Unexpected`], when the person of the transaction
    /// has no `entitlement.override` over the deployment; a transaction of a principal without a person, and one of nobody, is let through.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_override(&mut self, tenant_id: TenantId, given: &Override) -> Result<(), StoreError>;

    /// Removes the override of a key; one that is not there is no error. MUST refuse as [`Overrides::put_override`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete_override(&mut self, tenant_id: TenantId, key: &str) -> Result<(), StoreError>;
}

/// What follows from the use of a limit.
pub trait Thresholds {
    /// Writes down the thresholds that were not written down yet, and answers those, ascending. Of several that write the same one at once,
    /// one MUST be answered it: the others wait until that one has committed, and are answered it only when it did not. Forgets
    /// what is older than a hundred days.
    ///
    /// # Errors
    /// [`StoreError`].
    fn mark_thresholds(
        &mut self,
        tenant_id: TenantId,
        reached: &Reached,
    ) -> Result<Vec<i16>, StoreError>;

    /// A limit was first crossed: of a quota, in the period that starts at `period_start`. Replaces what was noted of another period.
    ///
    /// # Errors
    /// [`StoreError`].
    fn start_grace(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        period_start: Option<OffsetDateTime>,
        at: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// The use came back within the limit.
    ///
    /// # Errors
    /// [`StoreError`].
    fn end_grace(&mut self, tenant_id: TenantId, key: &str) -> Result<(), StoreError>;
}

/// Usage of all tenants, as far as quotas count it. For the worker.
pub trait QuotaWatch {
    /// What came in since the mark, of meters that a plan's quota or one of the tenant's own counts, and of about `at_most` events. MUST end
    /// where every older transaction has ended, so that nothing that commits late is passed over, and MUST get past the mark when there is
    /// anything to see. Moves no mark.
    ///
    /// # Errors
    /// [`StoreError`].
    fn look(&mut self, at_most: u32) -> Result<Look, StoreError>;

    /// Moves the mark from the start of a look to its end; nothing when it is no longer at the start.
    ///
    /// # Errors
    /// [`StoreError`].
    fn looked(&mut self, look: &Look) -> Result<(), StoreError>;
}

/// Counted things of the host product.
pub trait Resources {
    /// One thing.
    ///
    /// # Errors
    /// [`StoreError`].
    fn resource(
        &mut self,
        tenant_id: TenantId,
        kind: &str,
        external_id: &str,
    ) -> Result<Option<Resource>, StoreError>;

    /// Things of one kind, by name in byte order, at most `page.limit + 1`, behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn resources(
        &mut self,
        tenant_id: TenantId,
        kind: &str,
        page: &PageRequest,
        after: Option<&str>,
    ) -> Result<Vec<Resource>, StoreError>;

    /// Writes a new thing. MUST fail with a conflict on `resources_pkey` when it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn insert_resource(&mut self, resource: &Resource) -> Result<(), StoreError>;

    /// Removes a thing, and says whether it was there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete_resource(
        &mut self,
        tenant_id: TenantId,
        kind: &str,
        external_id: &str,
    ) -> Result<bool, StoreError>;
}

/// Invoices that were finalised.
pub trait Invoices {
    /// Invoices without their lines, newest first by id, at most `page.limit + 1`, behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn invoices(
        &mut self,
        tenant_id: TenantId,
        page: &PageRequest,
        after: Option<InvoiceId>,
    ) -> Result<Vec<Invoice>, StoreError>;

    /// One invoice, without its lines.
    ///
    /// # Errors
    /// [`StoreError`].
    fn invoice(
        &mut self,
        tenant_id: TenantId,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError>;

    /// The lines of an invoice, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn invoice_lines(
        &mut self,
        tenant_id: TenantId,
        id: InvoiceId,
    ) -> Result<Vec<Line>, StoreError>;
}

/// Everything that billing needs from an open transaction.
pub trait Store:
    audit::Trail
    + Catalogue
    + Subscriptions
    + Counts
    + Reservations
    + Resources
    + Overrides
    + Thresholds
    + Invoices
{
}

impl<S> Store for S where
    S: audit::Trail
        + Catalogue
        + Subscriptions
        + Counts
        + Reservations
        + Resources
        + Overrides
        + Thresholds
        + Invoices
{
}
