//! Plans: what is on sale, at which price, with which entitlements.
//!
//! A published version never changes. Another price is another version, and a subscription stays with the version it was sold.

use kernel::{FieldError, Money};
use serde::Serialize;

use crate::{Grant, Interval, Price};

/// One version of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its code, such as `starter`. Never an alias.
    pub code: String,
    /// Its version, from 1.
    pub version: i32,
    /// Its name for people.
    pub name: String,
    /// The base price of one interval, whatever is used.
    pub price: Money,
    /// How often the base price falls due.
    pub interval: Interval,
    /// What it lets a tenant have.
    pub grants: Vec<Grant>,
    /// What it charges for usage, at most one price per metric.
    pub prices: Vec<Price>,
}

/// Names a version of a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PlanRef {
    /// The plan's code.
    pub code: String,
    /// The version.
    pub version: i32,
}

impl Plan {
    /// The name of this version.
    #[must_use]
    pub fn reference(&self) -> PlanRef {
        PlanRef {
            code: self.code.clone(),
            version: self.version,
        }
    }
}

/// Checks that text from outside could be a plan's code or alias, before a store is asked for it.
///
/// # Errors
/// `unknown_plan` on the field `plan`.
pub fn parse_code(text: &str) -> Result<&str, FieldError> {
    let ok = (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if ok { Ok(text) } else { Err(unknown()) }
}

/// The broken rule when no plan on sale has the code.
#[must_use]
pub fn unknown() -> FieldError {
    FieldError::new("plan", "unknown_plan", "must be the code of a plan on sale")
}
