//! The embedded migrations: versions that run once, in order, and replaceable scripts that run again whenever they changed.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    migration::{MigrationSource, MigrationVersion},
    pg::Pg as Backend,
    sql_query,
    sql_types::{Bool, Text},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use sha2::{Digest, Sha256};

use crate::{error::store_error, pool::lone_connection, scalar::Answer};

include!(concat!(env!("OUT_DIR"), "/replaceable.rs"));

const VERSIONS: EmbeddedMigrations = embed_migrations!("../../migrations/versions");
/// Two migrations of one database take turns.
const LOCK: &str = "select pg_advisory_lock(7262817390112)";
const UNLOCK: &str = "select pg_advisory_unlock(7262817390112)";

/// Why a migration did not run.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database cannot be reached.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The three roles are missing, and this log-in may not make them.
    #[error(
        "the roles plinth_owner, plinth_app and plinth_worker must exist, and {login} may not make them. Let a superuser run:\n\
         create role plinth_owner login bypassrls; create role plinth_app login; create role plinth_worker login; grant plinth_owner to {login};"
    )]
    RolesMissing {
        /// The role that connected.
        login: String,
    },
    /// A version or a script failed; its transaction was rolled back.
    #[error("{what}: {why}")]
    Failed {
        /// Which one.
        what: String,
        /// What PostgreSQL said.
        why: String,
    },
    /// There is no version of this name.
    #[error("there is no migration {0}")]
    UnknownVersion(String),
}

fn failed(what: impl Into<String>, why: impl ToString) -> MigrateError {
    MigrateError::Failed {
        what: what.into(),
        why: why.to_string(),
    }
}

/// A hash over every embedded script: two binaries with one fingerprint make the same schema.
#[must_use]
pub fn fingerprint() -> String {
    let mut hash = Sha256::new();
    let versions = MigrationSource::<Backend>::migrations(&VERSIONS).unwrap_or_default();
    for version in &versions {
        hash.update(version.name().to_string());
    }
    hash.update(env!("PLINTH_MIGRATIONS_DIGEST"));
    hash_text(hash)
}

fn replaceable_fingerprint() -> String {
    let mut hash = Sha256::new();
    for (name, sql) in REPLACEABLE {
        hash.update(name);
        hash.update(sql);
    }
    hash_text(hash)
}

fn hash_text(hash: Sha256) -> String {
    let mut text = base16ct::lower::encode_string(&hash.finalize());
    text.truncate(24);
    text
}

/// A connection that changes the schema.
pub struct Migrator {
    conn: PgConnection,
}

impl std::fmt::Debug for Migrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Migrator").finish_non_exhaustive()
    }
}

impl Migrator {
    /// Connects, makes the three roles when they are missing and the log-in may, and goes on as `plinth_owner`.
    ///
    /// # Errors
    /// [`MigrateError::Connect`], [`MigrateError::RolesMissing`].
    pub fn connect(url: &str) -> Result<Self, MigrateError> {
        let mut conn =
            lone_connection(url).map_err(|error| MigrateError::Connect(error.to_string()))?;
        // Notices about what a script drops first are of no interest to anybody.
        conn.batch_execute("set client_min_messages = warning")
            .map_err(|error| failed("connecting", error))?;
        ensure_roles(&mut conn)?;
        conn.batch_execute("set role plinth_owner")
            .map_err(|error| failed("set role", error))?;
        Ok(Self { conn })
    }

    /// Runs what has not run, then the replaceable scripts when they changed. Returns the names of the versions that ran.
    ///
    /// # Errors
    /// [`MigrateError::Failed`]; what ran before stays.
    pub fn up(&mut self) -> Result<Vec<String>, MigrateError> {
        self.locked(|conn| {
            let ran: Vec<String> = conn
                .run_pending_migrations(VERSIONS)
                .map_err(|error| failed("up", error))?
                .iter()
                .map(ToString::to_string)
                .collect();
            apply_replaceable(conn, !ran.is_empty())?;
            // A restored database gets here before anything writes to it.
            sql_query("select app.rebase_usage_watermark()")
                .execute(conn)
                .map_err(|error| failed("rebase", error))?;
            Ok(ran)
        })
    }

