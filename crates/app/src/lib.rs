//! Use cases that need several domains in one transaction.
