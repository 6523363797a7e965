//! Who vouches for people: identity providers, and the built-in issuer.
//!
//! | file | what is in it |
//! |---|---|
//! | [`settings`] | how a trusted issuer is configured |
//! | [`issuers`] | [`Issuers`]: the pinned list, and the choice among it |
//! | [`token`] | what every token must satisfy, whoever issued it |
//! | [`jwks`] | one key cache per issuer |
//! | [`oidc`], [`clerk`], [`keycloak`] | what the claims of each kind mean |
//! | [`local`] | the built-in issuer: signs, verifies, publishes its key |
//! | [`password`] | argon2id, away from the threads that serve requests |
//!
//! Invariants: a token is checked against exactly one issuer, the one it names, with that issuer's keys and algorithms; a token proves
//! identity only; keys that cannot be had are not a forged token.

pub mod clerk;
pub mod issuers;
pub mod jwks;
pub mod keycloak;
pub mod local;
pub mod oidc;
pub mod password;
pub mod settings;
pub mod token;

pub use issuers::Issuers;
pub use local::{LocalIssuer, generate_signing_key};
pub use password::Argon2Hasher;
pub use settings::{IssuerKind, IssuerSettings, SettingsError};
