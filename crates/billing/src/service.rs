//! The façade that the API and embedders hold.

use std::sync::Arc;

use kernel::{
    Clock, InvoiceId, Page, PageRequest, Principal, ReservationId, Scope, StoreError, TenantId,
    UnitOfWork,
};

use crate::{
    Catalogue, Check, Current, Entitlements, Invoice, NewOverride, Order, Outlook, Override, Plan,
    Put, Reservation, Resource, StandingReader, Store, Wish,
    entitlement::{self, ReadEntitlementsError},
    entitlement_override::{self, OverrideError},
    invoice::{self, ReadInvoiceError},
    plan_change::{self, ChangePlanError},
    reservation::{self, Filter, FinishError, ListReservationsError, ReserveError, Reserved},
    resource::{
        self, ExternalId, ListResourcesError, PutResourceError, RemoveResourceError, ResourceKind,
    },
    subscription::{self, ReadSubscriptionError},
};

/// What an operator sees while they act on a tenant.
fn operating(by: &Principal, tenant_id: TenantId) -> Scope {
    Scope {
        tenant_id: Some(tenant_id),
        ..Scope::of(by)
    }
}

/// Plans, subscriptions, entitlements, overrides, resources, reservations and invoices.
#[derive(Clone)]
pub struct Billing {
    db: Arc<dyn UnitOfWork<dyn Store>>,
    clock: Arc<dyn Clock>,
    standings: Option<Arc<dyn StandingReader>>,
}

