//! What PostgreSQL's errors mean to a domain.

use diesel::result::{DatabaseErrorKind, Error};
use kernel::StoreError;

/// Text of errors that mean "not now" rather than "never": a time limit, a shutdown, a deadlock, a lost connection; the last four are
/// PgBouncer's. A limit that strikes just as its statement ends cancels the next one, and PostgreSQL then says that a user asked for it.
const TRANSIENT: [&str; 15] = [
    "statement timeout",
    "canceling statement due to user request",
    "lock timeout",
    "deadlock detected",
    "terminating connection",
    "the database system is",
    "server closed the connection",
    "connection to server",
    "no connection to the server",
    "could not receive data",
    "could not send data",
    "server conn crashed",
    "query_wait_timeout",
    "server login has been failing",
    "pgbouncer cannot connect to server",
];

/// Turns diesel's error into the one that domains know.
#[must_use]
pub fn store_error(error: Error) -> StoreError {
    match error {
        Error::DatabaseError(kind, information) => {
            let constraint = information.constraint_name().unwrap_or_default().to_owned();
            let message = information.message().to_owned();
            match kind {
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::ExclusionViolation
                    if !constraint.is_empty() =>
                {
                    StoreError::Conflict { constraint }
                }
                DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::SerializationFailure
                // Of a server that was the primary until just now.
                | DatabaseErrorKind::ReadOnlyTransaction
                | DatabaseErrorKind::UnableToSendCommand => StoreError::Unavailable(message),
                _ if TRANSIENT.iter().any(|text| message.contains(text)) => {
                    StoreError::Unavailable(message)
                }
                _ => StoreError::Unexpected(message),
            }
        }
        Error::BrokenTransactionManager => {
            StoreError::Unavailable("the transaction was lost".to_owned())
        }
        // The connection went away at the commit, so the rollback that diesel tries next fails as well.
        Error::RollbackErrorOnCommit { commit_error, .. } => store_error(*commit_error),
        other => StoreError::Unexpected(other.to_string()),
    }
}

/// A stored value that the code cannot read: the schema and the code disagree.
pub(crate) fn unreadable(what: &str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Unexpected(format!("unreadable {what} in the database: {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(message: &str) -> Error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned()))
    }

    #[test]
    fn a_connection_that_is_lost_at_the_commit_is_unavailable() {
        let lost = Error::RollbackErrorOnCommit {
            rollback_error: Box::new(failed("no connection to the server")),
            commit_error: Box::new(failed("server closed the connection unexpectedly")),
        };
        assert!(matches!(store_error(lost), StoreError::Unavailable(_)));
        let refused = Error::RollbackErrorOnCommit {
            rollback_error: Box::new(failed("no connection to the server")),
            commit_error: Box::new(failed("division by zero")),
        };
        assert!(matches!(store_error(refused), StoreError::Unexpected(_)));
    }
}
