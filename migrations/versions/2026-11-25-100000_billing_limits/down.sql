drop table quota_watch, entitlement_graces, entitlement_thresholds;
alter table tenant_entitlement_overrides
    drop column cycle, drop column enforcement, drop column grace_percent, drop column grace_seconds;
alter table plan_entitlements
    drop column cycle, drop column enforcement, drop column grace_percent, drop column grace_seconds;
