//! Reservations of quota and concurrency.

use billing::{Outcome, Reservation, reservation::Filter};
use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, PgConnection, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper, insert_into, update,
};
use kernel::{PageRequest, ReservationId, StoreError, TenantId};
use pg_schema::schema::quota_reservations;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{store_error, unreadable};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = quota_reservations)]
struct Row {
    tenant_id: Uuid,
    id: Uuid,
    key: String,
    quantity: i64,
    status: String,
    settled_quantity: Option<i64>,
    expires_at: OffsetDateTime,
    created_at: OffsetDateTime,
}

const fn settled(outcome: Outcome) -> Option<i64> {
    match outcome {
        Outcome::Settled { quantity } => Some(quantity),
        Outcome::Open | Outcome::Released => None,
    }
}

impl Row {
    fn read(self) -> Result<Reservation, StoreError> {
        let outcome = match (self.status.as_str(), self.settled_quantity) {
            ("open", None) => Outcome::Open,
            ("settled", Some(quantity)) => Outcome::Settled { quantity },
            ("released", None) => Outcome::Released,
            _ => return Err(unreadable("quota_reservations.status", &self.status)),
        };
        Ok(Reservation {
            id: self.id.into(),
            tenant_id: self.tenant_id.into(),
            key: self.key,
            quantity: self.quantity,
            outcome,
            expires_at: self.expires_at,
            created_at: self.created_at,
        })
    }
}

pub(super) fn insert(conn: &mut PgConnection, one: &Reservation) -> Result<(), StoreError> {
    insert_into(quota_reservations::table)
        .values(Row {
            tenant_id: one.tenant_id.into(),
            id: one.id.into(),
            key: one.key.clone(),
            quantity: one.quantity,
            status: one.outcome.as_str().to_owned(),
            settled_quantity: settled(one.outcome),
            expires_at: one.expires_at,
            created_at: one.created_at,
        })
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn lock(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: ReservationId,
) -> Result<Option<Reservation>, StoreError> {
    let row: Option<Row> = quota_reservations::table
        .find((tenant_id.as_uuid(), id.as_uuid()))
        .select(Row::as_select())
        .for_no_key_update()
        .first(conn)
        .optional()
        .map_err(store_error)?;
    row.map(Row::read).transpose()
}

pub(super) fn finish(
    conn: &mut PgConnection,
    one: &Reservation,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    update(quota_reservations::table.find((one.tenant_id.as_uuid(), one.id.as_uuid())))
        .set((
            quota_reservations::status.eq(one.outcome.as_str()),
            quota_reservations::settled_quantity.eq(settled(one.outcome)),
            quota_reservations::finished_at.eq(at),
        ))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn list(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    filter: &Filter,
    page: &PageRequest,
    after: Option<ReservationId>,
) -> Result<Vec<Reservation>, StoreError> {
    let mut query = quota_reservations::table
        .filter(quota_reservations::tenant_id.eq(tenant_id.as_uuid()))
        .select(Row::as_select())
        .order(quota_reservations::id.desc())
        .limit(i64::from(page.limit) + 1)
        .into_boxed();
    if let Some(key) = &filter.key {
        query = query.filter(quota_reservations::key.eq(key));
    }
    if let Some(status) = filter.status {
        query = query.filter(quota_reservations::status.eq(status));
    }
    if let Some(after) = after {
        query = query.filter(quota_reservations::id.lt(after.as_uuid()));
    }
    let rows: Vec<Row> = query.load(conn).map_err(store_error)?;
    rows.into_iter().map(Row::read).collect()
}
