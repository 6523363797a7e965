//! Outbound adapters: mail.
