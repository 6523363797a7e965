//! API keys.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, PgConnection,
    QueryDsl, Queryable, QueryableByName, RunQueryDsl, Selectable, SelectableHelper,
    dsl::{exists, select},
    sql_query,
    sql_types::{Array, Bool, Text, Timestamptz, Uuid as SqlUuid},
};
use identity::{
    ApiKey, Creator, EnvironmentRef, KeyHash, KeyMode, KeyRecord, KeyUse, PasswordHash,
};
use kernel::{ApiKeyId, EnvironmentId, Name, PageRequest, ProjectId, StoreError, TenantId, UserId};
use pg_schema::schema::{api_keys, environments, projects};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{access::tenant_status, permission_set, sessions::digest};
use crate::{
    error::{store_error, unreadable},
    prepared::Prepared,
};

#[derive(Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = api_keys)]
struct KeyRow {
    tenant_id: Uuid,
    id: Uuid,
    name: String,
    key_id: String,
    mode: String,
    scopes: Vec<String>,
    project_id: Option<Uuid>,
    environment_id: Option<Uuid>,
    created_by: Option<Uuid>,
    expires_at: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
    revoked_reason: Option<String>,
    overlap_until: Option<OffsetDateTime>,
    rotated_from: Option<Uuid>,
    last_used_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
}

impl From<&ApiKey> for KeyRow {
    fn from(key: &ApiKey) -> Self {
        Self {
            tenant_id: key.tenant_id.into(),
            id: key.id.into(),
            name: key.name.as_str().to_owned(),
            key_id: key.key_id.clone(),
            mode: key.mode.as_str().to_owned(),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            project_id: key.project_id.map(Uuid::from),
            environment_id: key.environment_id.map(Uuid::from),
            created_by: key.created_by.map(Uuid::from),
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            revoked_reason: key.revoked_reason.clone(),
            overlap_until: key.overlap_until,
            rotated_from: key.rotated_from.map(Uuid::from),
            last_used_at: key.last_used_at,
            created_at: key.created_at,
        }
    }
}

impl KeyRow {
    fn read(self) -> Result<ApiKey, StoreError> {
        let mode =
            KeyMode::parse(&self.mode).ok_or_else(|| unreadable("api_keys.mode", &self.mode))?;
        Ok(ApiKey {
            id: self.id.into(),
            tenant_id: self.tenant_id.into(),
            name: Name::stored(self.name),
            key_id: self.key_id,
            mode,
            scopes: permission_set(self.scopes),
            project_id: self.project_id.map(ProjectId::from),
            environment_id: self.environment_id.map(EnvironmentId::from),
            created_by: self.created_by.map(UserId::from),
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            revoked_reason: self.revoked_reason,
            overlap_until: self.overlap_until,
            rotated_from: self.rotated_from.map(ApiKeyId::from),
            last_used_at: self.last_used_at,
            created_at: self.created_at,
        })
    }
}

#[derive(Queryable, QueryableByName, Selectable, Insertable, diesel::AsChangeset)]
#[diesel(table_name = api_keys)]
#[diesel(treat_none_as_null = true)]
struct HashRow {
    hash_kind: String,
    hash: Vec<u8>,
    pepper_version: Option<i16>,
}

impl From<&KeyHash> for HashRow {
    fn from(hash: &KeyHash) -> Self {
        match hash {
            KeyHash::Hmac { version, code } => Self {
                hash_kind: "hmac".to_owned(),
                hash: code.as_bytes().to_vec(),
                pepper_version: Some(*version),
            },
            KeyHash::Argon2id(hash) => Self {
                hash_kind: "argon2id".to_owned(),
                hash: hash.as_str().as_bytes().to_vec(),
                pepper_version: None,
            },
        }
    }
}

impl HashRow {
    fn read(self) -> Result<KeyHash, StoreError> {
        match self.pepper_version {
            Some(version) => Ok(KeyHash::Hmac {
                version,
                code: digest("api_keys.hash", self.hash)?,
            }),
            None => String::from_utf8(self.hash)
                .map(|text| KeyHash::Argon2id(PasswordHash::stored(text)))
                .map_err(|error| unreadable("api_keys.hash", error.utf8_error())),
        }
    }
}

#[derive(QueryableByName)]
struct RecordRow {
    #[diesel(embed)]
    key: KeyRow,
    #[diesel(embed)]
    hash: HashRow,
    #[diesel(sql_type = Text)]
    tenant_status: String,
    #[diesel(sql_type = Bool)]
    creator_is_active: bool,
    #[diesel(sql_type = Array<Text>)]
    creator_permissions: Vec<String>,
}

pub(super) fn insert(
    conn: &mut PgConnection,
    key: &ApiKey,
    hash: &KeyHash,
) -> Result<(), StoreError> {
    diesel::insert_into(api_keys::table)
        .values((KeyRow::from(key), HashRow::from(hash)))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: ApiKeyId,
) -> Result<Option<ApiKey>, StoreError> {
    api_keys::table
        .find((tenant_id.as_uuid(), id.as_uuid()))
        .select(KeyRow::as_select())
        .first(conn)
        .optional()
        .map_err(store_error)?
        .map(KeyRow::read)
        .transpose()
}

pub(super) fn lock(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: ApiKeyId,
) -> Result<Option<ApiKey>, StoreError> {
    api_keys::table
        .find((tenant_id.as_uuid(), id.as_uuid()))
        .select(KeyRow::as_select())
        .for_update()
        .first(conn)
        .optional()
        .map_err(store_error)?
        .map(KeyRow::read)
        .transpose()
}

