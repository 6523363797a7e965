//! `billing` on PostgreSQL.
