//! The way of rows into the database: read on one thread, settled on another, a page at a time.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use csv::StringRecord;
use kernel::{Clock, StoreError, SystemClock, TenantId, UnitOfWork};
use time::OffsetDateTime;
use usage::{
    Outcome, Rejection,
    import::{self, Identity, ImportError, ImportStore, Page, Position},
};

use super::{
    BackfillError,
    books::Books,
    progress::Progress,
    reader::{Chunk, ReadRow, read_all},
    reading::{Reading, RowReader},
    rejects::{Reject, Rejects, RejectsError},
    report::Summary,
    rows::{NumberedRows, RowsError},
    tell,
    tenants::Tenants,
};

/// Pages that wait to be settled, beside the one that is being read.
const AHEAD: usize = 1;

type Db = Arc<dyn UnitOfWork<dyn ImportStore>>;

/// An import that has begun.
pub(crate) struct Import {
    db: Db,
    identity: Identity,
    tenants: Tenants,
    dry_run: bool,
    /// Where it stood at the start of this run.
    start: Position,
    finished_at: Option<OffsetDateTime>,
    started_at: Option<OffsetDateTime>,
    books: Books,
    /// Rows of which not even the tenant could be read, by code.
    unreadable: BTreeMap<&'static str, u64>,
    rejects: Arc<Mutex<Option<Rejects>>>,
}

/// A page on its way into the database, and what is needed to say which rows were refused.
struct Settling {
    page: Page,
    /// The row that each entry of a tenant came from, as a place in `cells`.
    places: BTreeMap<TenantId, Vec<usize>>,
    cells: Vec<(u64, StringRecord)>,
    rejects: Vec<Reject>,
}

/// Why a page was not settled.
#[derive(Debug, thiserror::Error)]
enum SettleError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rejects(#[from] RejectsError),
}

impl From<SettleError> for BackfillError {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::Import(error) => error.into(),
            SettleError::Store(error) => error.into(),
            SettleError::Rejects(error) => error.into(),
        }
    }
}

impl Import {
    /// Finds how far an import has come, or begins it.
    ///
    /// # Errors
    /// [`BackfillError::Refused`], [`BackfillError::Failed`].
    pub(crate) async fn begin(
        db: Db,
        identity: Identity,
        tenants: Tenants,
        dry_run: bool,
    ) -> Result<Self, BackfillError> {
        let of = identity.clone();
        let found = db
            .run(identity.scope(), move |store| {
                if dry_run {
                    import::look_up(store, &of)
                } else {
                    import::begin(store, &of).map(Some)
                }
            })
            .await?;
        Ok(Self {
            db,
            identity,
            tenants,
            dry_run,
            finished_at: found.as_ref().and_then(|import| import.finished_at),
            started_at: found.as_ref().map(|import| import.started_at),
            start: found.map(|import| import.position).unwrap_or_default(),
            books: Books::default(),
            unreadable: BTreeMap::new(),
            rejects: Arc::default(),
        })
    }

    /// Settles every row behind the position, and closes the books.
    ///
    /// # Errors
    /// See [`BackfillError`].
    pub(crate) async fn run(
        mut self,
        rows: NumberedRows,
        reader: RowReader,
        size: u64,
        rejects: Option<&Path>,
        header: &[String],
    ) -> Result<Summary, BackfillError> {
        self.say_where_it_stands();
        let (send, chunks) = sync_channel(AHEAD);
        let settled = self.start.rows;
        let reading = thread::Builder::new()
            .name("backfill-reader".to_owned())
            .spawn(move || read_all(rows, &reader, settled, &send))
            .map_err(|error| BackfillError::Start(error.to_string()))?;
        let mut progress = Progress::new(size);
        let last = self
            .settle_all(&chunks, rejects, header, &mut progress)
            .await;
        drop(chunks);
        let speed = progress.end();
        let read = reading.join();
        let last = last?;
        read.map_err(|_| BackfillError::Start("the reader stopped".to_owned()))?;
        if last.rows < self.start.rows {
            return Err(self.changed());
        }
        if !self.dry_run {
            self.finish(&last).await?;
            self.open_books().await?;
        }
        Ok(self.sum_up(&last, speed))
    }

