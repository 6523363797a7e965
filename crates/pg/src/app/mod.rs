//! `Idempotency-Key`s on PostgreSQL.

use app::idempotency::{Answer, NewKey, RETENTION, Store, UsedKey};
use diesel::prelude::*;
use kernel::StoreError;
use pg_schema::schema::idempotency_keys::{self, dsl};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{PgTx, error::store_error};

impl Store for PgTx {
    fn reserve(
        &mut self,
        key: &NewKey,
        now: OffsetDateTime,
    ) -> Result<Option<UsedKey>, StoreError> {
        let same = dsl::idempotency_keys
            .filter(dsl::principal_id.eq(key.principal_id))
            .filter(dsl::key.eq(&key.key));
        diesel::delete(same.filter(dsl::created_at.lt(now - RETENTION)))
            .execute(self.conn())
            .map_err(store_error)?;
        let inserted = diesel::insert_into(dsl::idempotency_keys)
            .values((
                dsl::id.eq(key.id),
                dsl::principal_id.eq(key.principal_id),
                dsl::key.eq(&key.key),
                dsl::fingerprint.eq(&key.fingerprint),
                dsl::lease_until.eq(key.lease_until),
                dsl::created_at.eq(now),
            ))
            .on_conflict((dsl::principal_id, dsl::key))
            .do_nothing()
            .execute(self.conn())
            .map_err(store_error)?;
        if inserted == 1 {
            return Ok(None);
        }
        let row = same
            .select(KeyRow::as_select())
            .first(self.conn())
            .map_err(store_error)?;
        Ok(Some(row.into()))
    }

    fn take_over(
        &mut self,
        used: &UsedKey,
        lease_until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let free = dsl::idempotency_keys
            .find(used.id)
            .filter(dsl::lease_until.eq(used.lease_until))
            .filter(dsl::committed_at.is_null())
            .filter(dsl::response_status.is_null());
        diesel::update(free)
            .set(dsl::lease_until.eq(lease_until))
            .execute(self.conn())
            .map(|rows| rows == 1)
            .map_err(store_error)
    }

    fn complete(&mut self, id: Uuid, answer: &Answer) -> Result<(), StoreError> {
        diesel::update(dsl::idempotency_keys.find(id))
            .set((
                dsl::response_status.eq(i16::try_from(answer.status).unwrap_or_default()),
                dsl::response_headers.eq(serde_json::json!(answer.headers)),
                dsl::response_body.eq(&answer.body),
            ))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn release(&mut self, id: Uuid) -> Result<(), StoreError> {
        diesel::delete(
            dsl::idempotency_keys
                .find(id)
                .filter(dsl::committed_at.is_null()),
        )
        .execute(self.conn())
        .map(drop)
        .map_err(store_error)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys, check_for_backend(diesel::pg::Pg))]
struct KeyRow {
    id: Uuid,
    fingerprint: Vec<u8>,
    lease_until: OffsetDateTime,
    committed_at: Option<OffsetDateTime>,
    response_status: Option<i16>,
    response_headers: Option<Value>,
    response_body: Option<Vec<u8>>,
}

impl From<KeyRow> for UsedKey {
    fn from(row: KeyRow) -> Self {
        let headers = row
            .response_headers
            .and_then(|headers| serde_json::from_value(headers).ok());
        let answer = row.response_status.map(|status| Answer {
            status: u16::try_from(status).unwrap_or_default(),
            headers: headers.unwrap_or_default(),
            body: row.response_body.unwrap_or_default(),
        });
        Self {
            id: row.id,
            fingerprint: row.fingerprint,
            lease_until: row.lease_until,
            committed: row.committed_at.is_some(),
            answer,
        }
    }
}
