//! Events of many requests in one transaction: group commit.
//!
//! Requests wait in a bounded queue. A writer takes all that wait, writes them, commits, and answers each; what comes meanwhile is the next
//! group. So a request that comes alone waits for nobody, and the more there are the larger the groups become: a commit is shared, and
//! nothing waits for a timer.
//!
//! A writer is a thread with a connection of its own, so that a flood of events never takes the connections that other requests need.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use diesel::{Connection, PgConnection, connection::CacheSize};
use kernel::{BoxFuture, StoreError, Verdict, Work};
use tokio::{sync::oneshot, time::timeout};
use usage::{
    GroupStore, IngestError, Intake, Receipt,
    group::{self, ingest_group},
    ingest::Admitted,
};

use crate::{
    Settings,
    pool::lone_connection,
    tx::{Outcome, begin_statements, run},
};

/// Bytes of events that may wait. More are refused, so that a database that cannot keep up is felt by clients and not by our memory.
const MAX_WAITING: usize = 32 * 1024 * 1024;
/// Events in one group, give or take a request: beyond that, groups gain nothing and answers only come later.
const MAX_GROUP: usize = 4_000;
/// How many time limits of a statement a request waits for its answer: for the group before, and for its own. A writer whose connection
/// hangs may take longer to find out than a client waits.
const PATIENCE: u32 = 4;
/// How often a writer tries to connect before it gives a group up.
const ATTEMPTS: usize = 8;

/// [`Intake`] over PostgreSQL. Its writers end when the last clone is dropped and everything that waits is written.
#[derive(Clone)]
pub struct GroupCommit {
    queue: Sender<Waiting>,
    /// Bytes that wait or are being written.
    weight: Arc<AtomicUsize>,
    patience: Duration,
}

/// A request in the queue.
struct Waiting {
    request: Arc<Admitted>,
    weight: usize,
    answer: oneshot::Sender<Result<Receipt, StoreError>>,
}

impl Waiting {
    fn answer(self, with: Result<Receipt, StoreError>) {
        // Whoever went away does not hear of it; what was written stays written.
        let _gone = self.answer.send(with);
    }
}

impl GroupCommit {
    /// Starts `writers` threads. They connect when the first events come.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when a thread cannot be started.
    pub fn start(settings: &Settings, writers: usize) -> Result<Self, StoreError> {
        let (queue, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let weight = Arc::new(AtomicUsize::new(0));
        for _ in 0..writers {
            let mut writer = Writer {
                settings: settings.clone(),
                connection: None,
            };
            let (waiting, weight) = (Arc::clone(&waiting), Arc::clone(&weight));
            thread::Builder::new()
                .name("usage-writer".to_owned())
                .spawn(move || {
                    while let Some(group) = next_group(&waiting) {
                        let written = group.iter().map(|waiting| waiting.weight).sum();
                        writer.write(group);
                        weight.fetch_sub(written, Ordering::Relaxed);
                    }
                })
                .map_err(|error| StoreError::Unexpected(error.to_string()))?;
        }
        Ok(Self {
            queue,
            weight,
            patience: settings.statement_timeout * PATIENCE,
        })
    }
}

impl Intake for GroupCommit {
    fn take(&self, request: Admitted) -> BoxFuture<'_, Result<Receipt, IngestError>> {
        Box::pin(async move {
            let weight = request.weight();
            if self.weight.fetch_add(weight, Ordering::Relaxed) + weight > MAX_WAITING {
                self.weight.fetch_sub(weight, Ordering::Relaxed);
                return Err(IngestError::Busy);
            }
            let (answer, answered) = oneshot::channel();
            let waiting = Waiting {
                request: Arc::new(request),
                weight,
                answer,
            };
            let lost = || StoreError::Unavailable("the writer of events is gone".to_owned());
            if self.queue.send(waiting).is_err() {
                self.weight.fetch_sub(weight, Ordering::Relaxed);
                return Err(lost().into());
            }
            // Whether it is written after all is not known then, and asking again with the same ids is safe.
            let answer = timeout(self.patience, answered).await.map_err(|_| {
                StoreError::Unavailable("events were not written in time".to_owned())
            })?;
            Ok(answer.map_err(|_| lost())??)
        })
    }
}

