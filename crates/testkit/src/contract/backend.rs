//! What a suite is handed: every port, and a way to make what no port makes.

use std::sync::Arc;

use kernel::{BoxFuture, TenantId, UnitOfWork};
use pg::Pg;
use time::Date;

use super::{
    BillingSeed, Seed, seed,
    usage_rows::{self, DayRecord},
};
use crate::{Memory, TestDb, must};

/// Something that implements the ports. A value is one empty store; each function of a suite is given its own.
pub trait Backend {
    /// Tenants.
    fn tenants(&self) -> Arc<dyn UnitOfWork<dyn tenancy::TenantStore>>;

    /// All of tenancy.
    fn tenancy(&self) -> Arc<dyn UnitOfWork<dyn tenancy::Store>>;

    /// People, sessions and keys.
    fn identity(&self) -> Arc<dyn UnitOfWork<dyn identity::Store>>;

    /// The audit trail.
    fn audit(&self) -> Arc<dyn UnitOfWork<dyn ::audit::Store>>;

    /// Facts in the outbox, as a worker relays them.
    fn outbox(&self) -> Arc<dyn UnitOfWork<dyn app::outbox::Outbox>>;

    /// Adds a row that no port writes, whatever the policies say.
    fn seed(&self, seed: Seed) -> BoxFuture<'_, ()>;

    /// Usage, for requests of a tenant.
    fn usage(&self) -> Arc<dyn UnitOfWork<dyn usage::Store>>;

    /// Events of many tenants at once.
    fn usage_groups(&self) -> Arc<dyn UnitOfWork<dyn usage::GroupStore>>;

    /// Usage that another system measured.
    fn imports(&self) -> Arc<dyn UnitOfWork<dyn usage::import::ImportStore>>;

    /// The books of usage, as a worker keeps them.
    fn ledger(&self) -> Arc<dyn UnitOfWork<dyn usage::Ledger>>;

    /// Months of events, as a worker lets them go.
    fn partitions(&self) -> Arc<dyn UnitOfWork<dyn usage::retention::PartitionStore>>;

    /// What was written down of a day of usage, which no port reads.
    fn day_record(&self, tenant_id: TenantId, day: Date) -> BoxFuture<'_, Option<DayRecord>>;

    /// Plans, subscriptions, counts, reservations, resources and invoices.
    fn billing(&self) -> Arc<dyn UnitOfWork<dyn ::billing::Store>>;

    /// Usage of all tenants, as far as quotas count it, as a worker sees it.
    fn quota_watch(&self) -> Arc<dyn UnitOfWork<dyn ::billing::QuotaWatch>>;

    /// Billing of one tenant, as a worker works on it.
    fn billing_of_worker(&self) -> Arc<dyn UnitOfWork<dyn ::billing::Store>>;

    /// The queue, as a request sees it.
    fn queue(&self) -> Arc<dyn UnitOfWork<dyn app::queue::Queue>>;

    /// The queue, schedules and the outbox, as a worker sees them.
    fn worker(&self) -> Arc<dyn UnitOfWork<dyn app::queue::WorkerStore>>;

    /// `Idempotency-Key`s.
    fn idempotency(&self) -> Arc<dyn UnitOfWork<dyn app::idempotency::Store>>;

    /// What a worker looks for across tenants.
    fn upkeep(&self) -> Arc<dyn UnitOfWork<dyn app::upkeep::Upkeep>>;

    /// Writes what no port of billing writes.
    fn seed_billing(&self, seed: BillingSeed) -> BoxFuture<'_, ()>;
}

/// PostgreSQL, in a database of its own, as the roles of the API and of the worker.
pub struct Postgres {
    app: Pg,
    worker: Pg,
    /// Removed with the value, after the pools have gone: fields are dropped in their order.
    db: TestDb,
}

impl Postgres {
    /// A fresh, migrated database.
    pub async fn start() -> Self {
        let db = TestDb::create().await;
        Self {
            app: db.pg(),
            worker: db.worker_pg(),
            db,
        }
    }
}

impl Backend for Postgres {
    fn tenants(&self) -> Arc<dyn UnitOfWork<dyn tenancy::TenantStore>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn tenancy(&self) -> Arc<dyn UnitOfWork<dyn tenancy::Store>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn identity(&self) -> Arc<dyn UnitOfWork<dyn identity::Store>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn audit(&self) -> Arc<dyn UnitOfWork<dyn ::audit::Store>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn outbox(&self) -> Arc<dyn UnitOfWork<dyn app::outbox::Outbox>> {
        self.worker.unit_of_work(|tx| tx)
    }

