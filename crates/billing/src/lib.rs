//! Plans, entitlements, subscriptions, rating and invoices.
