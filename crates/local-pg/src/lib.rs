//! Finds or installs PostgreSQL and runs private clusters, for `cargo dev` and for tests.
//!
//! A private cluster listens on 127.0.0.1 only and has no Unix socket, so that no path is too long and no other user can meet it
//! half-way. Nothing here needs a client library: readiness is read from PostgreSQL's own pid file, as `pg_ctl` does.
//!
//! | file | what is in it |
//! |---|---|
//! | [`binaries`] | where `initdb` and `postgres` are, and that they are new enough |
//! | [`install`] | the distribution's package, installed when allowed, named when not |
//! | [`account`] | whom PostgreSQL runs as: it refuses to run as root |
//! | [`cluster`] | a cluster that lives as long as its value |
//! | `site` | the folder of a cluster: made, checked, and served |
//! | `postmaster` | PostgreSQL's own pid file |
//! | [`shared`] | one throw-away cluster for many processes, which stops by itself when idle |
//! | [`process`] | processes that an earlier run left behind |

pub mod account;
pub mod binaries;
pub mod cluster;
mod environment;
pub mod install;
mod postmaster;
pub mod process;
pub mod shared;
mod site;

pub use account::Account;
pub use binaries::{Binaries, FindError};
pub use cluster::{Cluster, ClusterError, Durability, Options};
pub use shared::SharedCluster;

/// Takes the sentences that a person should read while they wait.
pub type Say<'a> = &'a dyn Fn(&str);
