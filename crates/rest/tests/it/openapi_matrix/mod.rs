//! Two tenants, and every operation of the contract as one of them with the ids of the other.
//!
//! | file | what is in it |
//! |---|---|
//! | `contract` | requests made from the OpenAPI document |
//! | `world` | two tenants with something of every kind |
//! | `answer` | what two answers differ in |
//! | `rows` | everything that the database holds of a tenant |
//! | `stage` | the two tenants, and how they are asked |
//! | `isolation`, `refusals`, `replays` | the tests |
//!
//! Nothing here lists routes: a new operation is in the matrix as soon as it is in the document, and fails by its name when nobody has
//! said what its parameters hold.

mod answer;
mod contract;
mod isolation;
mod refusals;
mod replays;
mod rows;
mod stage;
mod world;
