drop table invitations, global_roles, membership_roles, memberships, custom_roles,
    system_roles, permissions, tenant_external_refs, tenant_slug_history, tenants cascade;
