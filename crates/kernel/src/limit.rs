//! Limits of a plan, as the domains that count things see them.

/// How much of one counted thing a tenant may have, under the lock that makes the answer true until the transaction ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The most that is allowed; `None` is unlimited.
    pub max: Option<i64>,
    /// Code of the plan that says so.
    pub plan: String,
}

impl Allowance {
    /// Admits one more thing named `limit` when `used` are there already.
    ///
    /// # Errors
    /// [`LimitReached`] when `used` has reached the maximum.
    pub fn admit(&self, limit: &str, used: i64) -> Result<(), LimitReached> {
        self.admit_many(limit, used, 1)
    }

    /// Admits `more` things named `limit` when `used` are there already.
    ///
    /// # Errors
    /// [`LimitReached`] when they would go past the maximum.
    pub fn admit_many(&self, limit: &str, used: i64, more: i64) -> Result<(), LimitReached> {
        match self.max {
            Some(max) if used.saturating_add(more) > max => Err(LimitReached {
                limit: limit.to_owned(),
                max,
                used,
                plan: self.plan.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// A plan's limit is reached: nothing was added. Public code `billing.limit_reached`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan {plan} allows {max} of {limit}, and {used} are used")]
pub struct LimitReached {
    /// Key of the entitlement, such as `max_members`.
    pub limit: String,
    /// The most that the plan allows.
    pub max: i64,
    /// How many there are.
    pub used: i64,
    /// Code of the plan.
    pub plan: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlimited_is_never_reached_and_nought_always_is() {
        let plan = || "pro".to_owned();
        assert!(
            Allowance {
                max: None,
                plan: plan()
            }
            .admit("max_agents", i64::MAX)
            .is_ok()
        );
        assert!(
            Allowance {
                max: Some(0),
                plan: plan()
            }
            .admit("max_agents", 0)
            .is_err()
        );
        assert!(
            Allowance {
                max: Some(3),
                plan: plan()
            }
            .admit("max_agents", 2)
            .is_ok()
        );
        assert!(
            Allowance {
                max: Some(3),
                plan: plan()
            }
            .admit("max_agents", 3)
            .is_err()
        );
    }
}
