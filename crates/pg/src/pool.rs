//! Connections: how many, for how long, and as whom.

use std::{sync::Arc, thread, time::Duration};

use deadpool::managed::{
    Hook, HookError, Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError,
    RecycleResult, Timeouts,
};
use deadpool_diesel::{Error, Runtime, postgres};
use diesel::{
    Connection, ConnectionError, PgConnection, RunQueryDsl,
    connection::{AnsiTransactionManager, CacheSize, SimpleConnection, TransactionManager},
    sql_query,
};
use kernel::StoreError;
use scopeguard::{ScopeGuard, guard};
use tokio::runtime::{Builder, Handle};

use crate::{
    PgTx,
    address::with_patience,
    error::store_error,
    scalar::Answer,
    tx::{Open, PgUnitOfWork},
    usage::AFTER_A_RESTORE,
};

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `postgres://role:password@host:port/database`. A server that says nothing for some twenty seconds counts as away, unless this says
    /// otherwise: `connect_timeout`, `keepalives_…` and `tcp_user_timeout`, as libpq has them.
    pub url: String,
    /// Connections at most. A unit of work holds one; a request needs one at a time.
    pub max_connections: usize,
    /// How long one statement may take. This, and no timer around the future, bounds a unit of work.
    pub statement_timeout: Duration,
    /// Whether connections keep what they prepared. Not behind a pooler that lends out server connections by the transaction and does
    /// not follow prepared statements: there, the next transaction would find another client's statements under its names.
    pub prepared_statements: bool,
}

/// The database, as the binaries hold it. Cheap to clone.
#[derive(Clone)]
pub struct Pg {
    pool: Pool<Connections>,
    statement_timeout: Duration,
    keeps_statements: bool,
    /// Taken apart by the last clone when it goes; never absent before.
    clones: Option<Arc<()>>,
}

/// The pool closes connections on a thread of the runtime, and panics where there is none. The last clone may well go with a thread of the
/// server that has left its runtime already, so it brings one along.
impl Drop for Pg {
    fn drop(&mut self) {
        let is_last = self.clones.take().and_then(Arc::into_inner).is_some();
        if !is_last || Handle::try_current().is_ok() {
            return;
        }
        let pool = self.pool.clone();
        let closing = thread::spawn(move || {
            if let Ok(runtime) = Builder::new_current_thread().build() {
                let _entered = runtime.enter();
                pool.close();
            }
        });
        let _closed = closing.join();
    }
}

impl std::fmt::Debug for Pg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pg")
            .field("pool", &self.pool.status())
            .finish_non_exhaustive()
    }
}

/// How long a request waits for a free connection, and for a new one to be made.
const WAIT: Duration = Duration::from_secs(3);

impl Pg {
    /// A pool over `settings`. Connects on first use, so a database that is away does not stop the start.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the settings make no pool.
    pub fn connect(settings: &Settings) -> Result<Self, StoreError> {
        let manager = Connections(postgres::Manager::new(
            with_patience(&settings.url),
            Runtime::Tokio1,
        ));
        let timeouts = Timeouts {
            wait: Some(WAIT),
            create: Some(WAIT),
            recycle: Some(WAIT),
        };
        let pool = Pool::builder(manager)
            .max_size(settings.max_connections.max(1))
            .runtime(Runtime::Tokio1)
            .timeouts(timeouts)
            // The one that was used last: what its server process keeps is still in the processor's cache.
            .queue_mode(QueueMode::Lifo)
            .post_create(settle(settings))
            .build()
            .map_err(|error| StoreError::Unexpected(error.to_string()))?;
        Ok(Self {
            pool,
            statement_timeout: settings.statement_timeout,
            keeps_statements: settings.prepared_statements,
            clones: Some(Arc::default()),
        })
    }

