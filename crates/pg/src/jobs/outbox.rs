//! The outbox, as the relay sees it. Facts are written by `audit::Trail::publish`.

use app::outbox::{Outbox, StoredFact};
use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use kernel::{StoreError, TenantId};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{PgTx, error::store_error};

impl Outbox for PgTx {
    fn unrelayed(&mut self, limit: u32) -> Result<Vec<StoredFact>, StoreError> {
        sql_query(
            "select tenant_id, id, topic, key, payload, occurred_at from outbox
             where relayed_at is null order by id limit $1 for update skip locked",
        )
        .bind::<BigInt, _>(i64::from(limit))
        .get_results::<FactRow>(self.conn())
        .map(|rows| rows.into_iter().map(StoredFact::from).collect())
        .map_err(store_error)
    }

    fn mark_relayed(&mut self, facts: &[StoredFact]) -> Result<(), StoreError> {
        let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) = facts
            .iter()
            .map(|fact| (fact.tenant_id.as_uuid(), fact.id))
            .unzip();
        sql_query(
            "update outbox set relayed_at = now() from unnest($1, $2) as f(tenant_id, id)
             where outbox.tenant_id = f.tenant_id and outbox.id = f.id",
        )
        .bind::<Array<SqlUuid>, _>(tenants)
        .bind::<Array<SqlUuid>, _>(ids)
        .execute(self.conn())
        .map(drop)
        .map_err(store_error)
    }
}

#[derive(QueryableByName)]
struct FactRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<String>,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
    #[diesel(sql_type = Timestamptz)]
    occurred_at: OffsetDateTime,
}

impl From<FactRow> for StoredFact {
    fn from(row: FactRow) -> Self {
        let FactRow {
            tenant_id,
            id,
            topic,
            key,
            payload,
            occurred_at,
        } = row;
        Self {
            tenant_id: TenantId::from(tenant_id),
            id,
            topic,
            key,
            payload,
            occurred_at,
        }
    }
}
