//! One transaction per command, as a port: the only persistence vocabulary a domain knows.
//!
//! The work is a synchronous closure, so no remote call can happen while the transaction is open. What must reach third parties is
//! written to the outbox in the same transaction.
//!
//! **Dropping the returned future does not roll back.** A closure that has begun runs on and commits, and one that has not may never begin; a
//! client that went away must ask again with its `Idempotency-Key`. A unit of work is never opened inside another.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Principal, StoreError, TenantId, UserId};

/// A boxed future that may cross threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the closure decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Keep what was written.
    Commit,
    /// Undo it.
    Rollback,
}

/// A command, ready to run against an open transaction.
pub type Work<S> = Box<dyn FnOnce(&mut S) -> Verdict + Send>;

/// The request that an `Idempotency-Key` stands for. The transaction that does the work marks it done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRef {
    /// The row that reserves the key.
    pub id: Uuid,
    /// Whose row it is: the principal, or a name made of the key for those who have not signed in.
    pub principal_id: Uuid,
    /// The lease under which the work is done. Once another has taken the row over, nothing commits under this one.
    pub lease_until: OffsetDateTime,
}

/// On whose behalf a transaction runs. The store makes these settings of the transaction, and row-level security reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Whose rows are visible. `None` sees no tenant's rows.
    pub tenant_id: Option<TenantId>,
    /// Which person's own rows are visible.
    pub user_id: Option<UserId>,
    /// The principal's id, for rows that belong to a principal and for change capture.
    pub principal_id: Option<Uuid>,
    /// Set when the commit must also mark an `Idempotency-Key` as carried out.
    pub command: Option<CommandRef>,
}

impl Scope {
    /// No tenant and no person: global rows only.
    #[must_use]
    pub fn global() -> Self {
        Self::default()
    }

    /// One tenant, on behalf of Plinth itself.
    #[must_use]
    pub fn tenant(tenant_id: TenantId) -> Self {
        Self {
            tenant_id: Some(tenant_id),
            ..Self::default()
        }
    }

    /// One person's own rows.
    #[must_use]
    pub fn user(user_id: UserId) -> Self {
        Self {
            user_id: Some(user_id),
            ..Self::default()
        }
    }

    /// What the principal of a request may see.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        Self {
            tenant_id: principal.grant.as_ref().map(|grant| grant.tenant_id),
            user_id: principal.user_id,
            principal_id: Some(principal.id).filter(|id| !id.is_nil()),
            command: principal.request.command.clone(),
        }
    }
}

/// Runs commands, each in one transaction over a store `S`.
pub trait UnitOfWork<S: ?Sized>: Send + Sync {
    /// Opens a transaction in `scope`, runs `work` on a thread that may block, and commits or rolls back as it says.
    ///
    /// MUST roll back when the closure panics, and, with a conflict on `idempotency_lease`, when the scope's command has been taken over. MUST fail with [`StoreError::Unavailable`], having run nothing, when no
    /// connection can be had.
    fn execute(&self, scope: Scope, work: Work<S>) -> BoxFuture<'_, Result<(), StoreError>>;
}

impl<S: ?Sized + 'static> dyn UnitOfWork<S> {
    /// Runs a typed command: `Ok` commits, `Err` rolls back.
    ///
    /// # Errors
    /// The command's own error, or the store's when the transaction could not be opened or committed.
    pub async fn run<T, E>(
        &self,
        scope: Scope,
        work: impl FnOnce(&mut S) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        // The closure may outlive this future, so the result leaves by a slot that both share.
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        let boxed: Work<S> = Box::new(move |store| {
            let result = work(store);
            let verdict = if result.is_ok() {
                Verdict::Commit
            } else {
                Verdict::Rollback
            };
            if let Ok(mut slot) = filled.lock() {
                *slot = Some(result);
            }
            verdict
        });
        let outcome = self.execute(scope, boxed).await;
        let result = slot.lock().ok().and_then(|mut slot| slot.take());
        match (outcome, result) {
            (Ok(()), Some(result)) => result,
            // A command that failed says why better than the transaction that could not go on.
            (Err(_), Some(Err(error))) => Err(error),
            (Err(error), _) => Err(error.into()),
            (Ok(()), None) => {
                Err(StoreError::Unexpected("the store did not run the command".into()).into())
            }
        }
    }
}