    fn seed(&self, seed: Seed) -> BoxFuture<'_, ()> {
        Box::pin(seed::execute(self.db.superuser_url(), seed))
    }

    fn usage(&self) -> Arc<dyn UnitOfWork<dyn usage::Store>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn usage_groups(&self) -> Arc<dyn UnitOfWork<dyn usage::GroupStore>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn imports(&self) -> Arc<dyn UnitOfWork<dyn usage::import::ImportStore>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn ledger(&self) -> Arc<dyn UnitOfWork<dyn usage::Ledger>> {
        self.worker.unit_of_work(|tx| tx)
    }

    fn partitions(&self) -> Arc<dyn UnitOfWork<dyn usage::retention::PartitionStore>> {
        self.worker.unit_of_work(|tx| tx)
    }

    fn day_record(&self, tenant_id: TenantId, day: Date) -> BoxFuture<'_, Option<DayRecord>> {
        Box::pin(usage_rows::day_record(&self.db, tenant_id, day))
    }

    fn billing(&self) -> Arc<dyn UnitOfWork<dyn ::billing::Store>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn quota_watch(&self) -> Arc<dyn UnitOfWork<dyn ::billing::QuotaWatch>> {
        self.worker.unit_of_work(|tx| tx)
    }

    fn billing_of_worker(&self) -> Arc<dyn UnitOfWork<dyn ::billing::Store>> {
        self.worker.unit_of_work(|tx| tx)
    }

    fn queue(&self) -> Arc<dyn UnitOfWork<dyn app::queue::Queue>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn worker(&self) -> Arc<dyn UnitOfWork<dyn app::queue::WorkerStore>> {
        self.worker.unit_of_work(|tx| tx)
    }

    fn idempotency(&self) -> Arc<dyn UnitOfWork<dyn app::idempotency::Store>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn upkeep(&self) -> Arc<dyn UnitOfWork<dyn app::upkeep::Upkeep>> {
        self.worker.unit_of_work(|tx| tx)
    }

    fn seed_billing(&self, seed: BillingSeed) -> BoxFuture<'_, ()> {
        Box::pin(async move { must("seeding", seed.into_database(&self.db)) })
    }
}

impl Backend for Memory {
    fn tenants(&self) -> Arc<dyn UnitOfWork<dyn tenancy::TenantStore>> {
        self.unit_of_work(|tx| tx)
    }

    fn tenancy(&self) -> Arc<dyn UnitOfWork<dyn tenancy::Store>> {
        self.unit_of_work(|tx| tx)
    }

    fn identity(&self) -> Arc<dyn UnitOfWork<dyn identity::Store>> {
        self.unit_of_work(|tx| tx)
    }

    fn audit(&self) -> Arc<dyn UnitOfWork<dyn ::audit::Store>> {
        self.unit_of_work(|tx| tx)
    }

    fn outbox(&self) -> Arc<dyn UnitOfWork<dyn app::outbox::Outbox>> {
        self.unit_of_work(|tx| tx)
    }

    fn seed(&self, seed: Seed) -> BoxFuture<'_, ()> {
        self.plant(seed);
        Box::pin(std::future::ready(()))
    }

    fn usage(&self) -> Arc<dyn UnitOfWork<dyn usage::Store>> {
        self.unit_of_work(|tx| tx)
    }

    fn usage_groups(&self) -> Arc<dyn UnitOfWork<dyn usage::GroupStore>> {
        self.unit_of_work(|tx| tx)
    }

    fn imports(&self) -> Arc<dyn UnitOfWork<dyn usage::import::ImportStore>> {
        self.unit_of_work(|tx| tx)
    }

    fn ledger(&self) -> Arc<dyn UnitOfWork<dyn usage::Ledger>> {
        self.unit_of_work(|tx| tx)
    }

    fn partitions(&self) -> Arc<dyn UnitOfWork<dyn usage::retention::PartitionStore>> {
        self.unit_of_work(|tx| tx)
    }

    fn day_record(&self, tenant_id: TenantId, day: Date) -> BoxFuture<'_, Option<DayRecord>> {
        Box::pin(std::future::ready(Memory::day_record(self, tenant_id, day)))
    }

    fn billing(&self) -> Arc<dyn UnitOfWork<dyn ::billing::Store>> {
        self.unit_of_work(|tx| tx)
    }

    fn quota_watch(&self) -> Arc<dyn UnitOfWork<dyn ::billing::QuotaWatch>> {
        self.unit_of_work(|tx| tx)
    }

    fn billing_of_worker(&self) -> Arc<dyn UnitOfWork<dyn ::billing::Store>> {
        self.unit_of_work(|tx| tx)
    }

    fn queue(&self) -> Arc<dyn UnitOfWork<dyn app::queue::Queue>> {
        self.unit_of_work(|tx| tx)
    }

    fn worker(&self) -> Arc<dyn UnitOfWork<dyn app::queue::WorkerStore>> {
        self.unit_of_work(|tx| tx)
    }

    fn idempotency(&self) -> Arc<dyn UnitOfWork<dyn app::idempotency::Store>> {
        self.unit_of_work(|tx| tx)
    }

    fn upkeep(&self) -> Arc<dyn UnitOfWork<dyn app::upkeep::Upkeep>> {
        self.unit_of_work(|tx| tx)
    }

    fn seed_billing(&self, seed: BillingSeed) -> BoxFuture<'_, ()> {
        Box::pin(async move { seed.into_memory(self) })
    }
}
