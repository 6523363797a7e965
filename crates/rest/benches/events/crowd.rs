//! Many small customers: each with a key of its own, all of them copies of the first.

use std::fmt::Write as _;

use identity::{KeyHash, KeyMode, KeyText, Pepper, Peppers};

use crate::stage::{Database, PEPPER};

/// Makes so many customers, who may write usage; gives their keys.
pub(crate) fn make(database: &Database, customers: usize) -> Vec<String> {
    let pepper = Pepper {
        version: 1,
        key: PEPPER.as_bytes().to_vec().into(),
    };
    let peppers = Peppers::new(vec![pepper]).unwrap();
    let mut rows = String::new();
    let keys = (0..customers).map(|_| {
        let key = KeyText::generate(KeyMode::Live);
        let KeyHash::Hmac { code, .. } = peppers.hash(&key) else {
            panic!("keys are kept by their code");
        };
        let separator = if rows.is_empty() { "" } else { "," };
        let code = base16ct::lower::encode_string(code.as_bytes());
        let _infallible = write!(rows, "{separator}('{}','\\x{code}'::bytea)", key.key_id());
        key.reveal().to_owned()
    });
    let keys = keys.collect();
    database.administer(&[
        &format!("create temp table crowd as select gen_random_uuid() as id, * from (values {rows}) as v (key_id, hash)"),
        "insert into tenants (id, slug, name, status, status_changed_at, kind, plan_code, is_personal, timezone, settings, version, created_at, updated_at)
            select c.id, 'c-' || replace(c.id::text, '-', ''), 'Crowd', t.status, now(), t.kind, t.plan_code, false, t.timezone, t.settings, 1, now(), now()
            from crowd c cross join (select * from tenants limit 1) t",
        "insert into memberships (tenant_id, user_id, status, joined_at, updated_at)
            select c.id, u.id, 'active', now(), now() from crowd c cross join (select id from users limit 1) u",
        "insert into membership_roles (tenant_id, user_id, role_key)
            select c.id, m.user_id, m.role_key from crowd c cross join membership_roles m
            where m.tenant_id not in (select id from crowd)",
        "insert into api_keys (tenant_id, id, name, key_id, mode, scopes, hash_kind, hash, pepper_version, created_by, created_at)
            select c.id, gen_random_uuid(), 'crowd', c.key_id, 'live', '{usage.write}', 'hmac', c.hash, 1, u.id, now()
            from crowd c cross join (select id from users limit 1) u",
        "analyze",
    ]);
    keys
}
