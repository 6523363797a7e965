//! Statements in SQL that a connection prepares once.

use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
};

/// A statement of [`diesel::sql_query`] that is kept as diesel keeps those it builds itself: parsed once per connection, and planned once when
/// PostgreSQL finds that its values make no difference. Otherwise both happen each time, since diesel cannot know that the texts are few.
///
/// For statements that are asked often, have no values in their text, name their columns (PostgreSQL refuses a kept statement whose `*` has come
/// to mean more), and are planned well without values. Where a pooler forbids it, nothing is kept:
/// [`Settings::prepared_statements`](crate::Settings::prepared_statements).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prepared<Q>(pub(crate) Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

/// The text is what tells one statement from another.
impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> RunQueryDsl<PgConnection> for Prepared<Q> {}
