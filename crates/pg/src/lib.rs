//! PostgreSQL under every port: pool, unit of work, migrations and stores.
