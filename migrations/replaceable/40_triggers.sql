-- `updated_at` follows every change, and a tenant never loses its last owner.
create or replace trigger tenants_touch before update on tenants for each row execute function app.touch_updated_at();
create or replace trigger users_touch before update on users for each row execute function app.touch_updated_at();
create or replace trigger memberships_touch before update on memberships for each row execute function app.touch_updated_at();
create or replace trigger projects_touch before update on projects for each row execute function app.touch_updated_at();

-- Constraint triggers cannot be replaced, only made once.
drop trigger if exists memberships_last_owner on memberships;
create constraint trigger memberships_last_owner after update or delete on memberships
    deferrable initially deferred for each row execute function app.check_last_owner();
drop trigger if exists membership_roles_last_owner on membership_roles;
create constraint trigger membership_roles_last_owner after update or delete on membership_roles
    deferrable initially deferred for each row execute function app.check_last_owner();
