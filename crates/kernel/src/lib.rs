//! The vocabulary that every Plinth crate shares, and nothing that knows a database, a runtime or a protocol.
//!
//! | file | what is in it |
//! |---|---|
//! | [`id`] | typed UUIDv7 identifiers, and the one place where randomness is drawn |
//! | [`clock`] | where "now" comes from |
//! | [`text`] | names and other free text from outside: trimmed, bounded, no control characters |
//! | [`email`] | e-mail addresses, in one spelling |
//! | [`limit`] | what a plan allows of a counted thing |
//! | [`money`] | integer minor units with a currency; the one rounding rule |
//! | [`quantity`] | exact decimal quantities |
//! | [`zone`] | IANA time zones, and the calendar in them |
//! | [`page`] | keyset pages and their cursors |
//! | [`permission`] | `resource.action` codes and sets of them |
//! | [`principal`] | who makes a request, in which tenant, with which permissions |
//! | [`unit_of_work`] | one transaction per command, as a port |
//! | [`error`] | how a store fails, and what is wrong with a field |
//!
//! Rules are synchronous functions over `&mut dyn Store`; only edges are async. Time is an argument.

pub mod clock;
pub mod email;
pub mod error;
pub mod id;
pub mod limit;
pub mod money;
pub mod page;
pub mod permission;
pub mod principal;
pub mod quantity;
pub mod text;
pub mod unit_of_work;
pub mod zone;

pub use clock::{Clock, SystemClock};
pub use email::Email;
pub use error::{FieldError, StoreError};
pub use id::*;
pub use limit::{Allowance, LimitReached};
pub use money::{Currency, Money};
pub use page::{Cursor, Page, PageRequest};
pub use permission::{Permission, PermissionSet};
pub use principal::{Denied, Grant, Principal, PrincipalKind, RequestInfo, TenantStatus};
pub use quantity::Quantity;
pub use text::Name;
pub use unit_of_work::{BoxFuture, CommandRef, Scope, UnitOfWork, Verdict, Work};
pub use zone::Zone;
