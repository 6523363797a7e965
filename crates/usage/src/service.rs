//! The façades that the API and the worker hold.

use std::sync::Arc;

use kernel::{
    Clock, Denied, FieldError, Page, PageRequest, Principal, Scope, StoreError, UnitOfWork,
};

use crate::{
    ChangeMeterError, Intake, Item, Ledger, Meter, MeterChange, MeterError, MeterVersion, Store,
    day,
    day::Close,
    ingest::{self, Admitted, IngestError, Options, Receipt},
    meter::{self, CreateMeterError, NewMeter},
    permissions,
    query::{self, ReadUsageError, Summary, UsageRequest, UsageRow},
    raw::{self, EventsRequest, FindEventError, StoredEvent},
    revision,
    rollup::{self, Step},
};

/// Why meters were not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListMetersError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The cursor is of another list.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Usage, for requests of a tenant.
#[derive(Clone)]
pub struct Usage {
    db: Arc<dyn UnitOfWork<dyn Store>>,
    intake: Option<Arc<dyn Intake>>,
    clock: Arc<dyn Clock>,
}

impl Usage {
    /// A façade over `db`. Each request's events are written in a transaction of their own.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Store>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            intake: None,
            clock,
        }
    }

    /// The same, but for events that are written together with those of other requests.
    #[must_use]
    pub fn with_intake(self, intake: Arc<dyn Intake>) -> Self {
        Self {
            intake: Some(intake),
            ..self
        }
    }

    /// Takes events in. When this returns, what it says was accepted is committed. Needs `usage.write`.
    ///
    /// # Errors
    /// See [`IngestError`].
    pub async fn ingest(
        &self,
        by: &Principal,
        items: Vec<Item>,
        options: Options,
    ) -> Result<Receipt, IngestError> {
        // All or nothing, and an `Idempotency-Key` that is carried out, are promises about a transaction.
        let alone = options.strict || by.request.command.is_some();
        if let Some(intake) = self.intake.as_ref().filter(|_| !alone) {
            return intake.take(Admitted::new(items, options, by)?).await;
        }
        let principal = by.clone();
        let work = move |store: &mut (dyn Store + 'static)| {
            ingest::ingest(store, items, options, &principal)
        };
        self.db.run(Scope::of(by), work).await
    }

    /// A page of usage. Needs `usage.read`.
    ///
    /// # Errors
    /// See [`ReadUsageError`].
    pub async fn usage(
        &self,
        by: &Principal,
        request: UsageRequest,
        page: PageRequest,
    ) -> Result<Page<UsageRow>, ReadUsageError> {
        let (principal, now) = (by.clone(), self.clock.now());
        let work = move |store: &mut (dyn Store + 'static)| {
            query::usage(store, &request, &page, &principal, now)
        };
        self.db.run(Scope::of(by), work).await
    }

    /// Totals of the last `days` days. Needs `usage.read`.
    ///
    /// # Errors
    /// See [`ReadUsageError`].
    pub async fn summary(&self, by: &Principal, days: i64) -> Result<Summary, ReadUsageError> {
        let (principal, now) = (by.clone(), self.clock.now());
        let work =
            move |store: &mut (dyn Store + 'static)| query::summary(store, days, &principal, now);
        self.db.run(Scope::of(by), work).await
    }

    /// A page of events as they were sent, the latest first. Needs `usage.read`.
    ///
    /// # Errors
    /// See [`ReadUsageError`].
    pub async fn events(
        &self,
        by: &Principal,
        request: EventsRequest,
        page: PageRequest,
    ) -> Result<Page<StoredEvent>, ReadUsageError> {
        let principal = by.clone();
        let work =
            move |store: &mut (dyn Store + 'static)| raw::list(store, request, &page, &principal);
        self.db.run(Scope::of(by), work).await
    }

    /// The event with this id of a source. Needs `usage.read`.
    ///
    /// # Errors
    /// See [`FindEventError`].
    pub async fn event(
        &self,
        by: &Principal,
        id: String,
        source: Option<String>,
    ) -> Result<StoredEvent, FindEventError> {
        let principal = by.clone();
        let work = move |store: &mut (dyn Store + 'static)| {
            raw::find(store, &id, source.as_deref(), &principal)
        };
        self.db.run(Scope::of(by), work).await
    }

    /// A page of the tenant's meters, by key. Needs `meter.read`.
    ///
    /// # Errors
    /// See [`ListMetersError`].
    pub async fn meters(
        &self,
        by: &Principal,
        page: PageRequest,
    ) -> Result<Page<Meter>, ListMetersError> {
        let tenant_id = by.may(&permissions::METER_READ)?;
        let (limit, after) = (page.limit, page.key::<String>()?);
        if after.as_deref().is_some_and(|key| !meter::is_key(key)) {
            return Err(FieldError::new(
                "cursor",
                "invalid_cursor",
                "must be a next_cursor that this list gave",
            )
            .into());
        }
        let work = move |store: &mut (dyn Store + 'static)| {
            store.meters(tenant_id, &page, after.as_deref())
        };
        let rows = self.db.run(Scope::of(by), work).await?;
        Ok(Page::from_rows(rows, limit, |meter| meter.key.clone()))
    }

    /// Makes a meter. Needs `meter.write`.
    ///
    /// # Errors
    /// See [`CreateMeterError`].
    pub async fn create_meter(
        &self,
        by: &Principal,
        new: NewMeter,
    ) -> Result<Meter, CreateMeterError> {
        let (principal, now) = (by.clone(), self.clock.now());
        let work =
            move |store: &mut (dyn Store + 'static)| meter::create(store, new, &principal, now);
        self.db.run(Scope::of(by), work).await
    }

    /// The meter of a key, as it is now. Needs `meter.read`.
    ///
    /// # Errors
    /// See [`MeterError`].
    pub async fn meter(&self, by: &Principal, key: String) -> Result<Meter, MeterError> {
        let principal = by.clone();
        let work = move |store: &mut (dyn Store + 'static)| revision::read(store, &key, &principal);
        self.db.run(Scope::of(by), work).await
    }

    /// A page of what a meter is and was, the newest first. Needs `meter.read`.
    ///
    /// # Errors
    /// See [`MeterError`].
    pub async fn meter_versions(
        &self,
        by: &Principal,
        key: String,
        page: PageRequest,
    ) -> Result<Page<MeterVersion>, MeterError> {
        let principal = by.clone();
        let work = move |store: &mut (dyn Store + 'static)| {
            revision::versions(store, &key, &page, &principal)
        };
        self.db.run(Scope::of(by), work).await
    }

    /// Changes a meter; with `expected`, only when it still has that version. Needs `meter.write`.
    ///
    /// # Errors
    /// See [`ChangeMeterError`].
    pub async fn change_meter(
        &self,
        by: &Principal,
        key: String,
        change: MeterChange,
        expected: Option<i64>,
    ) -> Result<Meter, ChangeMeterError> {
        let (principal, now) = (by.clone(), self.clock.now());
        let work = move |store: &mut (dyn Store + 'static)| {
            revision::change(store, &key, change, expected, &principal, now)
        };
        self.db.run(Scope::of(by), work).await
    }
}

/// Usage, for the worker: the books of all tenants.
#[derive(Clone)]
pub struct Books {
    db: Arc<dyn UnitOfWork<dyn Ledger>>,
    clock: Arc<dyn Clock>,
}

impl Books {
    /// A façade over `db`, whose role sees the usage of all tenants.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Ledger>>, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock }
    }

    /// Moves one step of events into buckets, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has moved then.
    pub async fn roll(&self, at_most: u32) -> Result<Step, StoreError> {
        let work = move |store: &mut (dyn Ledger + 'static)| rollup::roll(store, at_most);
        self.db.run(Scope::global(), work).await
    }

    /// Closes up to `at_most` days that are due, each in its own transaction, and says how many closed. A day that fails does not hold up
    /// the others.
    ///
    /// # Errors
    /// [`StoreError`] of the first day that failed, after all were tried; the others are closed.
    pub async fn close_due_days(&self, at_most: u32) -> Result<u32, StoreError> {
        let now = self.clock.now();
        let due = move |store: &mut (dyn Ledger + 'static)| store.due_days(now, at_most);
        let (mut closed, mut first_failure) = (0, None);
        for due in self.db.run(Scope::global(), due).await? {
            let (tenant_id, date) = (due.day.tenant_id, due.day.day);
            let work = move |store: &mut (dyn Ledger + 'static)| day::close(store, &due, now);
            let outcome: Result<Close, StoreError> =
                self.db.run(Scope::tenant(tenant_id), work).await;
            match outcome {
                Ok(outcome) => closed += u32::from(matches!(outcome, Close::Closed { .. })),
                Err(error) => {
                    tracing::error!(%tenant_id, day = %date, %error, "a day of usage was not closed");
                    first_failure.get_or_insert(error);
                }
            }
        }
        first_failure.map_or(Ok(closed), Err)
    }

    /// Makes the partitions of the months to come, and says how many are new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ensure_partitions(&self, months_ahead: u32) -> Result<u32, StoreError> {
        let work = move |store: &mut (dyn Ledger + 'static)| store.ensure_partitions(months_ahead);
        self.db.run(Scope::global(), work).await
    }

    /// Notes which time events are of that came since the last time, and says for how many parts of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn summarise_events(&self) -> Result<u32, StoreError> {
        self.db.run(Scope::global(), Ledger::summarise_events).await
    }
}
