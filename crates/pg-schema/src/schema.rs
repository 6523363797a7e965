//! The tables, written by `just schema` from a migrated database. Do not edit.

diesel::table! {
    api_keys (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        key_id -> Text,
        mode -> Text,
        scopes -> Array<Text>,
        hash_kind -> Text,
        hash -> Bytea,
        pepper_version -> Nullable<Int2>,
        project_id -> Nullable<Uuid>,
        environment_id -> Nullable<Uuid>,
        created_by -> Nullable<Uuid>,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        revoked_reason -> Nullable<Text>,
        overlap_until -> Nullable<Timestamptz>,
        rotated_from -> Nullable<Uuid>,
        last_used_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    audit_events (tenant_id, id, created_at) {
        tenant_id -> Uuid,
        id -> Uuid,
        created_at -> Timestamptz,
        received_at -> Timestamptz,
        action -> Text,
        crud -> Text,
        actor_type -> Text,
        actor_id -> Text,
        actor_name -> Text,
        target_type -> Text,
        target_id -> Text,
        target_name -> Text,
        description -> Nullable<Text>,
        project_id -> Nullable<Uuid>,
        product -> Nullable<Text>,
        component -> Nullable<Text>,
        version -> Nullable<Text>,
        external_id -> Nullable<Text>,
        fields -> Jsonb,
        diff -> Nullable<Jsonb>,
        is_failure -> Bool,
        is_anonymous -> Bool,
        source_ip -> Nullable<Inet>,
        user_agent -> Nullable<Text>,
        request_id -> Nullable<Text>,
        source -> Text,
    }
}

diesel::table! {
    custom_roles (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        scope -> Text,
        permissions -> Array<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    environments (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        project_id -> Uuid,
        name -> Text,
        kind -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    global_roles (user_id, role_key) {
        user_id -> Uuid,
        role_key -> Text,
        granted_at -> Timestamptz,
    }
}

diesel::table! {
    idempotency_keys (id) {
        id -> Uuid,
        principal_id -> Uuid,
        key -> Text,
        fingerprint -> Bytea,
        lease_until -> Timestamptz,
        committed_at -> Nullable<Timestamptz>,
        response_status -> Nullable<Int2>,
        response_headers -> Nullable<Jsonb>,
        response_body -> Nullable<Bytea>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    invitations (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        email -> Text,
        role_key -> Text,
        status -> Text,
        token_hash -> Bytea,
        invited_by -> Nullable<Uuid>,
        sends -> Int4,
        expires_at -> Timestamptz,
        accepted_by -> Nullable<Uuid>,
        resolved_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    membership_roles (tenant_id, user_id, role_key) {
        tenant_id -> Uuid,
        user_id -> Uuid,
        role_key -> Text,
    }
}

diesel::table! {
    memberships (tenant_id, user_id) {
        tenant_id -> Uuid,
        user_id -> Uuid,
        status -> Text,
        invited_by -> Nullable<Uuid>,
        joined_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    permissions (code) {
        code -> Text,
        description -> Text,
    }
}

diesel::table! {
    projects (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        slug -> Text,
        name -> Text,
        is_default -> Bool,
        status -> Text,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        family_digest -> Bytea,
        turn_digest -> Bytea,
        created_at -> Timestamptz,
        refreshed_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revoked_reason -> Nullable<Text>,
    }
}

diesel::table! {
    superseded_invitation_tokens (tenant_id, token_hash) {
        tenant_id -> Uuid,
        token_hash -> Bytea,
        invitation_id -> Uuid,
        superseded_at -> Timestamptz,
    }
}

diesel::table! {
    system_roles (key) {
        key -> Text,
        name -> Text,
        scope -> Text,
        permissions -> Array<Text>,
    }
}

diesel::table! {
    tenant_external_refs (tenant_id, kind, external_id) {
        tenant_id -> Uuid,
        kind -> Text,
        external_id -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    tenant_slug_history (tenant_id, slug) {
        tenant_id -> Uuid,
        slug -> Text,
        released_at -> Timestamptz,
    }
}

diesel::table! {
    tenants (id) {
        id -> Uuid,
        slug -> Text,
        name -> Text,
        status -> Text,
        status_reason -> Nullable<Text>,
        status_changed_at -> Timestamptz,
        kind -> Text,
        plan_code -> Text,
        is_personal -> Bool,
        timezone -> Text,
        trial_ends_at -> Nullable<Timestamptz>,
        settings -> Jsonb,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    user_credentials (user_id) {
        user_id -> Uuid,
        password_hash -> Text,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    user_identities (issuer, subject) {
        issuer -> Text,
        subject -> Text,
        user_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        email_verified -> Bool,
        name -> Nullable<Text>,
        status -> Text,
        last_tenant_id -> Nullable<Uuid>,
        legacy_id -> Nullable<Int8>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
