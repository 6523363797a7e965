//! Typed identifiers. Each is a UUIDv7, made here and never by the database, and plain UUID text on the wire.
//!
//! This module is also the one place where randomness is drawn: see [`random_bytes`].

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// Bytes from the operating system's generator, for secrets and nonces.
///
/// # Panics
/// When the operating system has no entropy to give: nothing that follows would be safe.
#[must_use]
#[expect(
    clippy::panic,
    reason = "a machine without entropy must not go on to make keys"
)]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => bytes,
        Err(error) => panic!("the operating system gave no entropy: {error}"),
    }
}

/// A UUIDv7 whose first 48 bits are `now` in milliseconds, so that keys made later sort later.
#[must_use]
pub fn uuid_v7(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    let millis = seconds
        .saturating_mul(1000)
        .saturating_add(u64::from(now.millisecond()));
    uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes::<10>()).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier, made at `now`.
            #[must_use]
            pub fn new(now: OffsetDateTime) -> Self {
                Self(uuid_v7(now))
            }
            /// The identifier as a plain UUID, for stores and the wire.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// A tenant: the root of isolation.
    TenantId,
    /// A person, global: one row per human.
    UserId,
    /// An invitation to join a tenant.
    InvitationId,
    /// A role, of the system or of one tenant.
    RoleId,
    /// A project of a tenant.
    ProjectId,
    /// An environment of a project.
    EnvironmentId,
    /// An API key.
    ApiKeyId,
    /// A local log-in session: one family of refresh tokens.
    SessionId,
    /// A meter: what is measured.
    MeterId,
    /// A subscription of a tenant to a plan.
    SubscriptionId,
    /// An invoice.
    InvoiceId,
    /// A reservation of quota or of concurrency.
    ReservationId,
    /// An audit event.
    AuditEventId,
    /// A queued job.
    JobId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_time_they_were_made_at() {
        let early = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let late = early + time::Duration::milliseconds(1);
        assert!(TenantId::new(early) < TenantId::new(late));
        assert_ne!(TenantId::new(early), TenantId::new(early));
        assert_eq!(TenantId::new(early).as_uuid().get_version_num(), 7);
    }
}
