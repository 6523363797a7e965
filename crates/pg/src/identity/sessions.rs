//! Sessions of the built-in log-in.

use diesel::{
    ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryableByName, RunQueryDsl,
    sql_query,
    sql_types::{Bytea, Nullable, Timestamptz, Uuid as SqlUuid},
};
use identity::{Digest256, RevokeReason, Session};
use kernel::{SessionId, StoreError, TenantId};
use pg_schema::schema::sessions;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{store_error, unreadable};

#[derive(QueryableByName)]
struct SessionRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Bytea)]
    family_digest: Vec<u8>,
    #[diesel(sql_type = Bytea)]
    turn_digest: Vec<u8>,
    #[diesel(sql_type = Timestamptz)]
    created_at: OffsetDateTime,
    #[diesel(sql_type = Timestamptz)]
    expires_at: OffsetDateTime,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    revoked_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    last_tenant_id: Option<Uuid>,
}

pub(super) fn digest(what: &str, bytes: Vec<u8>) -> Result<Digest256, StoreError> {
    <[u8; 32]>::try_from(bytes)
        .map(Digest256::stored)
        .map_err(|bytes| unreadable(what, format!("{} bytes", bytes.len())))
}

pub(super) fn insert(conn: &mut PgConnection, session: &Session) -> Result<(), StoreError> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(session.id.as_uuid()),
            sessions::user_id.eq(session.user_id.as_uuid()),
            sessions::family_digest.eq(&session.family_digest.as_bytes()[..]),
            sessions::turn_digest.eq(&session.turn_digest.as_bytes()[..]),
            sessions::created_at.eq(session.created_at),
            sessions::refreshed_at.eq(session.created_at),
            sessions::expires_at.eq(session.expires_at),
        ))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn find(
    conn: &mut PgConnection,
    id: SessionId,
) -> Result<Option<(Session, Option<TenantId>)>, StoreError> {
    let row: Option<SessionRow> = sql_query("select * from app.session_for_token($1)")
        .bind::<SqlUuid, _>(id.as_uuid())
        .get_result(conn)
        .optional()
        .map_err(store_error)?;
    row.map(|row| {
        let session = Session {
            id: row.id.into(),
            user_id: row.user_id.into(),
            family_digest: digest("sessions.family_digest", row.family_digest)?,
            turn_digest: digest("sessions.turn_digest", row.turn_digest)?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        };
        Ok((session, row.last_tenant_id.map(TenantId::from)))
    })
    .transpose()
}

/// The second of two callers with one `from` waits for the first to commit, and then finds the row no longer matching.
pub(super) fn turn(
    conn: &mut PgConnection,
    id: SessionId,
    from: &Digest256,
    to: &Digest256,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let current = sessions::table
        .filter(sessions::id.eq(id.as_uuid()))
        .filter(sessions::turn_digest.eq(&from.as_bytes()[..]))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(now));
    let set = (
        sessions::turn_digest.eq(&to.as_bytes()[..]),
        sessions::refreshed_at.eq(now),
    );
    diesel::update(current)
        .set(set)
        .execute(conn)
        .map(|rows| rows == 1)
        .map_err(store_error)
}

pub(super) fn revoke(
    conn: &mut PgConnection,
    id: SessionId,
    reason: RevokeReason,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let live = sessions::table
        .filter(sessions::id.eq(id.as_uuid()))
        .filter(sessions::revoked_at.is_null());
    let set = (
        sessions::revoked_at.eq(now),
        sessions::revoked_reason.eq(reason.as_str()),
    );
    diesel::update(live)
        .set(set)
        .execute(conn)
        .map(|rows| rows == 1)
        .map_err(store_error)
}
