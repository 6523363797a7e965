//! Isolation of tenants, proved from the catalogue in three ways.
//!
//! - **Gates** (`gate.rs`): rules over `pg_catalog` that hold after the migrations, each tried on planted faults. What a rule finds and is right
//!   stands beside it with its reason; a reason that nothing needs any more fails too. `tables.rs`, `indexes.rs`, `policies.rs`,
//!   `functions.rs`, `bodies.rs`, `objects.rs`, `roles.rs`, `grants.rs`.
//! - **Matrix** (`matrix.rs`): three tenants with rows in every table and partition (`rows.rs` makes them from the catalogue), and every verb
//!   (`verbs.rs`), COPY (`wire.rs`) and function (`calls.rs`) tried from the outside. `people.rs` is about what people may see.
//! - **Mutation** (`mutation.rs`): every protection is taken away or weakened (`mutants.rs`), one at a time, and the other two must notice.

mod bodies;
mod calls;
mod functions;
mod gate;
mod grants;
mod indexes;
mod matrix;
mod mutants;
mod mutation;
mod objects;
mod people;
mod policies;
mod roles;
mod rows;
mod tables;
mod verbs;
mod wire;

use gate::Gate;

/// Every rule of the catalogue, the quick ones first.
const GATES: [&Gate; 15] = [
    &bodies::BODIES,
    &policies::SETTINGS,
    &functions::FUNCTIONS,
    &roles::ROLES,
    &tables::NO_TENANT,
    &indexes::UNINDEXED,
    &tables::PROTECTED,
    &tables::FOREIGN_KEYS,
    &objects::VIEWS,
    &objects::NONE_OF,
    &indexes::LEAKPROOF,
    &indexes::UNIQUE,
    &policies::LEAVES,
    &policies::POLICIES,
    &grants::GRANTS,
];
