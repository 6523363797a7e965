//! How a store fails, and what is wrong with a field of the input.

use std::borrow::Cow;

/// How a unit of work or one of its statements fails. Use cases turn [`StoreError::Conflict`] into their own errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A unique or exclusion constraint refused the row. The transaction is lost: return, never go on.
    #[error("the row conflicts with {constraint}")]
    Conflict {
        /// The constraint's name in the database, such as `tenants_slug_key`.
        constraint: String,
    },
    /// The store cannot be reached, or gave up after its time limit. Nothing is known to have been written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store answered in a way the code does not expect: a defect, or a broken schema.
    #[error("the store failed: {0}")]
    Unexpected(String),
}

impl StoreError {
    /// Whether this is a conflict with the named constraint.
    #[must_use]
    pub fn conflicts_with(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }
}

/// A field that breaks a rule: what a client needs in order to mend its request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// The field, as the client spells it: `slug`, or `prices[2].amount`.
    pub field: Cow<'static, str>,
    /// A stable code of the rule, such as `too_long`.
    pub code: &'static str,
    /// The rule in words.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// A broken rule `code` of `field`, said in `message`.
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            code,
            message: message.into(),
        }
    }
}
