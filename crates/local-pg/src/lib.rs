//! Finds or installs PostgreSQL and runs private clusters.
