//! What the tests share: a database, the worker's store on it, and jobs that note their runs.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use app::queue::{Claim, ClaimedJob, NewJob, WorkerStore};
use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Text},
};
use kernel::{BoxFuture, Clock, JobId, Scope, StoreError, SystemClock, TenantId, UnitOfWork};
use plinth_jobs::{Died, Job, JobContext, JobError, Registry, Settings, Worker};
use serde_json::Value;
use testkit::TestDb;
use time::OffsetDateTime;
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

pub(crate) type Store = Arc<dyn UnitOfWork<dyn WorkerStore>>;

/// A database, and the worker's store on it.
pub(crate) struct Bench {
    pub(crate) db: TestDb,
    pub(crate) store: Store,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let db = TestDb::create().await;
        let store: Store = db.worker_pg().unit_of_work(|tx| tx);
        Self { db, store }
    }

    /// A store with connections of its own: another process.
    pub(crate) fn another(&self) -> Store {
        self.db.worker_pg().unit_of_work(|tx| tx)
    }

    fn superuser(&self) -> PgConnection {
        PgConnection::establish(&self.db.superuser_url()).unwrap()
    }

    /// Runs statements as somebody who may do everything.
    pub(crate) fn sql(&self, statements: &str) {
        self.superuser().batch_execute(statements).unwrap();
    }

    /// A number that a query calls `value`.
    pub(crate) fn number(&self, query: &str) -> i64 {
        sql_query(query)
            .get_result::<Number>(&mut self.superuser())
            .unwrap()
            .value
    }

    /// A text that a query calls `value`.
    pub(crate) fn text(&self, query: &str) -> String {
        sql_query(query)
            .get_result::<Word>(&mut self.superuser())
            .unwrap()
            .value
    }

    /// A tenant in some state, without members.
    pub(crate) fn tenant(&self, slug: &str, status: &str) -> TenantId {
        let id = TenantId::new(now());
        // The trigger wants an owner; what is tested here does not need one.
        self.sql(&format!(
            "set session_replication_role = replica;
             insert into tenants (id, slug, name, status) values ('{id}', '{slug}', 'Acme', '{status}')"
        ));
        id
    }

    pub(crate) async fn enqueue(&self, job: NewJob) -> JobId {
        let id = job.id;
        self.with(move |store| store.enqueue(job)).await;
        id
    }

    /// Work in one transaction of the worker.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut (dyn WorkerStore + 'static)) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.store.run(Scope::global(), work).await.unwrap()
    }

    pub(crate) async fn claim(&self, limit: u32, lease: Duration) -> Vec<ClaimedJob> {
        let claim = claim(limit, lease);
        self.with(move |store| store.claim(&claim)).await
    }

    /// Waits until a query answers a number.
    pub(crate) async fn until(&self, query: &str, wanted: i64) {
        for _ in 0..400 {
            if self.number(query) == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{query} never answered {wanted} but {}", self.number(query));
    }
}

pub(crate) fn now() -> OffsetDateTime {
    SystemClock.now()
}

pub(crate) fn claim(limit: u32, lease: Duration) -> Claim {
    Claim {
        queue: "default".to_owned(),
        kinds: vec!["probe".to_owned()],
        limit,
        lease,
    }
}

pub(crate) fn probe() -> NewJob {
    NewJob::new("probe", None, Value::Null, now())
}

/// What a [`Probe`] does after it has noted its run.
type Act = Box<dyn Fn(JobContext, Value) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// What probes have seen. Shared by the workers of a test.
#[derive(Default)]
pub(crate) struct Seen {
    runs: Mutex<HashMap<Uuid, usize>>,
    now: AtomicUsize,
    pub(crate) most: AtomicUsize,
    pub(crate) total: AtomicUsize,
}

impl Seen {
    /// How often each job ran.
    pub(crate) fn runs(&self) -> Vec<usize> {
        self.runs.lock().unwrap().values().copied().collect()
    }
}

/// A job that notes its runs.
pub(crate) struct Probe {
    seen: Arc<Seen>,
    act: Act,
}

impl Probe {
    pub(crate) fn new<F>(
        seen: &Arc<Seen>,
        act: impl Fn(JobContext, Value) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        Self {
            seen: Arc::clone(seen),
            act: Box::new(move |context, payload| Box::pin(act(context, payload))),
        }
    }

    /// Goes well, after a moment.
    pub(crate) fn fine(seen: &Arc<Seen>, moment: Duration) -> Self {
        Self::new(seen, move |_, _| async move {
            tokio::time::sleep(moment).await;
            Ok(())
        })
    }
}

impl Job for Probe {
    fn kind(&self) -> &'static str {
        "probe"
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn run(&self, context: JobContext, payload: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let id = context
                .lease
                .map_or(Uuid::nil(), |lease| lease.job_id.as_uuid());
            *self.seen.runs.lock().unwrap().entry(id).or_default() += 1;
            self.seen.total.fetch_add(1, Ordering::SeqCst);
            let at_once = self.seen.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.seen.most.fetch_max(at_once, Ordering::SeqCst);
            let outcome = (self.act)(context, payload).await;
            self.seen.now.fetch_sub(1, Ordering::SeqCst);
            outcome
        })
    }
}

/// A worker in a task of its own.
pub(crate) struct Started {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Died>>,
}

impl Started {
    pub(crate) fn new(store: &Store, registry: Registry, settings: Settings) -> Self {
        let worker = Worker::new(Arc::clone(store), Arc::new(SystemClock), registry, settings);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(worker.run(async move {
            let _ = stopped.await;
        }));
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

/// A worker that does not let a test wait.
pub(crate) fn brisk() -> Settings {
    Settings {
        poll: Duration::from_millis(50),
        lease: Duration::from_secs(3),
        concurrency: 4,
        shutdown: Duration::from_secs(2),
        ..Settings::default()
    }
}