pub(super) fn lock_of(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    creator: UserId,
) -> Result<Vec<ApiKey>, StoreError> {
    api_keys::table
        .filter(api_keys::tenant_id.eq(tenant_id.as_uuid()))
        .filter(api_keys::created_by.eq(creator.as_uuid()))
        .filter(api_keys::revoked_at.is_null())
        .select(KeyRow::as_select())
        .for_update()
        .load(conn)
        .map_err(store_error)?
        .into_iter()
        .map(KeyRow::read)
        .collect()
}

pub(super) fn list(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    project_id: Option<ProjectId>,
    page: &PageRequest,
    after: Option<(OffsetDateTime, ApiKeyId)>,
) -> Result<Vec<ApiKey>, StoreError> {
    let mut query = api_keys::table
        .filter(api_keys::tenant_id.eq(tenant_id.as_uuid()))
        .order((api_keys::created_at.desc(), api_keys::id.desc()))
        .limit(i64::from(page.limit) + 1)
        .select(KeyRow::as_select())
        .into_boxed();
    if let Some(project_id) = project_id {
        query = query.filter(api_keys::project_id.eq(project_id.as_uuid()));
    }
    if let Some((at, id)) = after {
        let older = api_keys::created_at.lt(at);
        let beside = api_keys::created_at
            .eq(at)
            .and(api_keys::id.lt(id.as_uuid()));
        query = query.filter(older.or(beside));
    }
    query
        .load(conn)
        .map_err(store_error)?
        .into_iter()
        .map(KeyRow::read)
        .collect()
}

pub(super) fn update(conn: &mut PgConnection, key: &ApiKey) -> Result<(), StoreError> {
    diesel::update(api_keys::table.find((key.tenant_id.as_uuid(), key.id.as_uuid())))
        .set((
            api_keys::revoked_at.eq(key.revoked_at),
            api_keys::revoked_reason.eq(key.revoked_reason.as_deref()),
            api_keys::overlap_until.eq(key.overlap_until),
        ))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn has_project(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: ProjectId,
) -> Result<bool, StoreError> {
    select(exists(
        projects::table.find((tenant_id.as_uuid(), id.as_uuid())),
    ))
    .get_result(conn)
    .map_err(store_error)
}

pub(super) fn environment(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    project_id: Option<ProjectId>,
    wanted: &EnvironmentRef,
) -> Result<Option<(EnvironmentId, ProjectId)>, StoreError> {
    let query = environments::table
        .filter(environments::tenant_id.eq(tenant_id.as_uuid()))
        .select((environments::id, environments::project_id))
        .into_boxed();
    let query = match (wanted, project_id) {
        (EnvironmentRef::Id(id), _) => query.filter(environments::id.eq(id.as_uuid())),
        (EnvironmentRef::Name(name), Some(project_id)) => query
            .filter(environments::project_id.eq(project_id.as_uuid()))
            .filter(environments::name.eq(name)),
        (EnvironmentRef::Name(_), None) => return Ok(None),
    };
    let found: Option<(Uuid, Uuid)> = query.first(conn).optional().map_err(store_error)?;
    Ok(found.map(|(id, project_id)| (id.into(), project_id.into())))
}

const RECORDS: &str =
    "select tenant_id, id, name, key_id, mode, scopes, hash_kind, hash, pepper_version, project_id, environment_id, created_by,
         expires_at, revoked_at, revoked_reason, overlap_until, rotated_from, last_used_at, created_at,
         tenant_status, creator_is_active, creator_permissions
     from app.api_keys_for($1)";

pub(super) fn records(
    conn: &mut PgConnection,
    key_ids: &[String],
) -> Result<Vec<KeyRecord>, StoreError> {
    let rows: Vec<RecordRow> = Prepared(sql_query(RECORDS).bind::<Array<Text>, _>(key_ids))
        .load(conn)
        .map_err(store_error)?;
    rows.into_iter().map(RecordRow::read).collect()
}

impl RecordRow {
    fn read(self) -> Result<KeyRecord, StoreError> {
        let creator = self.key.created_by.map(|_| Creator {
            is_active: self.creator_is_active,
            permissions: permission_set(self.creator_permissions),
        });
        Ok(KeyRecord {
            key: self.key.read()?,
            hash: self.hash.read()?,
            tenant_status: tenant_status(&self.tenant_status)?,
            creator,
        })
    }
}

pub(super) fn rehash(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: ApiKeyId,
    hash: &KeyHash,
) -> Result<(), StoreError> {
    diesel::update(api_keys::table.find((tenant_id.as_uuid(), id.as_uuid())))
        .set(HashRow::from(hash))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn touch(conn: &mut PgConnection, uses: &[KeyUse]) -> Result<(), StoreError> {
    let tenants: Vec<Uuid> = uses.iter().map(|used| used.tenant_id.into()).collect();
    let keys: Vec<Uuid> = uses.iter().map(|used| used.key_id.into()).collect();
    let times: Vec<OffsetDateTime> = uses.iter().map(|used| used.at).collect();
    sql_query("select app.touch_api_keys($1, $2, $3)")
        .bind::<Array<SqlUuid>, _>(tenants)
        .bind::<Array<SqlUuid>, _>(keys)
        .bind::<Array<Timestamptz>, _>(times)
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}
