//! Token issuers: local, OIDC, Clerk and Keycloak, on one key cache.
