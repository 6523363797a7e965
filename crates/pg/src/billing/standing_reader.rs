//! Where tenants stand, in one statement that is its own transaction.

use billing::{Standing, StandingReader};
use diesel::PgConnection;
use kernel::{BoxFuture, StoreError, TenantId};
use time::OffsetDateTime;

use super::standing::{Question, standing_alone};
use crate::Pg;

/// [`StandingReader`] over PostgreSQL.
///
/// A unit of work is three round trips more than a question of one statement needs, with a change of threads on both sides of each: on a busy
/// machine that is most of what it takes.
pub struct PgStandingReader(Pg);

impl PgStandingReader {
    /// Over the pool of `pg`.
    #[must_use]
    pub const fn new(pg: Pg) -> Self {
        Self(pg)
    }
}

impl StandingReader for PgStandingReader {
    fn standing(
        &self,
        tenant_id: TenantId,
        key: &str,
        at: OffsetDateTime,
    ) -> BoxFuture<'_, Result<Option<Standing>, StoreError>> {
        let key = key.to_owned();
        Box::pin(async move {
            // A statement that is prepared each time is two messages, which a pooler may take to two servers.
            if !self.0.keeps_statements() {
                return Ok(None);
            }
            let ask = move |conn: &mut PgConnection| {
                let key = &key;
                standing_alone(conn, Question { tenant_id, key, at })
            };
            match self.0.interact(ask, Result::is_err).await? {
                Err(StoreError::Unavailable(_)) => Ok(None),
                answer => answer,
            }
        })
    }
}
