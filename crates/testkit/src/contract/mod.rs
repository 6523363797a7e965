//! Contract suites: what every implementation of a port must do, as functions that panic when it does not.
//!
//! A suite is handed a [`Backend`] and knows nothing else of what stands behind it. PostgreSQL and [`Memory`](crate::Memory) are held to the
//! same suites in this crate's tests. Whoever implements the ports on something else gets a test of each promise by
//!
//! ```ignore
//! mod on_mine {
//!     testkit::contract_tests!(MyBackend::start().await);
//! }
//! ```
//!
//! | file | whose contract it is |
//! |---|---|
//! | `backend` | [`Backend`]: what a suite is handed |
//! | `tests` | [`contract_tests!`](crate::contract_tests): every promise by name |
//! | `fixture` | principals and rows that several suites begin with |
//! | `people` | users and members that several suites begin with |
//! | `seed` | [`Seed`]: rows that no port writes |
//! | `unit_of_work` | `kernel::UnitOfWork`: commit, rollback, panic, scope |
//! | `audit` | `audit::Trail` and `audit::Store` |
//! | `tenants` | `tenancy::TenantStore` |
//! | `members`, `roles` | `tenancy::MemberStore` |
//! | `invitations` | `tenancy::InvitationStore` |
//! | `projects` | `tenancy::ProjectStore` |
//! | `keys`, `key_records` | `identity::KeyStore` |
//! | `users`, `sessions`, `access` | `identity::Store` |
//! | `meters` | `usage::Store`: meters of tenants, and those from the start |
//! | `meter_versions` | `usage::Store`: what meters are and were |
//! | `usage_events` | `usage::Store`: each event is let in once |
//! | `usage_groups` | `usage::GroupStore`: events of many requests in one transaction |
//! | `imports` | `usage::import::ImportStore`: each row is taken once |
//! | `usage_reads` | `usage::Store`: answers are exact, at any moment |
//! | `usage_raw` | `usage::Store`: events as they were sent |
//! | `rollups` | `usage::Ledger`: the watermark |
//! | `usage_calendar` | `usage::Ledger`: which day an instant is of |
//! | `usage_days` | `usage::Ledger`: the daily close |
//! | `usage_fixture`, `usage_oracle`, `usage_rows` | events; what usage must be; rows that no port makes or reads |
//! | `subscribed` | tenants that have a plan |
//! | `billing_seed` | [`BillingSeed`]: what no port of billing writes |
//! | `plans`, `subscriptions`, `entitlements`, `reservations`, `resources`, `invoices` | the ports of `billing` |
//! | `standings`, `overrides`, `thresholds` | more of them: what a decision needs in one go, what operators give, what follows from the use of a limit |
//! | `enforcement` | what happens at a limit |
//! | `quota_watch` | `billing::Watch`: metered use that reaches a threshold |
//! | `limits` | that nobody gets more than the plan allows, however many ask at once |
//! | `queue`, `schedules` | `app::queue` and `app::schedule` |
//! | `idempotency` | `app::idempotency::Store`, and that a lost lease cannot commit |
//! | `upkeep` | `app::upkeep::Upkeep` |
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a suite reports by panicking, as assertions do"
)]

pub mod access;
pub mod audit;
pub mod backend;
mod billing_seed;
pub mod enforcement;
pub mod entitlements;
pub mod fixture;
pub mod idempotency;
pub mod imports;
pub mod invitations;
pub mod invoices;
pub mod key_records;
pub mod keys;
pub mod limits;
pub mod members;
pub mod meter_versions;
pub mod meters;
pub mod overrides;
pub mod people;
pub mod plans;
pub mod projects;
pub mod queue;
pub mod quota_watch;
pub mod reservations;
pub mod resources;
pub mod roles;
pub mod rollups;
pub mod schedules;
pub mod seed;
pub mod sessions;
pub mod standings;
mod subscribed;
pub mod subscriptions;
pub mod tenants;
mod tests;
pub mod thresholds;
pub mod unit_of_work;
pub mod upkeep;
pub mod usage_calendar;
pub mod usage_days;
pub mod usage_events;
pub mod usage_fixture;
pub mod usage_groups;
mod usage_oracle;
pub mod usage_raw;
pub mod usage_reads;
mod usage_rows;
pub mod users;

pub use backend::{Backend, Postgres};
pub use billing_seed::BillingSeed;
pub use seed::Seed;
pub use usage_rows::{DailyTotal, DayRecord};

use std::sync::Arc;

use kernel::{Scope, StoreError, UnitOfWork};

/// One command in one transaction. As [`UnitOfWork::run`](kernel::UnitOfWork), for a unit of work that is made for this one command.
pub async fn run<S, T, E>(
    db: Arc<dyn UnitOfWork<S>>,
    scope: Scope,
    command: impl FnOnce(&mut S) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    S: ?Sized + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    db.run(scope, command).await
}
