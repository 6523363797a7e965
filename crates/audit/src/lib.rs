//! The audit trail: who did what, when, to what, and from where.
//!
//! [`Trail`] is a supertrait of every domain's `Store`, so a change and its audit event commit together or not at all. Events are
//! append-only and carry no foreign key to the tenant: the trail outlives it. Their shape is Retraced's, so that producers and viewers
//! written for Retraced keep working, plus tenant, project, product, diff and request id.
//!
//! | file | what is in it |
//! |---|---|
//! | [`event`] | an event, and how a use case makes one |
//! | [`ports`] | [`Trail`], written by every domain, and [`Store`], read by this one |
//! | [`service`] | [`Audit`]: the façade that the API holds |

pub mod event;
pub mod ports;
pub mod service;

pub use event::{Actor, AuditEvent, Crud, NewEvent, Target};
pub use ports::{EventFilter, Fact, Store, Trail};
pub use service::{Audit, ReadTrailError};
