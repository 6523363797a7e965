//! Limits of a plan, as the domains that count things see them.

/// How much of one counted thing a tenant may have, under the lock that makes the answer true until the transaction ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The most that is allowed; `None` is unlimited.
    pub max: Option<i64>,
    /// The most that is let through, which is more than `max` where a limit is only told or grants a grace; `None` has no bound.
    pub ceiling: Option<i64>,
    /// Code of the plan that says so.
    pub plan: String,
}

impl Allowance {
    /// Lets `max` through and no more; `None` is unlimited.
    #[must_use]
    pub const fn hard(max: Option<i64>, plan: String) -> Self {
        Self {
            max,
            ceiling: max,
            plan,
        }
    }

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
    /// [`LimitReached`] when they would go past what is let through.
    pub fn admit_many(&self, limit: &str, used: i64, more: i64) -> Result<(), LimitReached> {
        match self.ceiling {
            Some(ceiling) if used.saturating_add(more) > ceiling => Err(LimitReached {
                limit: limit.to_owned(),
                max: self.max.unwrap_or(ceiling),
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
        let admit = |max, used| Allowance::hard(max, "pro".to_owned()).admit("max_agents", used);
        assert!(admit(None, i64::MAX).is_ok());
        assert!(admit(Some(0), 0).is_err());
        assert!(admit(Some(3), 2).is_ok());
        assert!(admit(Some(3), 3).is_err());
    }

    #[test]
    fn a_limit_that_lets_more_through_still_says_what_it_is() {
        let grace = Allowance {
            ceiling: Some(12),
            ..Allowance::hard(Some(10), "pro".to_owned())
        };
        assert!(grace.admit("max_agents", 11).is_ok());
        let refused = grace.admit("max_agents", 12).unwrap_err();
        assert_eq!((refused.max, refused.used), (10, 12));
        let soft = Allowance {
            ceiling: None,
            ..grace
        };
        assert!(soft.admit("max_agents", i64::MAX).is_ok());
    }
}
