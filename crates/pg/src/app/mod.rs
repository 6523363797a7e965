//! `app` on PostgreSQL.