/// Waits for a request, and takes what waits behind it. `None` when nobody is left to ask.
fn next_group(waiting: &Mutex<Receiver<Waiting>>) -> Option<Vec<Waiting>> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut group = vec![waiting.recv().ok()?];
    let mut events = group.iter().map(|first| first.request.len()).sum::<usize>();
    while events < MAX_GROUP {
        let Ok(next) = waiting.try_recv() else { break };
        events += next.request.len();
        group.push(next);
    }
    Some(group)
}

struct Writer {
    settings: Settings,
    connection: Option<PgConnection>,
}

impl Writer {
    /// Writes a group, and answers each request.
    fn write(&mut self, group: Vec<Waiting>) {
        let requests = group.iter().map(|waiting| Arc::clone(&waiting.request));
        match self.transact(requests.collect()) {
            Ok(receipts) => {
                for (waiting, receipt) in group.into_iter().zip(receipts) {
                    waiting.answer(Ok(receipt));
                }
            }
            // Nothing was written, and one of them may be the cause: the others have nothing to do with it.
            Err(error) if group.len() > 1 && !matches!(error, StoreError::Unavailable(_)) => {
                for waiting in group {
                    self.write(vec![waiting]);
                }
            }
            Err(error) => {
                if !matches!(error, StoreError::Unavailable(_)) {
                    tracing::error!(%error, "events were not written");
                }
                for waiting in group {
                    waiting.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Writes `requests` and commits, on whichever connection can begin.
    fn transact(&mut self, requests: Vec<Arc<Admitted>>) -> Result<Vec<Receipt>, StoreError> {
        let timeout = self.settings.statement_timeout.as_millis();
        let begin = begin_statements(&group::scope(&requests), timeout);
        let slot = Arc::new(Mutex::new(None));
        let mut work = writing(requests, Arc::clone(&slot));
        for _ in 0..ATTEMPTS {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => connect(&self.settings)?,
            };
            let ran = catch_unwind(AssertUnwindSafe(|| {
                run(&mut connection, &begin, None, |tx| tx, work)
            }));
            match ran {
                Ok(Outcome::NotBegun(unused, _)) => work = unused,
                Ok(Outcome::Ran(Ok(()))) => {
                    self.connection = Some(connection);
                    return written(&slot);
                }
                // The group's own failure says more than that of the transaction which could not go on.
                Ok(Outcome::Ran(Err(error))) => return written(&slot).and(Err(error)),
                Err(_panic) => {
                    return Err(StoreError::Unexpected("writing events panicked".to_owned()));
                }
            }
        }
        Err(StoreError::Unavailable(
            "the database closes every connection".to_owned(),
        ))
    }
}

fn connect(settings: &Settings) -> Result<PgConnection, StoreError> {
    let mut connection = lone_connection(&settings.url)?;
    if !settings.prepared_statements {
        connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    }
    Ok(connection)
}

/// Where the work leaves what came of it.
type Slot = Arc<Mutex<Option<Result<Vec<Receipt>, StoreError>>>>;

fn writing(requests: Vec<Arc<Admitted>>, slot: Slot) -> Work<dyn GroupStore> {
    Box::new(move |store| {
        let result = ingest_group(store, &requests);
        let verdict = if result.is_ok() {
            Verdict::Commit
        } else {
            Verdict::Rollback
        };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        verdict
    })
}

fn written(slot: &Slot) -> Result<Vec<Receipt>, StoreError> {
    let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.unwrap_or_else(|| Err(StoreError::Unexpected("nothing was written".to_owned())))
}
