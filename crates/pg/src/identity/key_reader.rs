//! Keys that many requests show at once, read together.
//!
//! A request that comes alone is read alone, at once. What comes while others are being read waits for its turn and shares a question: after
//! a restart, when thousands of keys are unknown, that is many times cheaper than a transaction for each.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use identity::{KeyReader, KeyRecord, Store};
use kernel::{BoxFuture, Scope, StoreError, UnitOfWork};
use tokio::sync::oneshot;

use crate::Pg;

/// Questions at a time: while one is answered, the next may be on its way.
const READERS: usize = 2;

type Answer = Result<Option<KeyRecord>, StoreError>;
/// By the key that they wait for.
type Waiting = HashMap<String, Vec<oneshot::Sender<Answer>>>;

/// [`KeyReader`] over PostgreSQL.
pub struct PgKeyReader(Arc<Shared>);

struct Shared {
    db: Arc<dyn UnitOfWork<dyn Store>>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Waiting,
    readers: usize,
}

impl PgKeyReader {
    /// Over the pool of `pg`.
    #[must_use]
    pub fn new(pg: &Pg) -> Self {
        Self(Arc::new(Shared {
            db: pg.unit_of_work(|tx| tx),
            queue: Mutex::default(),
        }))
    }
}

impl KeyReader for PgKeyReader {
    fn key_record(&self, key_id: &str) -> BoxFuture<'_, Answer> {
        let key_id = key_id.to_owned();
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            {
                let mut queue = self.0.queue();
                queue.waiting.entry(key_id).or_default().push(sender);
                if queue.readers < READERS {
                    queue.readers += 1;
                    // On its own, for whoever asked may go away.
                    tokio::spawn(Reader::of(&self.0).read());
                }
            }
            let gone = |_| StoreError::Unavailable("the reader of keys is gone".to_owned());
            answer.await.map_err(gone)?
        })
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts as a reader until it finds nobody waiting, or until it is taken away with the runtime that it is on.
struct Reader {
    shared: Arc<Shared>,
    counts: bool,
}

impl Reader {
    fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            counts: true,
        }
    }

    async fn read(mut self) {
        while let Some(waiting) = self.next() {
            let key_ids: Vec<String> = waiting.keys().cloned().collect();
            let records = self
                .shared
                .db
                .run(Scope::global(), move |store| store.key_records(&key_ids));
            tell(waiting, records.await);
        }
    }

    /// Everybody who waits. When there is nobody, it stops counting under the same lock: who comes next must not rely on it.
    fn next(&mut self) -> Option<Waiting> {
        let mut queue = self.shared.queue();
        if queue.waiting.is_empty() {
            queue.readers -= 1;
            self.counts = false;
            return None;
        }
        Some(mem::take(&mut queue.waiting))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.counts {
            self.shared.queue().readers -= 1;
        }
    }
}

fn tell(waiting: Waiting, records: Result<Vec<KeyRecord>, StoreError>) {
    let records = records.map(|records| {
        let by_key = records
            .into_iter()
            .map(|record| (record.key.key_id.clone(), record));
        by_key.collect::<HashMap<_, _>>()
    });
    for (key_id, senders) in waiting {
        let answer = match &records {
            Ok(records) => Ok(records.get(&key_id).cloned()),
            Err(error) => Err(error.clone()),
        };
        for sender in senders {
            let _gone = sender.send(answer.clone());
        }
    }
}
