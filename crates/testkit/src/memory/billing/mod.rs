//! Billing in memory, one file a noun as in `plinth-pg`.
//!
//! | file | what is in it |
//! |---|---|
//! | `catalogue` | the catalogues that the migrations bring |
//! | `plans` | which plans are on sale, and every version that was |
//! | `subscriptions` | subscriptions and the plans they have had |
//! | `counts` | what a tenant may have, and what it uses |
//! | `overrides`, `thresholds` | what operators give; what follows from the use of a limit |
//! | `reservations`, `resources`, `invoices` | what their names say |

mod catalogue;
mod counts;
mod invoices;
mod overrides;
mod plans;
mod reservations;
mod resources;
mod subscriptions;
mod thresholds;

use std::collections::{BTreeMap, BTreeSet};

use billing::{Crossing, Invoice, Override, PlanRef, Subscription, subscription::Status};
use kernel::{InvoiceId, ReservationId, StoreError, SubscriptionId, TenantId};
use tenancy::Tenant;
use time::OffsetDateTime;

use super::{Memory, MemoryTx, conflict};

#[derive(Clone, Default)]
pub(super) struct Tables {
    plans: plans::Plans,
    subscriptions: BTreeMap<(TenantId, SubscriptionId), Subscription>,
    /// Which plan a subscription had from an instant on.
    plan_changes: BTreeMap<(TenantId, SubscriptionId, OffsetDateTime), PlanRef>,
    overrides: BTreeMap<(TenantId, String), Override>,
    reservations: BTreeMap<(TenantId, ReservationId), reservations::Row>,
    /// Thresholds that were told, by key, start of the period, limit and percent.
    thresholds: BTreeSet<(TenantId, String, OffsetDateTime, i64, i16)>,
    crossings: BTreeMap<(TenantId, String), Crossing>,
    /// How many events were looked through for thresholds.
    watched: usize,
    /// When a thing was registered, by kind and name.
    resources: BTreeMap<(TenantId, String, String), OffsetDateTime>,
    invoices: BTreeMap<(TenantId, InvoiceId), Invoice>,
}

impl Tables {
    /// Adds a subscription of `tenant` to a plan on sale. Answers the plan's code; `None` when no plan is sold under `code`.
    pub(super) fn subscribe(&mut self, tenant: &Tenant, code: &str) -> Option<String> {
        let plan = self.plans.sold_as(code)?;
        let subscription = Subscription {
            id: SubscriptionId::new(tenant.created_at),
            tenant_id: tenant.id,
            status: Status::Active,
            plan: plan.reference(),
            pending: None,
            anchor: tenant.created_at,
            zone: tenant.timezone.clone(),
            interval: plan.interval,
            cancel_at: None,
        };
        let key = (tenant.id, subscription.id);
        self.subscriptions.insert(key, subscription);
        Some(code.to_owned())
    }
}

impl Memory {
    /// Puts a catalogue on sale instead of what is on sale now, as `app.load_catalogue` does: `default` or `prd37`. Tenants keep the
    /// version they have.
    ///
    /// # Panics
    /// When there is no catalogue of this name.
    pub fn load_catalogue(&self, name: &str) {
        self.change(|tables| tables.billing.plans.load(catalogue::named(name)));
    }

    /// Gives a tenant something besides its plan, or instead of what its plan says.
    pub fn grant_override(&self, tenant_id: TenantId, given: Override) {
        let key = (tenant_id, given.grant.key.clone());
        self.change(|tables| {
            tables.billing.overrides.insert(key, given);
        });
    }

    /// Adds a finalised invoice.
    pub fn add_invoice(&self, tenant_id: TenantId, invoice: Invoice) {
        let key = (tenant_id, invoice.id);
        self.change(|tables| {
            tables.billing.invoices.insert(key, invoice);
        });
    }
}

impl MemoryTx {
    /// Refuses a row of a tenant that is not there, as the foreign key does.
    fn refuse_unknown_tenant(
        &self,
        tenant_id: TenantId,
        constraint: &str,
    ) -> Result<(), StoreError> {
        if self.tables.tenancy.tenants.contains_key(&tenant_id) {
            Ok(())
        } else {
            Err(conflict(constraint))
        }
    }
}
