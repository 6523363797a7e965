//! `tenancy` on PostgreSQL.
