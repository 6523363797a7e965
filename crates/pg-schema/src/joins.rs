//! Which tables may appear in one query, a group a domain.

use crate::schema::{
    environments, invitations, membership_roles, memberships, projects, tenants, users,
};

diesel::allow_tables_to_appear_in_same_query!(
    tenants,
    memberships,
    membership_roles,
    users,
    invitations,
);
diesel::allow_tables_to_appear_in_same_query!(projects, environments);
