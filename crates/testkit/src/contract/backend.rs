//! What a suite is handed: every port, and a way to make what no port makes.

use std::sync::Arc;

use kernel::UnitOfWork;
use pg::Pg;

use crate::{Memory, TestDb};

/// Something that implements the ports. A value is one empty store; each function of a suite is given its own.
pub trait Backend {
    /// Tenants.
    fn tenants(&self) -> Arc<dyn UnitOfWork<dyn tenancy::TenantStore>>;

    /// The audit trail.
    fn audit(&self) -> Arc<dyn UnitOfWork<dyn ::audit::Store>>;

    /// Facts in the outbox, as a worker relays them.
    fn outbox(&self) -> Arc<dyn UnitOfWork<dyn app::outbox::Outbox>>;
}

/// PostgreSQL, in a database of its own, as the roles of the API and of the worker.
pub struct Postgres {
    app: Pg,
    worker: Pg,
    /// Removed with the value, after the pools have gone: fields are dropped in their order.
    _db: TestDb,
}

impl Postgres {
    /// A fresh, migrated database.
    pub async fn start() -> Self {
        let db = TestDb::create().await;
        Self {
            app: db.pg(),
            worker: db.worker_pg(),
            _db: db,
        }
    }
}

impl Backend for Postgres {
    fn tenants(&self) -> Arc<dyn UnitOfWork<dyn tenancy::TenantStore>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn audit(&self) -> Arc<dyn UnitOfWork<dyn ::audit::Store>> {
        self.app.unit_of_work(|tx| tx)
    }

    fn outbox(&self) -> Arc<dyn UnitOfWork<dyn app::outbox::Outbox>> {
        self.worker.unit_of_work(|tx| tx)
    }
}

impl Backend for Memory {
    fn tenants(&self) -> Arc<dyn UnitOfWork<dyn tenancy::TenantStore>> {
        self.unit_of_work(|tx| tx)
    }

    fn audit(&self) -> Arc<dyn UnitOfWork<dyn ::audit::Store>> {
        self.unit_of_work(|tx| tx)
    }

    fn outbox(&self) -> Arc<dyn UnitOfWork<dyn app::outbox::Outbox>> {
        self.unit_of_work(|tx| tx)
    }
}
