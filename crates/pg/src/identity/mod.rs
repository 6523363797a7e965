//! `identity` on PostgreSQL.
