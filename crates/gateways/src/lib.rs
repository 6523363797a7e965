//! Outbound adapters: what leaves the deployment.
//!
//! | module | what is in it |
//! |---|---|
//! | [`archive`] | events that are not kept any more, into a folder |
//! | [`mail`] | mails, to a server or into a folder |

pub mod archive;
pub mod mail;
