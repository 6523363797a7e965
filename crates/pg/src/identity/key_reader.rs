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
            if let Some(reader) = self.0.join(key_id, sender) {
                // On its own, for whoever asked may go away.
                tokio::spawn(reader.read());
            }
            let gone = |_| StoreError::Unavailable("the reader of keys is gone".to_owned());
            answer.await.map_err(gone)?
        })
    }
}

impl Shared {
    /// Joins the queue; gives one more reader when there may be one.
    fn join(self: &Arc<Self>, key_id: String, sender: oneshot::Sender<Answer>) -> Option<Reader> {
        let mut queue = self.queue();
        queue.waiting.entry(key_id).or_default().push(sender);
        (queue.readers < READERS).then(|| {
            queue.readers += 1;
            Reader {
                shared: Arc::clone(self),
                counts: true,
            }
        })
    }

    async fn records(&self, key_ids: Vec<String>) -> Result<Vec<KeyRecord>, StoreError> {
        self.db
            .run(Scope::global(), move |store| store.key_records(&key_ids))
            .await
    }

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
    async fn read(mut self) {
        while let Some(waiting) = self.next() {
            let key_ids: Vec<String> = waiting.keys().cloned().collect();
            match self.shared.records(key_ids).await {
                // One of them may be the cause, and the others have nothing to do with it.
                Err(error) if waiting.len() > 1 && !matches!(error, StoreError::Unavailable(_)) => {
                    for (key_id, senders) in waiting {
                        let records = self.shared.records(vec![key_id.clone()]).await;
                        tell(Waiting::from([(key_id, senders)]), records);
                    }
                }
                records => tell(waiting, records),
            }
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
            let mut queue = self.shared.queue();
            queue.readers -= 1;
            if queue.readers == 0 {
                // Nobody is left to read for them: they are told so at once.
                queue.waiting.clear();
            }
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
