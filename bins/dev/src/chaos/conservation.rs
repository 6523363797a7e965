//! The database, held against itself: every change has its audit event, every fact its job, every event its place in the books of usage.

use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::Text};

use crate::{database::ask, failure::Failure};

/// A law, and the query for what breaks it, a line each.
struct Law {
    says: &'static str,
    breaches: &'static str,
}

const LAWS: [Law; 9] = [
    Law {
        says: "every change of a row has its one audit event, and every audit event its change",
        breaches: "
            with change (tenant_id, action, target, times) as (
                select tenant_id, 'invitation.created', id::text, 1 from invitations
                union all select tenant_id, 'invitation.revoked', id::text, 1 from invitations where status = 'revoked'
                union all select tenant_id, 'invitation.accepted', id::text, 1 from invitations where status = 'accepted'
                union all select tenant_id, 'member.removed', user_id::text, 1 from memberships where status = 'removed'
                union all select tenant_id, 'project.created', id::text, 1 from projects where not is_default
                union all select tenant_id, 'project.archived', id::text, 1 from projects where status = 'archived'
                union all select tenant_id, 'api_key.created', id::text, 1 from api_keys
                union all select tenant_id, 'api_key.revoked', id::text, 1 from api_keys where revoked_at is not null
                union all select tenant_id, 'reservation.created', id::text, 1 from quota_reservations
                union all select tenant_id, 'reservation.' || status, id::text, 1 from quota_reservations
                    where status <> 'open'
            ), told as (
                select tenant_id, action, target_id as target, count(*) as times from audit_events
                where action in ('invitation.created', 'invitation.revoked', 'invitation.accepted', 'member.removed',
                    'project.created', 'project.archived', 'api_key.created', 'api_key.revoked', 'reservation.created', 'reservation.settled', 'reservation.released')
                group by tenant_id, action, target_id
            )
            select format('%s of %s: %s changes, %s audit events', action, target, coalesce(c.times, 0), coalesce(t.times, 0))
                as line
            from change c full join told t using (tenant_id, action, target) where c.times is distinct from t.times",
    },
    Law {
        says: "what was added and not removed is there: agents, by their audit events",
        breaches: "
            with told as (
                select tenant_id, target_id as name, sum(case action when 'resource.created' then 1 else -1 end) as there
                from audit_events where action in ('resource.created', 'resource.deleted') group by tenant_id, target_id)
            select format('%s: %s by its audit events', name, there) as line
            from told left join resources r on r.tenant_id = told.tenant_id and r.external_id = told.name
            where there <> (case when r.external_id is null then 0 else 1 end)
            union all select format('%s has no audit event', external_id) from resources r
            where not exists (select from told where told.tenant_id = r.tenant_id and told.name = r.external_id)",
    },
    // Not by number: a change at the very instant of the one before replaces it in the history, and each has its audit event.
    Law {
        says: "changes of plan follow from one another in the trail, and lead to the plan in force",
        breaches: "
            with told as (
                select tenant_id, target_id, received_at, diff -> 'plan' ->> 0 as before, diff -> 'plan' ->> 1 as after,
                    lag(diff -> 'plan' ->> 1) over each as previous, lead(received_at) over each is null as is_last
                from audit_events where action = 'subscription.changed'
                window each as (partition by tenant_id, target_id order by received_at))
            select format('%s: from %s to %s, but %s was in force', target_id, before, after, coalesce(previous, plan_code)) as line
            from told join subscriptions s on s.tenant_id = told.tenant_id and s.id::text = told.target_id
            where previous <> before or is_last and after <> plan_code
            union all
            select format('%s: %s changes, %s audit events', subscription_id, changes, events)
            from (select subscription_id, count(*) - 1 as changes,
                      (select count(*) from told where target_id = c.subscription_id::text) as events
                  from subscription_changes c group by subscription_id) counted
            where changes > events",
    },
    Law {
        says: "everybody who signed up has one tenant of their own, with one subscription, and one audit event says so",
        breaches: "
            select format('%s: %s tenants, %s subscriptions, %s audit events', email, tenants, subscriptions, events) as line
            from (select u.email, count(distinct t.id) as tenants, count(distinct s.id) as subscriptions,
                      count(distinct a.id) as events
                  from users u
                  left join memberships m on m.user_id = u.id and m.invited_by is null
                  left join tenants t on t.id = m.tenant_id and t.is_personal
                  left join subscriptions s on s.tenant_id = t.id
                  left join audit_events a on a.tenant_id = t.id and a.action = 'user.registered' and a.target_id = u.id::text
                  group by u.id) people
            where (tenants, subscriptions, events) <> (1, 1, 1)",
    },
    Law {
        says: "every fact was relayed once",
        breaches: "
            select format('%s invitations, %s facts, %s jobs', invited, facts, mails) as line
            from (select (select count(*) from invitations) as invited,
                         (select count(*) from outbox where topic = 'tenancy.invitation_sent' and relayed_at is not null) as facts,
                         (select count(*) from jobs where kind = 'send_invitation_mail') as mails) counted
            where invited <> facts or facts <> mails",
    },
    Law {
        says: "every job is done, or dead with a reason",
        breaches: "
            select format('the job %s (%s) is %s: %s', id, kind, state, coalesce(last_error, 'no reason')) as line from jobs
            where state = 'cancelled' or state = 'dead' and last_error is null
                or state = 'running' and lease_until < now() - interval '5 seconds'",
    },
    Law {
        says: "no event is there twice, and buckets and what is not rolled up yet make up all events",
        breaches: "
            select format('the event %s is there %s times', min(event_id), count(*)) as line
            from usage_events group by tenant_id, dedup having count(*) > 1
            union all
            select format('tenant %s: %s by its events, %s by its buckets', tenant_id, raw, kept)
            from (select tenant_id, sum(quantity) as raw,
                         coalesce(sum(quantity) filter (where txid >= (select txid from usage_watermark)), 0)
                         + coalesce((select sum(r.sum) from usage_rollups r where r.tenant_id = e.tenant_id), 0) as kept
                  from usage_events e group by tenant_id) totals
            where raw <> kept",
    },
    Law {
        says: "closed days have a drift of 0",
        breaches: "
            select format('%s of tenant %s has a drift of %s', day, tenant_id, coalesce(drift::text, 'nobody knows')) as line
            from usage_days where closes > 0 and drift is distinct from 0",
    },
    Law {
        says: "no lease reaches beyond its time",
        breaches: "
            select format('the idempotency key %s is leased until %s', id, lease_until) as line from idempotency_keys
            where lease_until > now() + interval '16 seconds'
            union all select format('the schedule %s is leased until %s', name, lease_until) from schedules
            where lease_until > now() + interval '1 minute'",
    },
];

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// What holds, and what breaks it: each law with up to five breaches.
pub(super) async fn check(url: &str) -> Result<Vec<(&'static str, Vec<String>)>, Failure> {
    let mut checked = Vec::new();
    for law in &LAWS {
        let breaches: Vec<Line> = ask(url, |conn| sql_query(law.breaches).load(conn)).await?;
        let more = breaches.len().saturating_sub(5);
        let mut lines: Vec<String> = breaches.into_iter().take(5).map(|it| it.line).collect();
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        checked.push((law.says, lines));
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use diesel::{Connection, PgConnection, connection::SimpleConnection};
    use testkit::TestDb;

    use super::*;

    const TENANT: &str = "insert into tenants (id, slug, name) values ('00000000-0000-0000-0000-00000000000a', 'acme', 'Acme');
        insert into subscriptions (tenant_id, plan_code, plan_version, anchor_at, timezone, interval)
        select id, 'free', 1, now(), 'UTC', 'month' from tenants";

    /// What breaks each law, in their order.
    const BREACHES: [&str; LAWS.len()] = [
        "insert into projects (tenant_id, slug, name) select id, 'silent', 'Silent' from tenants",
        "insert into resources (tenant_id, kind, external_id) select id, 'agents', 'silent' from tenants",
        "insert into audit_events (tenant_id, id, created_at, action, crud, actor_type, actor_id, actor_name, target_type, target_id,
            target_name, diff)
         select tenant_id, gen_random_uuid(), now(), 'subscription.changed', 'u', 'user', 'x', 'x', 'subscription', id::text, 'Pro',
            '{\"plan\": [\"free\", \"pro\"]}' from subscriptions",
        "insert into users (id, email) values (gen_random_uuid(), 'nobody@example.com')",
        "insert into outbox (tenant_id, id, topic, occurred_at, relayed_at)
         select id, gen_random_uuid(), 'tenancy.invitation_sent', now(), now() from tenants",
        "insert into jobs (id, kind, state, finished_at) values (gen_random_uuid(), 'lost', 'cancelled', now())",
        "insert into usage_events (tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source)
         select t.id, m.id, gen_random_uuid(), gen_random_uuid(), now(), now(), 1, 'event', 'plinth'
         from tenants t, standard_meters m where m.key = 'chat';
         update usage_watermark set txid = pg_current_xact_id()::text::bigint + 100",
        "insert into usage_days (tenant_id, day, timezone, starts_at, ends_at, state, closes, drift)
         select id, current_date, 'UTC', now() - interval '1 day', now(), 'closed', 1, 1 from tenants",
        "insert into schedules (name, kind, every_ms, next_at, lease_until) values ('held', 'held', 1000, now(), now() + interval '1 hour')",
    ];

    fn broken(checked: &[(&'static str, Vec<String>)]) -> Vec<&'static str> {
        let off = checked.iter().filter(|(_, lines)| !lines.is_empty());
        off.map(|(says, _)| *says).collect()
    }

    #[tokio::test]
    async fn each_law_finds_its_breach_and_no_other_does() {
        let db = TestDb::create().await;
        let url = db.superuser_url();
        let mut conn = PgConnection::establish(&url).unwrap();
        conn.batch_execute(TENANT).unwrap();
        assert!(broken(&check(&url).await.unwrap()).is_empty());
        for (law, breach) in LAWS.iter().zip(BREACHES) {
            let before = broken(&check(&url).await.unwrap());
            conn.batch_execute(breach).unwrap();
            let after = broken(&check(&url).await.unwrap());
            assert!(!before.contains(&law.says), "{}", law.says);
            assert!(after.contains(&law.says), "{}", law.says);
            assert_eq!(after.len(), before.len() + 1, "{after:?}");
        }
    }
}
