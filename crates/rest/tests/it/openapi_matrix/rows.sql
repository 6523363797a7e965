-- What no route makes yet, for a tenant that the routes have made. {tenant}, {person} and {project} are ids, {name} is the tenant's own word.
insert into tenant_external_refs (tenant_id, kind, external_id) values ('{tenant}', 'clerk', 'org_{name}');
insert into tenant_entitlement_overrides (tenant_id, key, kind, maximum) values ('{tenant}', 'max_{name}', 'limit', 7);
insert into entitlement_thresholds (tenant_id, key, period_start, maximum, threshold, used, reached_at)
    values ('{tenant}', 'max_{name}', '2026-01-01 00:00Z', 7, 80, 6, '2026-01-01 00:00Z');
insert into entitlement_graces (tenant_id, key, started_at) values ('{tenant}', 'max_{name}', '2026-01-01 00:00Z');
insert into user_identities (issuer, subject, user_id) values ('https://idp.example.com', 'subject-of-{name}', '{person}');
insert into custom_roles (tenant_id, key, name, permissions) values ('{tenant}', 'role_of_{name}', 'Role of {name}', '{}');
insert into usage_rollups (tenant_id, meter_id, bucket, project_id, user_id, model, sum, count, min, max, first_at, last_at)
    select tenant_id, id, '2026-01-01 00:00Z', '{project}', 'user-of-{name}', 'model-of-{name}', 1, 1, 1, 1, '2026-01-01 00:00Z', '2026-01-01 00:00Z'
    from meters where tenant_id = '{tenant}';
insert into usage_days (tenant_id, day, timezone, starts_at, ends_at) values ('{tenant}', '2026-01-01', 'UTC', '2026-01-01 00:00Z', '2026-01-02 00:00Z');
insert into usage_daily (tenant_id, meter_id, day, quantity, sum, count, min, max)
    select tenant_id, id, '2026-01-01', 1, 1, 1, 1, 1 from meters where tenant_id = '{tenant}';
insert into usage_import_totals (tenant_id, import_id, metric, outcome, events, quantity)
    values ('{tenant}', gen_random_uuid(), 'metric-of-{name}', 'accepted', 1, 1);
insert into invoices (tenant_id, subscription_id, number, status, currency, period_start, period_end, subtotal, total)
    select tenant_id, id, 'number-of-{name}', 'open', 'USD', '2026-01-01 00:00Z', '2026-02-01 00:00Z', 900, 900 from subscriptions where tenant_id = '{tenant}';
insert into invoice_lines (tenant_id, invoice_id, position, description, plan_code, plan_version, starts_at, ends_at, quantity, unit_price, amount)
    select tenant_id, id, 1, 'Line of {name}', 'pro', 1, period_start, period_end, 1, 9, 900 from invoices where tenant_id = '{tenant}';
insert into jobs (id, tenant_id, kind) values (gen_random_uuid(), '{tenant}', 'probe');
