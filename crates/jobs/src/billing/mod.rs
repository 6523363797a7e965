//! Jobs of billing.

pub mod apply_plan_changes;

pub use apply_plan_changes::ApplyPlanChanges;
