//! Who somebody is, and how they prove it: people, their log-in and sessions, and the API keys of their programs.
//!
//! | file | what is in it |
//! |---|---|
//! | [`user`] | people; what an identity provider calls them |
//! | [`password`] | what may be a password, and what is kept of it |
//! | [`session`] | refresh tokens in families; showing an old one ends the family |
//! | [`api_key`] | keys: create, read, rotate, revoke, verify |
//! | [`key_text`] | how a key is written; its checksum |
//! | [`pepper`] | what is kept of a key |
//! | [`permission_query`] | `a.read AND (b.write OR c.read)` |
//! | [`permissions`] | the permission catalogue, as scopes are checked against it |
//! | [`last_used`] | when keys were used, written in batches |
//! | [`access`] | what the store knows of somebody who signs in |
//! | [`secret`] | random text and digests |
//! | [`ports`] | what it needs: stores, a password hasher, a token issuer and a verifier |
//! | [`service`] | [`Identity`]: one method per use case |
//!
//! Invariants:
//! - A token or a key proves identity and nothing else. What its holder may do is read from the store at every request.
//! - A key never exceeds its creator, neither when it is made nor later.
//! - No secret is stored, logged, shown in debug output or written to the trail: only digests that are of no use without it.
//! - Hashing a password happens outside of every transaction.

pub mod access;
pub mod api_key;
pub mod key_text;
pub mod last_used;
pub mod password;
pub mod pepper;
pub mod permission_query;
pub mod permissions;
pub mod ports;
pub mod secret;
pub mod service;
pub mod session;
pub mod user;

pub use access::{AccessQuery, MemberAccess, OrgClaim, UserAccess, VerifiedIdentity};
pub use api_key::{
    ApiKey, CreateKeyError, Creator, EnvironmentRef, KeyRecord, KeyState, NewKey, ReadKeyError,
    RevokeKeyError, RotateKeyError, Verification, VerifyCode, VerifyKeyError,
};
pub use kernel::Email;
pub use key_text::{KeyMode, KeyText};
pub use last_used::{KeyUse, LastUsed};
pub use password::{Password, PasswordHash};
pub use pepper::{KeyHash, KeyMatch, Pepper, PepperError, Peppers};
pub use permission_query::PermissionQuery;
pub use ports::{
    HasherError, KeyReader, KeyStore, MintError, PasswordHasher, Store, TokenError, TokenIssuer,
    TokenVerifier,
};
pub use secret::Digest256;
pub use service::{AccessError, Identity, LogInError, ReadMeError, RefreshError, Tokens};
pub use session::{RefreshToken, Refreshed, RevokeReason, Session};
pub use user::{ExternalIdentity, NewUser, RegisterError, User, UserStatus};
