drop table tenant_entitlement_overrides, plan_entitlements, prices, plan_aliases;
alter table plans drop constraint plans_code_current_version_fkey;
drop table plan_versions, plans;