    fn say_where_it_stands(&self) {
        let Position { rows, .. } = self.start;
        match self.finished_at {
            Some(at) => tell(format_args!(
                "this import was finished at {at}, after {rows} rows; looking for rows behind them"
            )),
            None if rows > 0 => tell(format_args!(
                "{rows} rows were settled by an earlier run; going on behind them"
            )),
            None => {}
        }
    }

    const fn changed(&self) -> BackfillError {
        BackfillError::Changed {
            settled: self.start.rows,
        }
    }

    async fn settle_all(
        &mut self,
        chunks: &Receiver<Result<Chunk, RowsError>>,
        rejects: Option<&Path>,
        header: &[String],
        progress: &mut Progress,
    ) -> Result<Position, BackfillError> {
        let mut last = Position::default();
        let mut opened = false;
        // Nothing is written before it is certain that the settled rows are still the same.
        while let Ok(chunk) = chunks.recv() {
            let chunk = chunk?;
            let (rows, done) = (chunk.rows.len(), chunk.done);
            last = chunk.to.clone();
            if last.rows == self.start.rows && last.digest != self.start.digest {
                return Err(self.changed());
            }
            if !opened && last.rows > self.start.rows {
                self.open_rejects(rejects, header)?;
                opened = true;
            }
            self.settle(chunk).await?;
            progress.advance(u64::try_from(rows).unwrap_or(0), done);
        }
        Ok(last)
    }

    fn open_rejects(&self, path: Option<&Path>, header: &[String]) -> Result<(), BackfillError> {
        let Some(path) = path else { return Ok(()) };
        let opened = Rejects::open(path, header, self.start.rows)?;
        *self.rejects.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(())
    }

    async fn settle(&mut self, chunk: Chunk) -> Result<(), BackfillError> {
        self.ask_for_tenants(&chunk).await?;
        let is_settled = chunk.to.rows <= self.start.rows;
        let settling = self.assign(chunk);
        if is_settled {
            return Ok(());
        }
        if self.dry_run {
            return self.check(settling).await;
        }
        let (identity, rejects) = (self.identity.clone(), Arc::clone(&self.rejects));
        self.db
            .run(self.identity.scope(), move |store| {
                let Settling {
                    page,
                    places,
                    cells,
                    rejects: mut refused,
                } = settling;
                let outcomes = import::take(store, &identity, page)?;
                refused.extend(refusals(&outcomes, &places, &cells));
                write(&rejects, refused)?;
                Ok::<_, SettleError>(())
            })
            .await?;
        Ok(())
    }

    /// As [`Import::settle`], but nothing is written to the database, and what the rules say goes straight into the books.
    async fn check(&mut self, settling: Settling) -> Result<(), BackfillError> {
        let Settling {
            page,
            places,
            cells,
            rejects: mut refused,
        } = settling;
        let entries = page.entries.clone();
        let outcomes = self
            .db
            .run(self.identity.scope(), move |store| {
                import::check(store, page)
            })
            .await?;
        for (tenant_id, entries) in &entries {
            let outcomes = outcomes.get(tenant_id).map(Vec::as_slice);
            let totals = import::totals(entries, outcomes.unwrap_or_default());
            self.books.settle(*tenant_id, &totals);
        }
        refused.extend(refusals(&outcomes, &places, &cells));
        write(&self.rejects, refused)?;
        Ok(())
    }

    async fn ask_for_tenants(&mut self, chunk: &Chunk) -> Result<(), BackfillError> {
        let named = chunk
            .rows
            .iter()
            .filter_map(|row| row.reading.tenant.as_ref().ok());
        let unasked = self.tenants.unasked(named.map(String::as_str));
        if unasked.is_empty() {
            return Ok(());
        }
        let here: Vec<(String, String)> = unasked
            .into_iter()
            .map(|name| (self.tenants.here(&name).to_owned(), name))
            .collect();
        let answers = self
            .db
            .run(self.identity.scope(), move |store| {
                let ask = |(here, name): (String, String)| {
                    Ok((name, import::tenant_named(store, &here)?))
                };
                here.into_iter()
                    .map(ask)
                    .collect::<Result<HashMap<_, _>, StoreError>>()
            })
            .await?;
        for (name, tenant_id) in answers {
            self.tenants.learn(name, tenant_id);
        }
        Ok(())
    }

