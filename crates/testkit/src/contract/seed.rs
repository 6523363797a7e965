//! Rows that no port writes: operators, migrations and other domains do.

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use identity::UserStatus;
use kernel::{TenantId, UserId};

/// A row to be added beside the ports.
#[derive(Debug, Clone, Copy)]
pub enum Seed {
    /// A tenant has a plan of the default catalogue. Without one, nothing is allowed.
    Subscription {
        /// Whose.
        tenant_id: TenantId,
        /// Code of the plan.
        plan: &'static str,
    },
    /// A role that a tenant made for itself, named like its key.
    CustomRole {
        /// Whose.
        tenant_id: TenantId,
        /// Its key.
        key: &'static str,
        /// What it allows.
        permissions: &'static [&'static str],
    },
    /// A role over the whole deployment.
    GlobalRole {
        /// Who has it.
        user_id: UserId,
        /// Its key.
        role: &'static str,
    },
    /// What a tenant is called elsewhere.
    ExternalRef {
        /// Whose.
        tenant_id: TenantId,
        /// Where: `clerk`, `keycloak`, `erp` or `stripe`.
        kind: &'static str,
        /// What it is called there.
        name: &'static str,
    },
    /// A person stands elsewhere from now on.
    UserStatus {
        /// Who.
        user_id: UserId,
        /// Where.
        status: UserStatus,
    },
    /// A member is suspended. The tenant must keep an active owner.
    Suspension {
        /// Where.
        tenant_id: TenantId,
        /// Who.
        user_id: UserId,
    },
}

impl Seed {
    /// Everything in it is an id or a word of the suites, so it may be written into the statement.
    fn sql(self) -> String {
        match self {
            Self::Subscription { tenant_id, plan } => format!(
                "insert into subscriptions (tenant_id, id, plan_code, plan_version, anchor_at, timezone, interval)
                 select '{tenant_id}', gen_random_uuid(), code, current_version, now(), 'UTC', 'month'
                 from plans where code = '{plan}'"
            ),
            Self::CustomRole {
                tenant_id,
                key,
                permissions,
            } => format!(
                "insert into custom_roles (tenant_id, key, name, permissions)
                 values ('{tenant_id}', '{key}', '{key}', '{{{}}}')",
                permissions.join(",")
            ),
            Self::GlobalRole { user_id, role } => {
                format!("insert into global_roles (user_id, role_key) values ('{user_id}', '{role}')")
            }
            Self::ExternalRef {
                tenant_id,
                kind,
                name,
            } => format!(
                "insert into tenant_external_refs (tenant_id, kind, external_id)
                 values ('{tenant_id}', '{kind}', '{name}')"
            ),
            Self::UserStatus { user_id, status } => format!(
                "update users set status = '{}' where id = '{user_id}'",
                status.as_str()
            ),
            Self::Suspension { tenant_id, user_id } => format!(
                "update memberships set status = 'suspended'
                 where tenant_id = '{tenant_id}' and user_id = '{user_id}'"
            ),
        }
    }
}

/// Adds the row as the superuser of the database behind `url`.
pub(super) async fn execute(url: String, seed: Seed) {
    let insert = move || {
        let mut conn = PgConnection::establish(&url).unwrap();
        conn.batch_execute(&seed.sql()).unwrap();
    };
    tokio::task::spawn_blocking(insert).await.unwrap();
}
