//! Per-test databases, fixtures and the architecture test.