    /// Hands each row to its tenant, and counts it.
    fn assign(&mut self, chunk: Chunk) -> Settling {
        let mut settling = Settling {
            page: Page {
                from: chunk.from,
                to: chunk.to,
                entries: BTreeMap::new(),
                unassigned: 0,
            },
            places: BTreeMap::new(),
            cells: Vec::with_capacity(chunk.rows.len()),
            rejects: Vec::new(),
        };
        for ReadRow {
            number,
            cells,
            reading,
        } in chunk.rows
        {
            match self.owner(&reading) {
                Ok(tenant_id) => {
                    let place = settling.cells.len();
                    let entries = settling.page.entries.entry(tenant_id).or_default();
                    let places = settling.places.entry(tenant_id).or_default();
                    for entry in reading.entries {
                        self.books.count(tenant_id, &entry);
                        entries.push(entry);
                        places.push(place);
                    }
                    settling.cells.push((number, cells));
                }
                Err(why) => {
                    settling.page.unassigned += 1;
                    settling.rejects.push(Reject {
                        row: number,
                        why,
                        cells,
                    });
                }
            }
        }
        settling
    }

    fn owner(&mut self, reading: &Reading) -> Result<TenantId, Rejection> {
        let name = match &reading.tenant {
            Ok(name) => name,
            Err(why) => {
                *self.unreadable.entry(why.code).or_default() += 1;
                return Err(why.clone());
            }
        };
        self.tenants.get(name).ok_or_else(|| {
            self.tenants.count_unknown(name);
            Rejection::new(
                "backfill.unknown_tenant",
                "tenant",
                "must be the id or the slug of a tenant, or be translated by --tenants",
            )
        })
    }

    async fn finish(&self, last: &Position) -> Result<(), BackfillError> {
        let (identity, last) = (self.identity.clone(), last.clone());
        let tenants = self.books.tenants();
        let now = SystemClock.now();
        self.db
            .run(self.identity.scope(), move |store| {
                import::finish(store, &identity, &last, &tenants, now)
            })
            .await?;
        Ok(())
    }

    /// Asks each tenant what it has.
    async fn open_books(&mut self) -> Result<(), BackfillError> {
        let Some(since) = self.started_at else {
            return Ok(());
        };
        for tenant_id in self.books.tenants() {
            let identity = self.identity.clone();
            let (totals, imported) = self
                .db
                .run(self.identity.scope(), move |store| {
                    store.enter_tenant(tenant_id)?;
                    let totals = store.import_totals(tenant_id, identity.id())?;
                    let imported = store.imported(tenant_id, &identity.source, since)?;
                    Ok::<_, StoreError>((totals, imported))
                })
                .await?;
            self.books.settle(tenant_id, &totals);
            self.books.enter(tenant_id, imported);
        }
        self.books.close();
        Ok(())
    }

    fn sum_up(self, last: &Position, speed: String) -> Summary {
        Summary {
            source: self.identity.source,
            table: self.identity.table,
            dry_run: self.dry_run,
            was_finished: self.finished_at.is_some(),
            rows: last.rows,
            settled_before: self.start.rows,
            unknown_tenants: self.tenants.unknown().clone(),
            unreadable: self.unreadable,
            books: self.books,
            speed,
        }
    }
}

/// Which rows were refused, and why.
fn refusals(
    outcomes: &BTreeMap<TenantId, Vec<Outcome>>,
    places: &BTreeMap<TenantId, Vec<usize>>,
    cells: &[(u64, StringRecord)],
) -> Vec<Reject> {
    let mut refused = Vec::new();
    for (tenant_id, outcomes) in outcomes {
        let places = places.get(tenant_id).into_iter().flatten();
        for (outcome, place) in outcomes.iter().zip(places) {
            if let (Some(why), Some((row, cells))) = (outcome.rejection(), cells.get(*place)) {
                refused.push(Reject {
                    row: *row,
                    why,
                    cells: cells.clone(),
                });
            }
        }
    }
    refused
}

fn write(rejects: &Mutex<Option<Rejects>>, mut refused: Vec<Reject>) -> Result<(), RejectsError> {
    refused.sort_by_key(|reject| reject.row);
    let mut rejects = rejects.lock().unwrap_or_else(PoisonError::into_inner);
    rejects
        .as_mut()
        .map_or(Ok(()), |rejects| rejects.write(&refused))
}