    /// One transaction per command, over the store that `open` makes of a [`PgTx`]; almost always `|tx| tx`.
    #[must_use]
    pub fn unit_of_work<S: ?Sized + 'static>(
        &self,
        open: fn(&mut PgTx) -> &mut S,
    ) -> Arc<dyn kernel::UnitOfWork<S>> {
        Arc::new(PgUnitOfWork::new(self.clone(), Open(open)))
    }

    /// Refuses to work as a role that row-level security does not bind.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the role is a superuser, has `BYPASSRLS`, or belongs to the owner of the tables;
    /// [`StoreError::Unavailable`] when the database cannot be asked.
    async fn refuse_unsafe_role(&self) -> Result<(), StoreError> {
        let unsafe_role = self.ask(|conn| {
            sql_query(
                "select r.rolsuper or r.rolbypassrls or exists (
                     select from pg_catalog.pg_class c
                     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                       and pg_has_role(current_user, c.relowner, 'member')) as answer
                 from pg_catalog.pg_roles r where r.rolname = current_user",
            )
            .get_result::<Answer>(conn)
        });
        if unsafe_role.await?.answer {
            return Err(StoreError::Unexpected(
                "the database role could bypass row-level security; connect as plinth_app or plinth_worker"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Refuses a database that was restored from a dump and not migrated since. Its transactions are numbered anew, so events that are
    /// written there count as rolled up.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when it is one; [`StoreError::Unavailable`] when the database cannot be asked.
    async fn refuse_another_life(&self) -> Result<(), StoreError> {
        let another = self.ask(|conn| {
            let migrated = "select coalesce(has_table_privilege(to_regclass('public.usage_watermark'), 'select'), false) as answer";
            if !sql_query(migrated).get_result::<Answer>(conn)?.answer {
                return Ok(false);
            }
            let ahead = "select exists (
                select from usage_watermark where txid > pg_snapshot_xmax(pg_current_snapshot())::text::bigint) as answer";
            Ok(sql_query(ahead).get_result::<Answer>(conn)?.answer)
        });
        if another.await? {
            return Err(StoreError::Unexpected(format!(
                "the database was restored: {AFTER_A_RESTORE}"
            )));
        }
        Ok(())
    }

    /// Refuses a role that row-level security does not bind, and a database that was restored from a dump and not migrated since.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the role is a superuser, has `BYPASSRLS`, or belongs to the owner of the tables, and when the
    /// database is such a one; [`StoreError::Unavailable`] when it cannot be asked.
    pub async fn refuse_unsafe(&self) -> Result<(), StoreError> {
        self.refuse_unsafe_role().await?;
        self.refuse_another_life().await
    }

    /// As [`Pg::refuse_unsafe`], for as long as it takes the database to be there: it may be started after us.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`].
    pub async fn wait_until_safe(&self) -> Result<(), StoreError> {
        loop {
            match self.refuse_unsafe().await {
                Err(StoreError::Unavailable(error)) => {
                    tracing::warn!(error, "the database is away; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.ask(|conn| sql_query("select true as answer").execute(conn).map(drop))
            .await
    }

    /// Connections in use and connections open, for metrics.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.size)
    }

    pub(crate) const fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// Whether what a connection prepared is there the next time: [`Settings::prepared_statements`].
    pub(crate) const fn keeps_statements(&self) -> bool {
        self.keeps_statements
    }

    /// A connection, free or new.
    ///
    /// diesel settles each new session by two statements, and each is prepared in one message and run in the next. A pooler may answer the
    /// two from two servers, of which the second knows nothing of it: then the session is begun anew.
    async fn connection(&self) -> Result<Object<Connections>, StoreError> {
        let mut attempt = 1;
        loop {
            match self.pool.get().await {
                Ok(connection) => return Ok(connection),
                Err(error) if attempt < SESSIONS && is_unsettled(&error) => attempt += 1,
                Err(error) => return Err(StoreError::Unavailable(error.to_string())),
            }
        }
    }

    /// Asks something outside of any scope. In a transaction all the same, so that a pooler keeps to one server until it is answered.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut PgConnection) -> Result<T, diesel::result::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.interact(
            |conn| conn.transaction(question).map_err(store_error),
            Result::is_err,
        )
        .await?
    }

    /// Does something with a free connection on a thread that may block. The connection is closed when it panicked, when it left a
    /// transaction open, and when `spoils` says so of what came of it. And when whoever asked has gone away: what they asked goes on, or is
    /// still to begin, and must not panic in another's hands.
    pub(crate) async fn interact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> T + Send + 'static,
        spoils: fn(&T) -> bool,
    ) -> Result<T, StoreError> {
        let lent = guard(self.connection().await?, |lent| {
            // A process that is ending has no thread left to close it on.
            if Handle::try_current().is_ok() {
                drop(Object::take(lent));
            }
        });
        let done = lent.interact(move |conn| {
            let done = work(conn);
            let is_broken = AnsiTransactionManager::is_broken_transaction_manager(conn);
            let is_spoilt = is_broken || spoils(&done);
            (done, is_spoilt)
        });
        let (done, is_spoilt) = done
            .await
            .map_err(|panicked| StoreError::Unexpected(panicked.to_string()))?;
        if !is_spoilt {
            drop(ScopeGuard::into_inner(lent));
        }
        Ok(done)
    }
}

/// Connections as `deadpool_diesel` makes them. A free one is taken as it is: to look at it first, as that library does, is a change of
/// threads there and back for each unit of work. What can be seen without waiting is looked at. One that died is found out by `BEGIN`, before
/// any work ran, and replaced.
struct Connections(postgres::Manager);

type Session = deadpool_diesel::Connection<PgConnection>;

impl Manager for Connections {
    type Type = Session;
    type Error = Error;

    async fn create(&self) -> Result<Self::Type, Error> {
        self.0.create().await
    }

    async fn recycle(&self, connection: &mut Self::Type, _: &Metrics) -> RecycleResult<Error> {
        let Ok(mut connection) = connection.try_lock() else {
            return Err(RecycleError::message("it is busy, or something panicked"));
        };
        if AnsiTransactionManager::is_broken_transaction_manager(&mut *connection) {
            return Err(RecycleError::message("a transaction is open"));
        }
        Ok(())
    }
}

/// How often a session is begun anew before the database counts as away.
const SESSIONS: usize = 8;

fn is_unsettled(error: &PoolError<Error>) -> bool {
    matches!(
        error,
        PoolError::Backend(Error::Connection(
            ConnectionError::CouldntSetupConfiguration(_)
        ))
    )
}

/// Settles each new connection. A session that is ours holds to the limits of a unit of work also outside of one; behind a pooler that
/// follows prepared statements it may become that of another of our connections, which wants the same.
fn settle(settings: &Settings) -> Hook<Connections> {
    let keeps_statements = settings.prepared_statements;
    let timeout = settings.statement_timeout.as_millis();
    let session = format!("SET statement_timeout = {timeout}; SET jit = off");
    Hook::async_fn(move |connection: &mut Session, _| {
        let session = session.clone();
        let settled = connection.interact(move |conn| {
            if keeps_statements {
                conn.batch_execute(&session).map_err(Error::Ping)
            } else {
                conn.set_prepared_statement_cache_size(CacheSize::Disabled);
                Ok(())
            }
        });
        Box::pin(async {
            let settled = settled.await;
            settled
                .map_err(|error| HookError::message(error.to_string()))?
                .map_err(HookError::Backend)
        })
    })
}

/// One connection outside the pool, for listeners, migrations and writers of events.
pub(crate) fn lone_connection(url: &str) -> Result<PgConnection, StoreError> {
    let (url, mut attempt) = (with_patience(url), 1);
    loop {
        match PgConnection::establish(&url) {
            Ok(connection) => return Ok(connection),
            // As in the pool: a pooler left the session unsettled.
            Err(ConnectionError::CouldntSetupConfiguration(_)) if attempt < SESSIONS => {
                attempt += 1;
            }
            Err(error) => return Err(StoreError::Unavailable(error.to_string())),
        }
    }
}
