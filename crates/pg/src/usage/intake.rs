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
    time::{Duration, Instant},
};

use diesel::{Connection, PgConnection, connection::CacheSize};
use kernel::{BoxFuture, Scope, StoreError, Verdict, Work};
use tokio::sync::oneshot;
use usage::{GroupStore, IngestError, Intake, Receipt, group::ingest_group, ingest::Admitted};

use crate::{
    Settings,
    pool::lone_connection,
    tx::{Outcome, begin_statements, run},
};

/// Bytes of events that may wait. More are refused, so that a database that cannot keep up is felt by clients and not by our memory.
const MAX_WAITING: usize = 32 * 1024 * 1024;
/// Events in one group, give or take a request: beyond that, groups gain nothing and answers only come later.
const MAX_GROUP: usize = 4_000;
/// How long requests are written one by one after a group failed: whichever made it fail is then alone when it is sent again.
const APART: Duration = Duration::from_secs(5);
/// How often a writer tries to connect before it gives a group up.
const ATTEMPTS: usize = 8;

/// [`Intake`] over PostgreSQL. Its writers end when the last clone is dropped and everything that waits is written.
#[derive(Clone)]
pub struct GroupCommit {
    queue: Sender<Waiting>,
    /// Bytes that wait or are being written.
    weight: Arc<AtomicUsize>,
}

/// A request in the queue.
struct Waiting {
    request: Admitted,
    weight: usize,
    answer: oneshot::Sender<Result<Receipt, StoreError>>,
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
                apart_until: None,
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
        Ok(Self { queue, weight })
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
                request,
                weight,
                answer,
            };
            let lost = || StoreError::Unexpected("the writer of events is gone".to_owned());
            self.queue.send(waiting).map_err(|_| lost())?;
            Ok(answered.await.map_err(|_| lost())??)
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
    apart_until: Option<Instant>,
}

impl Writer {
    fn write(&mut self, group: Vec<Waiting>) {
        let is_apart = self.apart_until.is_some_and(|until| Instant::now() < until);
        if is_apart {
            for waiting in group {
                self.write_together(vec![waiting]);
            }
        } else {
            self.write_together(group);
        }
    }

    /// One transaction, and an answer to each request.
    fn write_together(&mut self, group: Vec<Waiting>) {
        let count = group.len();
        let (requests, answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|waiting| (waiting.request, waiting.answer))
            .unzip();
        match self.transact(requests) {
            Ok(receipts) => {
                for (answer, receipt) in answers.into_iter().zip(receipts) {
                    // Whoever went away does not hear of it; the events are written all the same.
                    let _gone = answer.send(Ok(receipt));
                }
            }
            Err(error) => {
                if !matches!(error, StoreError::Unavailable(_)) {
                    tracing::error!(%error, requests = count, "a group of events was not written");
                    self.apart_until = Some(Instant::now() + APART);
                }
                // In company nobody knows whose fault it was: try again, alone.
                let error = if count > 1 {
                    StoreError::Unavailable(error.to_string())
                } else {
                    error
                };
                for answer in answers {
                    let _gone = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Writes `requests` and commits, on whichever connection can begin.
    fn transact(&mut self, requests: Vec<Admitted>) -> Result<Vec<Receipt>, StoreError> {
        let timeout = self.settings.statement_timeout.as_millis();
        let begin = begin_statements(&Scope::global(), timeout);
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

fn writing(requests: Vec<Admitted>, slot: Slot) -> Work<dyn GroupStore> {
    Box::new(move |store| {
        let result = ingest_group(store, requests);
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
