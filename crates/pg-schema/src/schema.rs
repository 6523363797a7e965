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
    entitlement_graces (tenant_id, key) {
        tenant_id -> Uuid,
        key -> Text,
        period_start -> Nullable<Timestamptz>,
        started_at -> Timestamptz,
    }
}

diesel::table! {
    entitlement_thresholds (tenant_id, key, period_start, maximum, threshold) {
        tenant_id -> Uuid,
        key -> Text,
        period_start -> Timestamptz,
        maximum -> Int8,
        threshold -> Int2,
        used -> Int8,
        reached_at -> Timestamptz,
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
        invited_by -> Nullable<Uuid>,
        sends -> Int4,
        expires_at -> Timestamptz,
        accepted_by -> Nullable<Uuid>,
        resolved_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    invoice_lines (tenant_id, invoice_id, position) {
        tenant_id -> Uuid,
        invoice_id -> Uuid,
        position -> Int4,
        description -> Text,
        metric -> Nullable<Text>,
        plan_code -> Text,
        plan_version -> Int4,
        starts_at -> Timestamptz,
        ends_at -> Timestamptz,
        quantity -> Numeric,
        unit_price -> Numeric,
        tiers -> Jsonb,
        amount -> Int8,
        watermark -> Nullable<Text>,
    }
}

diesel::table! {
    invoices (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        subscription_id -> Uuid,
        number -> Nullable<Text>,
        status -> Text,
        currency -> Text,
        period_start -> Timestamptz,
        period_end -> Timestamptz,
        subtotal -> Int8,
        discount_total -> Int8,
        tax_total -> Int8,
        total -> Int8,
        watermark -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    jobs (id) {
        id -> Uuid,
        tenant_id -> Nullable<Uuid>,
        kind -> Text,
        queue -> Text,
        priority -> Int2,
        state -> Text,
        run_at -> Timestamptz,
        attempt -> Int2,
        max_attempts -> Int2,
        lease_until -> Nullable<Timestamptz>,
        lease_no -> Int8,
        payload -> Jsonb,
        dedupe_key -> Nullable<Text>,
        last_error -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
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
    meter_versions (tenant_id, meter_id, version) {
        tenant_id -> Uuid,
        meter_id -> Uuid,
        version -> Int8,
        name -> Text,
        dimensions -> Array<Text>,
        value_field -> Nullable<Text>,
        allows_negative -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    meters (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        aggregation -> Text,
        unit -> Text,
        dimensions -> Array<Text>,
        value_field -> Nullable<Text>,
        allows_negative -> Bool,
        created_at -> Timestamptz,
        version -> Int8,
    }
}

diesel::table! {
    outbox (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        topic -> Text,
        key -> Nullable<Text>,
        payload -> Jsonb,
        occurred_at -> Timestamptz,
        relayed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    permissions (code) {
        code -> Text,
        description -> Text,
    }
}

diesel::table! {
    plan_aliases (alias) {
        alias -> Text,
        plan_code -> Text,
    }
}

diesel::table! {
    plan_entitlements (plan_code, plan_version, key) {
        plan_code -> Text,
        plan_version -> Int4,
        key -> Text,
        kind -> Text,
        maximum -> Nullable<Int8>,
        metric -> Nullable<Text>,
        value -> Nullable<Jsonb>,
        cycle -> Text,
        enforcement -> Text,
        grace_percent -> Nullable<Int4>,
        grace_seconds -> Nullable<Int8>,
    }
}

diesel::table! {
    plan_versions (plan_code, version) {
        plan_code -> Text,
        version -> Int4,
        catalogue -> Text,
        name -> Text,
        amount -> Int8,
        currency -> Text,
        interval -> Text,
        published_at -> Timestamptz,
    }
}

diesel::table! {
    plans (code) {
        code -> Text,
        current_version -> Nullable<Int4>,
        position -> Int4,
    }
}

diesel::table! {
    prices (plan_code, plan_version, metric) {
        plan_code -> Text,
        plan_version -> Int4,
        metric -> Text,
        model -> Text,
        unit_amount -> Nullable<Numeric>,
        package_size -> Nullable<Numeric>,
        tiers -> Nullable<Jsonb>,
        free_units -> Numeric,
        minimum_amount -> Nullable<Int8>,
        maximum_amount -> Nullable<Int8>,
        position -> Int4,
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
    quota_reservations (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        quantity -> Int8,
        status -> Text,
        settled_quantity -> Nullable<Int8>,
        expires_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    quota_watch (only_row) {
        only_row -> Bool,
        txid -> Int8,
    }
}

diesel::table! {
    resources (tenant_id, kind, external_id) {
        tenant_id -> Uuid,
        kind -> Text,
        external_id -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    schedules (name) {
        name -> Text,
        kind -> Text,
        runs -> Text,
        cron -> Nullable<Text>,
        every_ms -> Nullable<Int8>,
        zone -> Text,
        enabled -> Bool,
        next_at -> Timestamptz,
        last_run_at -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
        lease_until -> Nullable<Timestamptz>,
        lease_no -> Int8,
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
    standard_meters (id) {
        id -> Uuid,
        key -> Text,
        name -> Text,
        aggregation -> Text,
        unit -> Text,
        dimensions -> Array<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    subscription_changes (tenant_id, subscription_id, effective_at) {
        tenant_id -> Uuid,
        subscription_id -> Uuid,
        effective_at -> Timestamptz,
        plan_code -> Text,
        plan_version -> Int4,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    subscriptions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        status -> Text,
        plan_code -> Text,
        plan_version -> Int4,
        pending_plan_code -> Nullable<Text>,
        pending_plan_version -> Nullable<Int4>,
        pending_at -> Nullable<Timestamptz>,
        anchor_at -> Timestamptz,
        timezone -> Text,
        interval -> Text,
        cancel_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
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
    tenant_entitlement_overrides (tenant_id, key) {
        tenant_id -> Uuid,
        key -> Text,
        kind -> Text,
        maximum -> Nullable<Int8>,
        metric -> Nullable<Text>,
        value -> Nullable<Jsonb>,
        reason -> Nullable<Text>,
        expires_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        cycle -> Text,
        enforcement -> Text,
        grace_percent -> Nullable<Int4>,
        grace_seconds -> Nullable<Int8>,
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
    usage_daily (tenant_id, meter_id, day) {
        tenant_id -> Uuid,
        meter_id -> Uuid,
        day -> Date,
        quantity -> Numeric,
        sum -> Numeric,
        count -> Int8,
        min -> Numeric,
        max -> Numeric,
    }
}

diesel::table! {
    usage_days (tenant_id, day) {
        tenant_id -> Uuid,
        day -> Date,
        timezone -> Text,
        starts_at -> Timestamptz,
        ends_at -> Timestamptz,
        state -> Text,
        closes -> Int4,
        closed_at -> Nullable<Timestamptz>,
        drift -> Nullable<Numeric>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    usage_dropped_partitions (name) {
        name -> Text,
        starts_at -> Timestamptz,
        ends_at -> Timestamptz,
        events -> Int8,
        first_at -> Nullable<Timestamptz>,
        last_at -> Nullable<Timestamptz>,
        exported -> Bool,
        dropped_at -> Timestamptz,
    }
}

diesel::table! {
    usage_events (tenant_id) {
        tenant_id -> Uuid,
        meter_id -> Uuid,
        dedup -> Uuid,
        payload_hash -> Uuid,
        occurred_at -> Timestamptz,
        received_at -> Timestamptz,
        txid -> Int8,
        project_id -> Nullable<Uuid>,
        quantity -> Numeric,
        event_id -> Text,
        source -> Text,
        user_id -> Nullable<Text>,
        model -> Nullable<Text>,
        metadata -> Nullable<Jsonb>,
        dims -> Nullable<Text>,
        value_hash -> Nullable<Uuid>,
    }
}

diesel::table! {
    usage_import_totals (tenant_id, import_id, metric, outcome) {
        tenant_id -> Uuid,
        import_id -> Uuid,
        metric -> Text,
        outcome -> Text,
        events -> Int8,
        quantity -> Numeric,
    }
}

diesel::table! {
    usage_imports (principal_id) {
        principal_id -> Uuid,
        source -> Text,
        table_name -> Text,
        mapping -> Text,
        rows_done -> Int8,
        digest -> Text,
        unassigned -> Int8,
        started_at -> Timestamptz,
        moved_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    usage_rollups (tenant_id, meter_id, bucket, project_id, user_id, model, dims, value_hash) {
        tenant_id -> Uuid,
        meter_id -> Uuid,
        bucket -> Timestamptz,
        project_id -> Uuid,
        user_id -> Text,
        model -> Text,
        sum -> Numeric,
        count -> Int8,
        min -> Numeric,
        max -> Numeric,
        first_at -> Timestamptz,
        last_at -> Timestamptz,
        last_value -> Nullable<Numeric>,
        last_received_at -> Nullable<Timestamptz>,
        last_dedup -> Nullable<Uuid>,
        dims -> Text,
        value_hash -> Uuid,
    }
}

diesel::table! {
    usage_watermark (only_row) {
        only_row -> Bool,
        txid -> Int8,
        moved_at -> Timestamptz,
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