impl Billing {
    /// A façade over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Store>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            clock,
            standings: None,
        }
    }

    /// Asks `reader` first whether something is allowed, and a unit of work only when it cannot say.
    #[must_use]
    pub fn with_standing_reader(mut self, reader: Arc<dyn StandingReader>) -> Self {
        self.standings = Some(reader);
        self
    }

    /// The plans on sale. For everybody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn plans(&self) -> Result<Vec<Plan>, StoreError> {
        self.db.run(Scope::global(), Catalogue::plans_on_sale).await
    }

    /// See [`subscription::read`].
    ///
    /// # Errors
    /// See [`ReadSubscriptionError`].
    pub async fn subscription(&self, by: &Principal) -> Result<Current, ReadSubscriptionError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                subscription::read(store, &by, now)
            })
            .await
    }

    /// See [`plan_change::preview`].
    ///
    /// # Errors
    /// See [`ChangePlanError`].
    pub async fn preview(&self, by: &Principal, order: Order) -> Result<Outlook, ChangePlanError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                plan_change::preview(store, &order, &by, now)
            })
            .await
    }

    /// See [`plan_change::change`].
    ///
    /// # Errors
    /// See [`ChangePlanError`].
    pub async fn change(&self, by: &Principal, order: Order) -> Result<Outlook, ChangePlanError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                plan_change::change(store, &order, &by, now)
            })
            .await
    }

    /// See [`entitlement::list`].
    ///
    /// # Errors
    /// See [`ReadEntitlementsError`].
    pub async fn entitlements(
        &self,
        by: &Principal,
    ) -> Result<Entitlements, ReadEntitlementsError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                entitlement::list(store, &by, now)
            })
            .await
    }

    /// See [`entitlement::check`].
    ///
    /// # Errors
    /// See [`ReadEntitlementsError`].
    pub async fn check(
        &self,
        by: &Principal,
        key: String,
        quantity: i64,
    ) -> Result<Check, ReadEntitlementsError> {
        let now = self.clock.now();
        let tenant_id = entitlement::may_check(&key, quantity, by)?;
        if let Some(reader) = &self.standings {
            let standing = reader.standing(tenant_id, &key, now).await?;
            if let Some(answer) = standing.and_then(|standing| standing.check(quantity, now)) {
                return Ok(answer);
            }
        }
        let by = by.clone();
        self.db
            .run(Scope::of(&by), move |store| {
                entitlement::check(store, &key, quantity, &by, now)
            })
            .await
    }

    /// See [`entitlement_override::put`].
    ///
    /// # Errors
    /// See [`OverrideError`].
    pub async fn put_override(
        &self,
        by: &Principal,
        tenant_id: TenantId,
        new: NewOverride,
    ) -> Result<Override, OverrideError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(operating(&by, tenant_id), move |store| {
                entitlement_override::put(store, tenant_id, new, &by, now)
            })
            .await
    }

    /// See [`entitlement_override::remove`].
    ///
    /// # Errors
    /// See [`OverrideError`].
    pub async fn remove_override(
        &self,
        by: &Principal,
        tenant_id: TenantId,
        key: String,
    ) -> Result<(), OverrideError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(operating(&by, tenant_id), move |store| {
                entitlement_override::remove(store, tenant_id, &key, &by, now)
            })
            .await
    }

    /// See [`entitlement_override::list`].
    ///
    /// # Errors
    /// See [`OverrideError`].
    pub async fn overrides(
        &self,
        by: &Principal,
        tenant_id: TenantId,
    ) -> Result<Vec<Override>, OverrideError> {
        let by = by.clone();
        self.db
            .run(operating(&by, tenant_id), move |store| {
                entitlement_override::list(store, tenant_id, &by)
            })
            .await
    }

    /// See [`resource::put`].
    ///
    /// # Errors
    /// See [`PutResourceError`].
    pub async fn put_resource(
        &self,
        by: &Principal,
        kind: ResourceKind,
        external_id: ExternalId,
    ) -> Result<Put, PutResourceError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                resource::put(store, &kind, &external_id, &by, now)
            })
            .await
    }

    /// See [`resource::remove`].
    ///
    /// # Errors
    /// See [`RemoveResourceError`].
    pub async fn remove_resource(
        &self,
        by: &Principal,
        kind: ResourceKind,
        external_id: ExternalId,
    ) -> Result<(), RemoveResourceError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                resource::remove(store, &kind, &external_id, &by, now)
            })
            .await
    }

    /// See [`resource::list`].
    ///
    /// # Errors
    /// See [`ListResourcesError`].
    pub async fn resources(
        &self,
        by: &Principal,
        kind: ResourceKind,
        page: PageRequest,
    ) -> Result<Page<Resource>, ListResourcesError> {
        let by = by.clone();
        self.db
            .run(Scope::of(&by), move |store| {
                resource::list(store, &kind, &page, &by)
            })
            .await
    }

    /// See [`reservation::reserve`].
    ///
    /// # Errors
    /// See [`ReserveError`].
    pub async fn reserve(&self, by: &Principal, wish: Wish) -> Result<Reserved, ReserveError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                reservation::reserve(store, wish, &by, now)
            })
            .await
    }

    /// See [`reservation::list`].
    ///
    /// # Errors
    /// See [`ListReservationsError`].
    pub async fn reservations(
        &self,
        by: &Principal,
        filter: Filter,
        page: PageRequest,
    ) -> Result<Page<Reservation>, ListReservationsError> {
        let by = by.clone();
        self.db
            .run(Scope::of(&by), move |store| {
                reservation::list(store, &filter, &page, &by)
            })
            .await
    }

    /// See [`reservation::settle`].
    ///
    /// # Errors
    /// See [`FinishError`].
    pub async fn settle(
        &self,
        by: &Principal,
        id: ReservationId,
        quantity: i64,
    ) -> Result<Reservation, FinishError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                reservation::settle(store, id, quantity, &by, now)
            })
            .await
    }

    /// See [`reservation::release`].
    ///
    /// # Errors
    /// See [`FinishError`].
    pub async fn release(
        &self,
        by: &Principal,
        id: ReservationId,
    ) -> Result<Reservation, FinishError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                reservation::release(store, id, &by, now)
            })
            .await
    }

    /// See [`invoice::upcoming`].
    ///
    /// # Errors
    /// See [`ReadInvoiceError`].
    pub async fn upcoming(&self, by: &Principal) -> Result<Invoice, ReadInvoiceError> {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| {
                invoice::upcoming(store, &by, now)
            })
            .await
    }

    /// See [`invoice::list`].
    ///
    /// # Errors
    /// See [`ReadInvoiceError`].
    pub async fn invoices(
        &self,
        by: &Principal,
        page: PageRequest,
    ) -> Result<Page<Invoice>, ReadInvoiceError> {
        let by = by.clone();
        self.db
            .run(Scope::of(&by), move |store| {
                invoice::list(store, &page, &by)
            })
            .await
    }

    /// See [`invoice::read`].
    ///
    /// # Errors
    /// See [`ReadInvoiceError`].
    pub async fn invoice(
        &self,
        by: &Principal,
        id: InvoiceId,
    ) -> Result<Invoice, ReadInvoiceError> {
        let by = by.clone();
        self.db
            .run(Scope::of(&by), move |store| invoice::read(store, id, &by))
            .await
    }
}
