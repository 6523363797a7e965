//! Stores in memory: every port of the domains, without a database.
//!
//! For tests of rules, and for embedders who test what they build on the domains. It behaves as PostgreSQL does behind `plinth-pg`: the
//! scope decides which rows are there, unique names conflict under the names of their constraints, and what a command wrote is kept only
//! when it commits. The suites in [`crate::contract`] hold both to the same words.
//!
//! What differs on purpose: commands run one after another, so a lock is always had at once; nothing outlives the value; and there is no
//! database that could be away.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod` | [`Memory`], [`MemoryTx`], and the unit of work |
//! | `allowance` | how much of a counted thing a tenant may have |
//! | `audit` | the trail and the outbox's facts |
//! | `tenancy` | tenants, members and roles, invitations, projects |
//! | `identity` | people, sessions, keys, and what is known of those who sign in |
//! | `seed` | what no port writes |
//! | `usage` | meters, events, the watermark and the daily close |
//! | `billing` | plans, subscriptions, counts, reservations, resources, invoices |
//! | `idempotency` | `Idempotency-Key`s |
//! | `jobs` | the queue, schedules, upkeep |

mod allowance;
mod audit;
mod billing;
mod idempotency;
mod identity;
mod jobs;
mod seed;
mod tenancy;
mod usage;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use kernel::{
    BoxFuture, Clock, Scope, StoreError, SystemClock, TenantId, UnitOfWork, Verdict, Work,
};
use time::OffsetDateTime;

/// A store in memory, empty but for the catalogues that the migrations bring. Clones share their rows.
#[derive(Clone)]
pub struct Memory {
    committed: Arc<Mutex<Tables>>,
    clock: Arc<dyn Clock>,
}

/// All rows. A command works on a copy, which takes the place of the original when it commits.
#[derive(Clone, Default)]
struct Tables {
    audit: audit::Tables,
    identity: identity::Tables,
    billing: billing::Tables,
    idempotency: idempotency::Tables,
    jobs: jobs::Tables,
    tenancy: tenancy::Tables,
    usage: usage::Tables,
}

impl Default for Memory {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }
}

impl Memory {
    /// An empty store whose own time, where a port speaks of the store's clock, is that of `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            committed: Arc::default(),
            clock,
        }
    }

    /// One transaction per command, over the store that `open` makes of a [`MemoryTx`]; almost always `|tx| tx`.
    #[must_use]
    pub fn unit_of_work<S: ?Sized + 'static>(
        &self,
        open: fn(&mut MemoryTx) -> &mut S,
    ) -> Arc<dyn UnitOfWork<S>> {
        Arc::new(MemoryUnitOfWork {
            memory: self.clone(),
            open,
        })
    }

    /// Changes rows that no port writes, beside any command.
    fn change(&self, change: impl FnOnce(&mut Tables)) {
        let mut committed = self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(&mut committed);
    }

    /// Runs `work` on a copy of the rows, and keeps the copy when that is the verdict.
    fn run<S: ?Sized>(
        &self,
        scope: Scope,
        open: fn(&mut MemoryTx) -> &mut S,
        work: Work<S>,
    ) -> Result<(), StoreError> {
        // A command that panicked left the rows as they were, so there is nothing to distrust in them.
        let mut committed = self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut tx = MemoryTx {
            scope,
            now: self.clock.now(),
            tables: committed.clone(),
            changed_members: BTreeSet::new(),
        };
        tx.tables.usage.begin();
        let verdict = catch_unwind(AssertUnwindSafe(|| work(open(&mut tx))))
            .map_err(|_panic| StoreError::Unexpected("the command panicked".to_owned()))?;
        if verdict == Verdict::Commit {
            tx.check_owners()?;
            tx.mark_carried_out()?;
            *committed = tx.tables;
        }
        Ok(())
    }
}

/// An open transaction: every store of every domain is implemented on it.
pub struct MemoryTx {
    scope: Scope,
    /// When the transaction began: what `now()` is in PostgreSQL.
    now: OffsetDateTime,
    tables: Tables,
    /// Tenants that may have lost their last owner: checked at the commit.
    changed_members: BTreeSet<TenantId>,
}

impl MemoryTx {
    /// Whether rows of `tenant_id` are there for this transaction, as row-level security decides it.
    fn sees(&self, tenant_id: TenantId) -> bool {
        self.scope.tenant_id == Some(tenant_id)
    }

    /// Refuses to write a row of another tenant.
    fn must_see(&self, tenant_id: TenantId) -> Result<(), StoreError> {
        if self.sees(tenant_id) {
            return Ok(());
        }
        Err(StoreError::Unexpected(
            "new row violates row-level security policy".to_owned(),
        ))
    }
}

/// A unique constraint refuses a row.
fn conflict(constraint: &str) -> StoreError {
    StoreError::Conflict {
        constraint: constraint.to_owned(),
    }
}

/// A foreign key refuses a row whose other side is not there.
fn must_exist(found: bool, constraint: &str) -> Result<(), StoreError> {
    if found {
        Ok(())
    } else {
        Err(conflict(constraint))
    }
}

/// The keys of the `limit` oldest of some rows.
fn oldest<K>(rows: impl Iterator<Item = (OffsetDateTime, K)>, limit: u32) -> Vec<K> {
    let mut rows: Vec<(OffsetDateTime, K)> = rows.collect();
    rows.sort_by_key(|(at, _)| *at);
    let keys = rows.into_iter().map(|(_, key)| key);
    keys.take(limit as usize).collect()
}

/// [`UnitOfWork`] over a [`Memory`].
struct MemoryUnitOfWork<S: ?Sized> {
    memory: Memory,
    open: fn(&mut MemoryTx) -> &mut S,
}

impl<S: ?Sized + 'static> UnitOfWork<S> for MemoryUnitOfWork<S> {
    fn execute(&self, scope: Scope, work: Work<S>) -> BoxFuture<'_, Result<(), StoreError>> {
        let (memory, open) = (self.memory.clone(), self.open);
        let running = tokio::task::spawn_blocking(move || memory.run(scope, open, work));
        Box::pin(async move {
            running
                .await
                .unwrap_or_else(|error| Err(StoreError::Unexpected(error.to_string())))
        })
    }
}
