//! The worker's books, which roll usage up as the worker does.

use std::{sync::Arc, time::Duration};

use kernel::{Scope, UnitOfWork};
use pg::{Pg, Settings, migrate::set_password};
use tokio::runtime::{Builder, Runtime};
use usage::{Ledger, rollup};

use crate::stage::Database;

/// Tenants of the ids `00000000-0000-7000-9000-` and a number from 1 on, older than the customer.
pub(crate) fn add_tenants(database: &Database, count: usize) {
    let add = "insert into tenants
        select r.* from tenants t, generate_series(1, COUNT) n, lateral jsonb_populate_record(t, jsonb_build_object(
            'id', '00000000-0000-7000-9000-' || lpad(n::text, 12, '0'), 'slug', 'past-' || n, 'created_at', timestamptz '2020-01-01 00:00Z')) r
        where t.id = (select id from tenants order by created_at desc limit 1)";
    database.administer(&[&add.replace("COUNT", &count.to_string())]);
}

pub(crate) struct Roller {
    books: Arc<dyn UnitOfWork<dyn Ledger>>,
    runtime: Runtime,
}

impl Roller {
    pub(crate) fn start(database: &Database) -> Self {
        set_password(&database.superuser_url, "plinth_worker", "benchmark").unwrap();
        let settings = Settings {
            url: database.app_url().replace("plinth_app", "plinth_worker"),
            max_connections: 1,
            statement_timeout: Duration::from_secs(60),
            prepared_statements: true,
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let pg = Pg::connect(&settings).unwrap();
        drop(entered);
        Self {
            books: pg.unit_of_work(|tx| tx),
            runtime,
        }
    }

    /// Notes which time the events are of that came.
    pub(crate) fn summarise(&self) {
        let summarised = self.books.run(Scope::global(), Ledger::summarise_events);
        self.runtime.block_on(summarised).unwrap();
    }

    /// Rolls up what is there, step by step. Gives how many events.
    pub(crate) fn roll(&self) -> u64 {
        let mut rolled = 0;
        self.runtime.block_on(async {
            loop {
                let work = |store: &mut (dyn Ledger + 'static)| rollup::roll(store, rollup::STEP);
                let step = self.books.run(Scope::global(), work).await.unwrap();
                rolled += step.events;
                if !step.more {
                    return rolled;
                }
            }
        })
    }
}
