//! The open transaction, and the unit of work that opens it.

use diesel::{
    PgConnection, RunQueryDsl,
    connection::{AnsiTransactionManager, SimpleConnection, TransactionManager},
    sql_query,
    sql_types::{Timestamptz, Uuid as SqlUuid},
};
use kernel::{BoxFuture, CommandRef, Scope, StoreError, TenantId, UnitOfWork, Verdict, Work};
use ref_cast::RefCast;

use crate::{Pg, error::store_error, prepared::Prepared};

/// An open transaction. Every `Store` of every domain is implemented on it, so use cases of several domains compose in one transaction.
#[derive(RefCast)]
#[repr(transparent)]
pub struct PgTx(PgConnection);

impl PgTx {
    pub(crate) const fn conn(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    /// Makes the rest of the transaction one of this tenant: for work on several tenants, one after another.
    pub(crate) fn enter(&mut self, tenant_id: TenantId) -> Result<(), StoreError> {
        self.0
            .batch_execute(&format!("SET LOCAL app.tenant_id = '{tenant_id}'"))
            .map_err(store_error)
    }
}

/// Makes a domain's store of the open transaction.
pub(crate) struct Open<S: ?Sized>(pub(crate) fn(&mut PgTx) -> &mut S);

/// [`UnitOfWork`] over PostgreSQL.
pub(crate) struct PgUnitOfWork<S: ?Sized> {
    pg: Pg,
    open: Open<S>,
}

impl<S: ?Sized> PgUnitOfWork<S> {
    pub(crate) const fn new(pg: Pg, open: Open<S>) -> Self {
        Self { pg, open }
    }
}

/// Dead connections that one command may meet before it gives up: a restart of the database leaves a pool full of them.
const ATTEMPTS: usize = 8;

impl<S: ?Sized + 'static> UnitOfWork<S> for PgUnitOfWork<S> {
    fn execute(&self, scope: Scope, work: Work<S>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let begin = begin_statements(&scope, self.pg.statement_timeout().as_millis());
            let mut work = work;
            let mut attempt = 1;
            loop {
                let (begin, command, open) = (begin.clone(), scope.command.clone(), self.open.0);
                let ran = self.pg.interact(
                    move |conn| run(conn, &begin, command.as_ref(), open, work),
                    Outcome::is_of_a_lost_connection,
                );
                match ran.await? {
                    Outcome::Ran(result) => return result,
                    Outcome::NotBegun(unused, error) => {
                        if attempt == ATTEMPTS {
                            return Err(StoreError::Unavailable(error.to_string()));
                        }
                        work = unused;
                        attempt += 1;
                    }
                }
            }
        })
    }
}

/// What became of a command on one connection.
pub(crate) enum Outcome<S: ?Sized> {
    /// The connection was dead before anything ran: the command is whole, and may go to another.
    NotBegun(Work<S>, diesel::result::Error),
    Ran(Result<(), StoreError>),
}

impl<S: ?Sized> Outcome<S> {
    const fn is_of_a_lost_connection(&self) -> bool {
        matches!(
            self,
            Self::NotBegun(..) | Self::Ran(Err(StoreError::Unavailable(_)))
        )
    }
}

pub(crate) fn run<S: ?Sized>(
    conn: &mut PgConnection,
    begin: &str,
    command: Option<&CommandRef>,
    open: fn(&mut PgTx) -> &mut S,
    work: Work<S>,
) -> Outcome<S> {
    if let Err(error) = AnsiTransactionManager::begin_transaction_sql(conn, begin) {
        return Outcome::NotBegun(work, error);
    }
    let verdict = work(open(PgTx::ref_cast_mut(conn)));
    Outcome::Ran(finish(conn, verdict, command))
}

fn finish(
    conn: &mut PgConnection,
    verdict: Verdict,
    command: Option<&CommandRef>,
) -> Result<(), StoreError> {
    if verdict == Verdict::Rollback {
        return AnsiTransactionManager::rollback_transaction(conn).map_err(store_error);
    }
    if let Err(error) = command.map_or(Ok(()), |command| mark_carried_out(conn, command)) {
        AnsiTransactionManager::rollback_transaction(conn).map_err(store_error)?;
        return Err(error);
    }
    // A deferred constraint may refuse: diesel then rolls back, and says why.
    AnsiTransactionManager::commit_transaction(conn).map_err(store_error)
}

fn mark_carried_out(conn: &mut PgConnection, command: &CommandRef) -> Result<(), StoreError> {
    let marked = Prepared(
        sql_query(
            "update idempotency_keys set committed_at = now() where id = $1 and lease_until = $2",
        )
        .bind::<SqlUuid, _>(command.id)
        .bind::<Timestamptz, _>(command.lease_until),
    )
    .execute(conn)
    .map_err(store_error)?;
    if marked == 1 {
        Ok(())
    } else {
        Err(StoreError::Conflict {
            constraint: "idempotency_lease".to_owned(),
        })
    }
}

/// `BEGIN` and all settings of the scope, for one round trip. Only typed values are written into it: UUIDs and a number.
///
/// Nothing is compiled: what that takes is more than most statements take, and the planner's guesses of cost are high where it knows little, as
/// of a month that has just begun.
pub(crate) fn begin_statements(scope: &Scope, timeout_ms: u128) -> String {
    let mut sql = format!("BEGIN; SET LOCAL statement_timeout = {timeout_ms}; SET LOCAL jit = off");
    let settings = [
        ("tenant_id", scope.tenant_id.map(TenantId::as_uuid)),
        ("user_id", scope.user_id.map(kernel::UserId::as_uuid)),
        // The key of somebody who has not signed in has an owner of its own.
        (
            "principal_id",
            scope
                .command
                .as_ref()
                .map(|command| command.principal_id)
                .or(scope.principal_id),
        ),
    ];
    for (name, value) in settings {
        if let Some(id) = value {
            sql.push_str(&format!("; SET LOCAL app.{name} = '{id}'"));
        }
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_begins_in_one_message_and_names_only_what_it_has() {
        let tenant = kernel::TenantId::from(uuid::Uuid::nil());
        assert_eq!(
            begin_statements(&Scope::tenant(tenant), 5000),
            "BEGIN; SET LOCAL statement_timeout = 5000; SET LOCAL jit = off; \
             SET LOCAL app.tenant_id = '00000000-0000-0000-0000-000000000000'"
        );
        assert_eq!(
            begin_statements(&Scope::global(), 1),
            "BEGIN; SET LOCAL statement_timeout = 1; SET LOCAL jit = off"
        );
    }
}
