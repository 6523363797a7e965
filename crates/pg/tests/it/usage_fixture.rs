//! A tenant, and what its usage tests share.

use std::{sync::Arc, time::Duration};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types,
};
use kernel::{Clock, PageRequest, Principal, Scope, SystemClock, TenantId, UnitOfWork};
use pg::{Pg, Settings};
use testkit::TestDb;
use time::OffsetDateTime;
use usage::{Books, Item, Ledger, Options, Outcome, Receipt, Store, Usage, UsageRequest, UsageRow};

/// A clock that stands still.
pub(crate) struct At(pub(crate) OffsetDateTime);

impl Clock for At {
    fn now(&self) -> OffsetDateTime {
        self.0
    }
}

/// A database with one tenant in it.
pub(crate) struct Fixture {
    pub(crate) db: TestDb,
    pub(crate) tenant_id: TenantId,
    pub(crate) by: Principal,
    pub(crate) usage: Usage,
    pub(crate) books: Books,
}

impl Fixture {
    pub(crate) async fn new(timezone: &str) -> Self {
        let db = TestDb::create().await;
        let tenant_id = TenantId::new(SystemClock.now());
        let insert = format!(
            "insert into tenants (id, slug, name, status, timezone)
             values ('{tenant_id}', 'acme', 'Acme', 'active', '{timezone}')"
        );
        owner(&db).batch_execute(&insert).unwrap();
        let clock = Arc::new(SystemClock);
        let app = pool(db.app_url());
        let worker = pool(db.worker_url());
        Self {
            tenant_id,
            by: Principal::system("test", Some(tenant_id)),
            usage: Usage::new(app.unit_of_work(|tx| tx), clock.clone()),
            books: Books::new(worker.unit_of_work(|tx| tx), clock),
            db,
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope::tenant(self.tenant_id)
    }

    /// A store on connections of its own, with `options` of PostgreSQL.
    pub(crate) fn store(&self, options: &str) -> Arc<dyn UnitOfWork<dyn Store>> {
        pool(with_options(self.db.app_url(), options)).unit_of_work(|tx| tx)
    }

    /// A ledger on connections of its own, known to PostgreSQL as `name`.
    pub(crate) fn ledger(&self, name: &str) -> Arc<dyn UnitOfWork<dyn Ledger>> {
        let options = format!("-c application_name={name}");
        pool(with_options(self.db.worker_url(), &options)).unit_of_work(|tx| tx)
    }

    pub(crate) async fn ingest(&self, items: Vec<Item>) -> Receipt {
        let options = Options {
            backfill: true,
            strict: false,
        };
        self.usage.ingest(&self.by, items, options).await.unwrap()
    }

    /// Rolls until there is nothing left, and says how many events moved.
    pub(crate) async fn roll(&self) -> u64 {
        let mut moved = 0;
        loop {
            let step = self.books.roll(500).await.unwrap();
            moved += step.events;
            if !step.more {
                return moved;
            }
        }
    }

    /// Rolls until `events` have moved: transactions of other tests hold the horizon back for moments.
    pub(crate) async fn roll_all(&self, events: u64) {
        let mut moved = 0;
        for _ in 0..500 {
            moved += self.roll().await;
            if moved >= events {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(moved, events);
    }

    /// Every row of an answer, page by page.
    pub(crate) async fn read(&self, request: &UsageRequest, limit: u32) -> Vec<UsageRow> {
        let mut rows = Vec::new();
        let mut page = PageRequest {
            limit,
            cursor: None,
        };
        loop {
            let answer = self
                .usage
                .usage(&self.by, request.clone(), page)
                .await
                .unwrap();
            rows.extend(answer.data);
            match answer.next_cursor {
                Some(cursor) => {
                    page = PageRequest {
                        limit,
                        cursor: Some(cursor),
                    }
                }
                None => return rows,
            }
        }
    }

    /// One number, asked as the superuser.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let row: Number = sql_query(format!("select ({sql})::bigint as number"))
            .get_result(&mut owner(&self.db))
            .unwrap();
        row.number
    }

    /// One text, asked as the superuser.
    pub(crate) fn text(&self, sql: &str) -> String {
        let row: Text = sql_query(format!("select ({sql})::text as text"))
            .get_result(&mut owner(&self.db))
            .unwrap();
        row.text
    }

    pub(crate) fn execute(&self, sql: &str) {
        owner(&self.db).batch_execute(sql).unwrap();
    }
}

fn owner(db: &TestDb) -> PgConnection {
    PgConnection::establish(&db.superuser_url()).unwrap()
}

fn pool(url: String) -> Pg {
    let statement_timeout = Duration::from_secs(30);
    Pg::connect(&Settings {
        url,
        max_connections: 16,
        statement_timeout,
        prepared_statements: true,
    })
    .unwrap()
}

fn with_options(url: String, options: &str) -> String {
    let escaped = options
        .replace(' ', "%20")
        .replace('=', "%3D")
        .replace(':', "%3A");
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options={escaped}")
}

/// An event in the plain form.
pub(crate) fn event(json: &str) -> Item {
    Item::parse_plain(json)
}

/// A letter for what became of each event.
pub(crate) fn letters(receipt: &Receipt) -> String {
    let letter = |outcome: &Outcome| match outcome {
        Outcome::Accepted => 'a',
        Outcome::Duplicate => 'd',
        Outcome::Conflict => 'c',
        Outcome::Rejected(_) => 'r',
    };
    receipt
        .results
        .iter()
        .map(|result| letter(&result.outcome))
        .collect()
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = sql_types::BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = sql_types::Text)]
    text: String,
}
