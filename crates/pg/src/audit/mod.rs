//! `audit` on PostgreSQL.
