//! Plans, entitlements, subscriptions, rating and invoices.
//!
//! Subscription → plan version → entitlements is the one source of what a tenant may have; an override wins over the plan, and what
//! neither names is not allowed. A limit is checked and taken in the transaction that adds the thing, under the tenant's row lock.
//! Rating, periods and proration are pure: quantities and prices are exact decimals, and each line is rounded once.
//!
//! | file | what is in it |
//! |---|---|
//! | [`plan`] | plans and their versions |
//! | [`price`] | what a metric costs: flat, per unit, graduated, volume, package, percentage |
//! | [`rating`] | a quantity and a price become an amount |
//! | [`period`] | billing periods, anchored in a zone |
//! | [`proration`] | shares of a period, and cutting it at changes of plan |
//! | [`totals`] | how lines, discounts and tax add up |
//! | [`invoice`] | lines that explain themselves; the upcoming invoice |
//! | [`entitlement`] | limits, quotas, switches and values, and their use |
//! | [`cycle`], [`enforcement`] | what a quota starts anew with; what happens at a limit |
//! | [`standing`] | where a tenant stands with one entitlement |
//! | [`take`] | whether there is room, and what follows from taking |
//! | [`threshold`] | others are told when so many percent are used |
//! | [`entitlement_override`] | what operators give one tenant |
//! | [`subscription`] | which plan a tenant has |
//! | [`plan_change`] | ordering another one |
//! | [`resource`] | counted things of the host product |
//! | [`reservation`] | quotas and concurrency, with leases |
//! | [`permissions`] | what the use cases demand |
//! | [`ports`] | what a store must do, by noun |
//! | [`service`] | [`Billing`]: the façade |
//! | [`watch`] | [`Watch`]: the worker's façade over usage that quotas count |

pub mod cycle;
pub mod enforcement;
pub mod entitlement;
pub mod entitlement_override;
pub mod invoice;
pub mod period;
pub mod permissions;
pub mod plan;
pub mod plan_change;
pub mod ports;
pub mod price;
pub mod proration;
pub mod rating;
pub mod reservation;
pub mod resource;
pub mod service;
pub mod standing;
pub mod subscription;
pub mod take;
pub mod threshold;
pub mod totals;
pub mod watch;

pub use cycle::{Anchor, Cycle};
pub use enforcement::{Enforcement, Grace};
pub use entitlement::{Check, Entitlement, Entitlements, Grant, Granted, Kind, Override};
pub use entitlement_override::NewOverride;
pub use invoice::{Bill, Invoice};
pub use period::{Grid, Interval, Period};
pub use plan::{Plan, PlanRef};
pub use plan_change::{Order, Outlook, When};
pub use ports::{
    Catalogue, Counts, Invoices, Overrides, QuotaWatch, Reservations, Resources, StandingReader,
    Store, Subscriptions, Thresholds,
};
pub use price::{Price, PriceModel, Tier};
pub use proration::{Proration, Stretch};
pub use rating::{Charge, TierUse};
pub use reservation::{Outcome, Reservation, Wish};
pub use resource::{ExternalId, Put, Resource, ResourceKind};
pub use service::Billing;
pub use standing::{Counted, Crossing, Standing};
pub use subscription::{Current, PlanChange, Subscription};
pub use totals::Totals;
pub use watch::Watch;
