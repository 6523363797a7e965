//! `usage` on PostgreSQL.
