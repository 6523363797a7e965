-- Rows of one tenant in every table that has tenants. {tenant} and {person} are ids, {name} is a letter.
insert into users (id, email) values ('{person}', '{name}@example.com');
insert into tenants (id, slug, name, status) values ('{tenant}', 'tenant-{name}', 'Tenant {name}', 'active');
insert into tenant_slug_history (tenant_id, slug) values ('{tenant}', 'before-{name}');
insert into tenant_external_refs (tenant_id, kind, external_id) values ('{tenant}', 'clerk', 'org_{name}');
insert into tenant_entitlement_overrides (tenant_id, key, kind, maximum) values ('{tenant}', 'max_members', 'limit', 7);
insert into custom_roles (tenant_id, key, name, permissions) values ('{tenant}', 'reader', 'Reader', '{project.read}');
insert into memberships (tenant_id, user_id) values ('{tenant}', '{person}');
insert into membership_roles (tenant_id, user_id, role_key) values ('{tenant}', '{person}', 'owner'), ('{tenant}', '{person}', 'reader');
insert into invitations (tenant_id, email, role_key, expires_at) values ('{tenant}', 'guest-{name}@example.com', 'member', now() + interval '1 day');

insert into projects (tenant_id, id, slug, name) values ('{tenant}', '{tenant}', 'project', 'Project');
insert into environments (tenant_id, id, project_id, name, kind) values ('{tenant}', '{tenant}', '{tenant}', 'dev', 'dev');
insert into api_keys (tenant_id, id, name, key_id, mode, scopes, hash, pepper_version, project_id, environment_id, created_by)
    values ('{tenant}', '{tenant}', 'Key', repeat('{name}', 16), 'live', '{*}', decode(repeat('00', 32), 'hex'), 1, '{tenant}', '{tenant}', '{person}');

insert into meters (tenant_id, id, key, name, aggregation, unit) values ('{tenant}', '{tenant}', 'pages', 'Pages', 'sum', 'page');
insert into usage_events (tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source)
    values ('{tenant}', '{tenant}', gen_random_uuid(), gen_random_uuid(), now(), now(), 1, 'event', 'test');
insert into usage_rollups (tenant_id, meter_id, bucket, project_id, user_id, model, sum, count, min, max, first_at, last_at)
    values ('{tenant}', '{tenant}', '2026-01-01 00:00Z', '{tenant}', '', '', 1, 1, 1, 1, now(), now());
insert into usage_days (tenant_id, day, timezone, starts_at, ends_at) values ('{tenant}', '2026-01-01', 'UTC', '2026-01-01 00:00Z', '2026-01-02 00:00Z');
insert into usage_daily (tenant_id, meter_id, day, quantity, sum, count, min, max) values ('{tenant}', '{tenant}', '2026-01-01', 1, 1, 1, 1, 1);

insert into subscriptions (tenant_id, id, plan_code, plan_version, anchor_at, timezone, interval)
    values ('{tenant}', '{tenant}', 'free', 1, now(), 'UTC', 'month');
insert into subscription_changes (tenant_id, subscription_id, effective_at, plan_code, plan_version) values ('{tenant}', '{tenant}', now(), 'free', 1);
insert into resources (tenant_id, kind, external_id) values ('{tenant}', 'agent', 'one');
insert into quota_reservations (tenant_id, key, quantity, expires_at) values ('{tenant}', 'tasks_per_month', 1, now() + interval '1 day');
insert into invoices (tenant_id, id, subscription_id, status, currency, period_start, period_end, subtotal, total)
    values ('{tenant}', '{tenant}', '{tenant}', 'draft', 'USD', now(), now() + interval '1 month', 0, 0);
insert into invoice_lines (tenant_id, invoice_id, position, description, plan_code, plan_version, starts_at, ends_at, quantity, unit_price, amount)
    values ('{tenant}', '{tenant}', 1, 'Free', 'free', 1, now(), now(), 1, 0, 0);

insert into audit_events (tenant_id, id, created_at, action, crud, actor_type, actor_id, actor_name, target_type, target_id, target_name)
    values ('{tenant}', '{tenant}', now(), 'note.made', 'c', 'user', '{person}', '{name}', 'note', 'n', 'Note'),
           ('{tenant}', '{tenant}', '2001-01-01 00:00Z', 'note.made', 'c', 'user', '{person}', '{name}', 'note', 'n', 'Note');
insert into outbox (tenant_id, id, topic, occurred_at) values ('{tenant}', '{tenant}', 'note.made', now());
insert into jobs (id, tenant_id, kind) values ('{tenant}', '{tenant}', 'note');
