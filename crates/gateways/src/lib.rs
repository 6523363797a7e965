//! Outbound adapters: what leaves the deployment.
//!
//! | module | what is in it |
//! |---|---|
//! | [`mail`] | mails, to a server or into a folder |

pub mod mail;