    /// Reverts the newest version. Returns its name, or `None` when there is none.
    ///
    /// # Errors
    /// [`MigrateError::Failed`]; nothing has changed then.
    pub fn down(&mut self) -> Result<Option<String>, MigrateError> {
        self.locked(|conn| {
            if applied(conn)?.is_empty() {
                return Ok(None);
            }
            let reverted = conn
                .revert_last_migration(VERSIONS)
                .map_err(|error| failed("down", error))?;
            forget_replaceable(conn)?;
            Ok(Some(reverted.to_string()))
        })
    }

    /// Reverts every version: an empty database is left. Returns their names.
    ///
    /// # Errors
    /// [`MigrateError::Failed`]; what was reverted before stays reverted.
    pub fn down_all(&mut self) -> Result<Vec<String>, MigrateError> {
        self.locked(|conn| {
            let reverted = conn
                .revert_all_migrations(VERSIONS)
                .map_err(|error| failed("down-all", error))?;
            Ok(reverted.iter().map(ToString::to_string).collect())
        })
    }

    /// The newest version that ran.
    ///
    /// # Errors
    /// [`MigrateError::Failed`].
    pub fn version(&mut self) -> Result<Option<String>, MigrateError> {
        Ok(applied(&mut self.conn)?.into_iter().max())
    }

    /// Every version that this binary knows, and whether it ran.
    ///
    /// # Errors
    /// [`MigrateError::Failed`].
    pub fn status(&mut self) -> Result<Vec<(String, bool)>, MigrateError> {
        let applied = applied(&mut self.conn)?;
        Ok(known()?
            .into_iter()
            .map(|(version, name)| {
                let ran = applied.contains(&version);
                (name, ran)
            })
            .collect())
    }

    /// Says that everything up to `version` ran and nothing behind it, without running anything: the way out after a repair by hand.
    ///
    /// # Errors
    /// [`MigrateError::UnknownVersion`], [`MigrateError::Failed`].
    pub fn force(&mut self, version: &str) -> Result<(), MigrateError> {
        let digits = |text: &str| {
            text.chars()
                .filter(char::is_ascii_digit)
                .collect::<String>()
        };
        let known = known()?;
        let wanted = known
            .iter()
            .find(|(key, name)| {
                name == version || *key == version || digits(key) == digits(version)
            })
            .map(|(key, _)| key.clone())
            .ok_or_else(|| MigrateError::UnknownVersion(version.to_owned()))?;
        self.locked(|conn| {
            conn.transaction(|conn| {
                sql_query("delete from __diesel_schema_migrations").execute(conn)?;
                for (key, _) in known.iter().filter(|(key, _)| *key <= wanted) {
                    sql_query("insert into __diesel_schema_migrations (version) values ($1)")
                        .bind::<Text, _>(key)
                        .execute(conn)?;
                }
                Ok(())
            })
            .map_err(|error: diesel::result::Error| failed("force", error))
        })
    }

    fn locked<T>(
        &mut self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, MigrateError>,
    ) -> Result<T, MigrateError> {
        self.conn
            .batch_execute(LOCK)
            .map_err(|error| failed("lock", error))?;
        let result = work(&mut self.conn);
        self.conn
            .batch_execute(UNLOCK)
            .map_err(|error| failed("unlock", error))?;
        result
    }
}

/// Gives a role a password, through a log-in that may. For private clusters, where nobody else does it.
///
/// # Errors
/// [`MigrateError::Connect`], [`MigrateError::Failed`].
pub fn set_password(url: &str, role: &str, password: &str) -> Result<(), MigrateError> {
    let mut conn =
        lone_connection(url).map_err(|error| MigrateError::Connect(error.to_string()))?;
    let statement: Value =
        sql_query("select format('alter role %I login password %L', $1, $2) as value")
            .bind::<Text, _>(role)
            .bind::<Text, _>(password)
            .get_result(&mut conn)
            .map_err(|_| failed("set password", "the statement could not be made"))?;
    // What PostgreSQL says about it may hold the password, so it is not passed on.
    conn.batch_execute(&statement.value)
        .map_err(|_| failed("set password", "refused"))
}

