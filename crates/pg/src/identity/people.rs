//! People, their passwords, and what identity providers call them.

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, PgConnection, QueryDsl, Queryable,
    QueryableByName, RunQueryDsl, Selectable, SelectableHelper, sql_query,
    sql_types::{Nullable, Text},
};
use identity::{Email, ExternalIdentity, PasswordHash, User, UserStatus};
use kernel::{Name, StoreError, TenantId, UserId};
use pg_schema::schema::{user_credentials, user_identities, users};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{store_error, unreadable};

#[derive(Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = users)]
pub(super) struct UserRow {
    id: Uuid,
    email: String,
    email_verified: bool,
    name: Option<String>,
    status: String,
    last_tenant_id: Option<Uuid>,
    created_at: OffsetDateTime,
}

impl UserRow {
    pub(super) fn read(self) -> Result<User, StoreError> {
        let status = UserStatus::parse(&self.status)
            .ok_or_else(|| unreadable("users.status", &self.status))?;
        Ok(User {
            id: self.id.into(),
            email: Email::stored(self.email),
            email_verified: self.email_verified,
            name: self.name.map(Name::stored),
            status,
            last_tenant_id: self.last_tenant_id.map(TenantId::from),
            created_at: self.created_at,
        })
    }
}

#[derive(QueryableByName)]
struct CredentialRow {
    #[diesel(embed)]
    user: UserRow,
    #[diesel(sql_type = Nullable<Text>)]
    password_hash: Option<String>,
}

pub(super) fn insert(conn: &mut PgConnection, user: &User) -> Result<(), StoreError> {
    let row = UserRow {
        id: user.id.into(),
        email: user.email.as_str().to_owned(),
        email_verified: user.email_verified,
        name: user.name.as_ref().map(|name| name.as_str().to_owned()),
        status: user.status.as_str().to_owned(),
        last_tenant_id: user.last_tenant_id.map(Uuid::from),
        created_at: user.created_at,
    };
    diesel::insert_into(users::table)
        .values(row)
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn find(conn: &mut PgConnection, id: UserId) -> Result<Option<User>, StoreError> {
    users::table
        .filter(users::id.eq(id.as_uuid()))
        .select(UserRow::as_select())
        .first(conn)
        .optional()
        .map_err(store_error)?
        .map(UserRow::read)
        .transpose()
}

pub(super) fn credential(
    conn: &mut PgConnection,
    email: &Email,
) -> Result<Option<(User, Option<PasswordHash>)>, StoreError> {
    sql_query("select * from app.credential_for_email($1)")
        .bind::<Text, _>(email.as_str())
        .get_result::<CredentialRow>(conn)
        .optional()
        .map_err(store_error)?
        .map(|row| {
            Ok((
                row.user.read()?,
                row.password_hash.map(PasswordHash::stored),
            ))
        })
        .transpose()
}

pub(super) fn link(
    conn: &mut PgConnection,
    user_id: UserId,
    identity: &ExternalIdentity,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    diesel::insert_into(user_identities::table)
        .values((
            user_identities::issuer.eq(&identity.issuer),
            user_identities::subject.eq(&identity.subject),
            user_identities::user_id.eq(user_id.as_uuid()),
            user_identities::created_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn set_password(
    conn: &mut PgConnection,
    user_id: UserId,
    hash: &PasswordHash,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let set = (
        user_credentials::password_hash.eq(hash.as_str()),
        user_credentials::updated_at.eq(now),
    );
    diesel::insert_into(user_credentials::table)
        .values((user_credentials::user_id.eq(user_id.as_uuid()), set))
        .on_conflict(user_credentials::user_id)
        .do_update()
        .set(set)
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn set_last_tenant(
    conn: &mut PgConnection,
    user_id: UserId,
    tenant_id: TenantId,
) -> Result<(), StoreError> {
    diesel::update(users::table.filter(users::id.eq(user_id.as_uuid())))
        .set(users::last_tenant_id.eq(tenant_id.as_uuid()))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}
