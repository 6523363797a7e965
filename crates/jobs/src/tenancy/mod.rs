//! Jobs of tenancy.

pub mod archive_frozen;
pub mod end_trials;
pub mod expire_invitations;
pub mod send_invitation_mail;

pub use archive_frozen::ArchiveFrozen;
pub use end_trials::EndTrials;
pub use expire_invitations::ExpireInvitations;
pub use send_invitation_mail::SendInvitationMail;