fn known() -> Result<Vec<(String, String)>, MigrateError> {
    let versions = MigrationSource::<Backend>::migrations(&VERSIONS)
        .map_err(|error| failed("status", error))?;
    let mut names: Vec<(String, String)> = versions
        .iter()
        .map(|version| {
            (
                version.name().version().to_string(),
                version.name().to_string(),
            )
        })
        .collect();
    names.sort();
    Ok(names)
}

fn applied(conn: &mut PgConnection) -> Result<Vec<String>, MigrateError> {
    let versions: Vec<MigrationVersion<'static>> = conn
        .applied_migrations()
        .map_err(|error| failed("status", error))?;
    Ok(versions.iter().map(ToString::to_string).collect())
}

/// Runs the replaceable scripts in one transaction, when they differ from the ones that ran last or `again` says so.
fn apply_replaceable(conn: &mut PgConnection, again: bool) -> Result<(), MigrateError> {
    let wanted = replaceable_fingerprint();
    let current = sql_query("select fingerprint as value from app.replaceable_version")
        .load::<Value>(conn)
        .map_err(|error| failed("replaceable", store_error(error)))?;
    if !again && current.first().is_some_and(|row| row.value == wanted) {
        return Ok(());
    }
    conn.batch_execute("begin")
        .map_err(|error| failed("replaceable", error))?;
    for (name, sql) in REPLACEABLE {
        if let Err(error) = conn.batch_execute(sql) {
            let _ = conn.batch_execute("rollback");
            return Err(failed(*name, error));
        }
    }
    sql_query(
        "insert into app.replaceable_version (fingerprint) values ($1)
         on conflict (only_row) do update set fingerprint = excluded.fingerprint, applied_at = now()",
    )
    .bind::<Text, _>(wanted)
    .execute(conn)
    .map_err(|error| failed("replaceable", error))?;
    conn.batch_execute("commit")
        .map_err(|error| failed("replaceable", error))
}

/// After a step down the scripts must run again with the next step up.
fn forget_replaceable(conn: &mut PgConnection) -> Result<(), MigrateError> {
    conn.batch_execute(
        "do $$ begin
             if to_regclass('app.replaceable_version') is not null then
                 delete from app.replaceable_version;
             end if;
         end $$",
    )
    .map_err(|error| failed("down", error))
}

/// The owner bypasses row-level security because the look-ups that come before a tenant run as it. Nobody else does.
const MAKE_ROLES: &str = "
do $$ begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'plinth_owner') then
        create role plinth_owner login bypassrls noinherit;
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'plinth_app') then
        create role plinth_app login noinherit;
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'plinth_worker') then
        create role plinth_worker login noinherit;
    end if;
    execute format('grant create, connect, temporary on database %I to plinth_owner', current_database());
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to plinth_app, plinth_worker', current_database());
    alter schema public owner to plinth_owner;
end $$";

fn ensure_roles(conn: &mut PgConnection) -> Result<(), MigrateError> {
    let missing = sql_query(
        "select count(*) < 3 as answer from pg_catalog.pg_roles
         where rolname in ('plinth_owner', 'plinth_app', 'plinth_worker')",
    )
    .get_result::<Answer>(conn)
    .map_err(|error| failed("roles", error))?;
    let login = sql_query(
        "select rolname::text as name, rolsuper as may from pg_catalog.pg_roles where rolname = session_user",
    )
    .get_result::<Login>(conn)
    .map_err(|error| failed("roles", error))?;
    if login.may {
        return conn
            .batch_execute(MAKE_ROLES)
            .map_err(|error| failed("roles", error));
    }
    if missing.answer {
        return Err(MigrateError::RolesMissing { login: login.name });
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Login {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    may: bool,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}
