//! Limits, reservations, plan changes and the upcoming invoice, on a real database.

use std::sync::{Arc, Mutex};

use billing::{
    Billing, ExternalId, Order, Put, ResourceKind, Store, When, Wish,
    plan_change::ChangePlanError,
    reservation::{FinishError, ReserveError},
    resource::PutResourceError,
    subscription::{self, SubscribeError, Subscription},
};
use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query};
use kernel::{Clock, PageRequest, Principal, Scope, TenantId, UnitOfWork};
use pg::{Pg, Settings};
use testkit::TestDb;
use time::{Duration, OffsetDateTime, macros::datetime};

const START: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const FIFTEENTH: OffsetDateTime = datetime!(2026-01-15 0:00 UTC);

struct HandClock(Mutex<OffsetDateTime>);

impl Clock for HandClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

struct World {
    db: TestDb,
    uow: Arc<dyn UnitOfWork<dyn Store>>,
    clock: Arc<HandClock>,
    billing: Billing,
}

#[derive(diesel::QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

impl World {
    async fn new() -> Self {
        Self::with_connections(2).await
    }

    /// For tests in which many callers must really meet in the database.
    async fn crowded() -> Self {
        Self::with_connections(16).await
    }

    async fn with_connections(max_connections: usize) -> Self {
        let db = TestDb::create().await;
        let statement_timeout = std::time::Duration::from_secs(10);
        let settings = Settings {
            url: db.app_url(),
            max_connections,
            statement_timeout,
            prepared_statements: true,
        };
        let uow = Pg::connect(&settings)
            .unwrap()
            .unit_of_work::<dyn Store>(|tx| tx);
        let clock = Arc::new(HandClock(Mutex::new(START)));
        let billing = Billing::new(uow.clone(), clock.clone());
        Self {
            db,
            uow,
            clock,
            billing,
        }
    }

    fn set_clock(&self, now: OffsetDateTime) {
        *self.clock.0.lock().unwrap() = now;
    }

    fn sql(&self, statements: &str) {
        let mut conn = PgConnection::establish(&self.db.superuser_url()).unwrap();
        conn.batch_execute(statements).unwrap();
    }

    fn text(&self, query: &str) -> String {
        let mut conn = PgConnection::establish(&self.db.superuser_url()).unwrap();
        sql_query(query).get_result::<Text>(&mut conn).unwrap().text
    }

    async fn subscribe(
        &self,
        tenant: TenantId,
        plan: &'static str,
    ) -> Result<Subscription, SubscribeError> {
        let now = self.clock.now();
        self.uow
            .run(Scope::tenant(tenant), move |store| {
                let by = Principal::system("test", Some(tenant));
                subscription::subscribe(store, tenant, plan, &by, now)
            })
            .await
    }

    /// A tenant on a plan, and a principal that may do everything in it.
    async fn tenant(&self, slug: &str, plan: &'static str) -> Principal {
        let id = TenantId::new(START);
        self.sql(&format!(
            "insert into tenants (id, slug, name) values ('{id}', '{slug}', '{slug}')"
        ));
        self.subscribe(id, plan).await.unwrap();
        Principal::system("test", Some(id))
    }

    async fn put(&self, by: &Principal, name: &str) -> Result<Put, PutResourceError> {
        let kind = ResourceKind::parse("agents").unwrap();
        self.billing
            .put_resource(by, kind, ExternalId::parse(name).unwrap())
            .await
    }

    async fn order(&self, by: &Principal, plan: &str, when: When) -> billing::Outlook {
        self.billing
            .change(
                by,
                Order {
                    plan: plan.to_owned(),
                    when,
                },
            )
            .await
            .unwrap()
    }

    async fn used(&self, by: &Principal, key: &str) -> (i64, i64) {
        let all = self.billing.entitlements(by).await.unwrap();
        let one = all
            .entitlements
            .into_iter()
            .find(|one| one.grant.key == key)
            .unwrap();
        (one.used, one.grant.maximum.unwrap_or(-1))
    }

    fn events(&self, by: &Principal, metric: &str, quantity: u32, at: OffsetDateTime) {
        let tenant = by.tenant_id().unwrap();
        self.sql(&format!(
            "insert into usage_events (tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source)
             select '{tenant}', id, gen_random_uuid(), gen_random_uuid(), '{at}', now(), {quantity}, 'e', 'test'
             from standard_meters where key = '{metric}'"
        ));
    }
}

fn wish(key: &str, quantity: i64) -> Wish {
    Wish {
        key: key.to_owned(),
        quantity,
        ttl_seconds: 60,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_one_live_subscription_and_a_copy_of_its_plan() {
    let world = World::new().await;
    let by = world.tenant("acme", "hobby").await;
    let tenant = by.tenant_id().unwrap();
    let again = world.subscribe(tenant, "free").await.unwrap_err();
    assert!(
        matches!(again, SubscribeError::AlreadySubscribed),
        "{again}"
    );
    let plan = format!("select plan_code as text from tenants where id = '{tenant}'");
    assert_eq!(world.text(&plan), "starter");
    world.order(&by, "business", When::Now).await;
    assert_eq!(world.text(&plan), "pro");
    let audit = "select string_agg(action, ' ' order by action) as text from audit_events";
    assert_eq!(
        world.text(audit),
        "subscription.changed subscription.created"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_takers_never_get_one_too_many() {
    let world = Arc::new(World::crowded().await);
    let by = world.tenant("acme", "free").await;
    let takers: Vec<_> = (0..64)
        .map(|number| {
            let (world, by) = (Arc::clone(&world), by.clone());
            tokio::spawn(async move { world.put(&by, &format!("agent-{number}")).await })
        })
        .collect();
    let (mut created, mut refused) = (0, 0);
    for taker in takers {
        match taker.await.unwrap() {
            Ok(Put::Created { .. }) => created += 1,
            Err(PutResourceError::Limit(limit)) => {
                assert_eq!(
                    (limit.limit.as_str(), limit.max, limit.used),
                    ("max_agents", 10, 10)
                );
                refused += 1;
            }
            Ok(Put::Unchanged(_)) | Err(_) => {}
        }
    }
    assert_eq!((created, refused), (10, 54));
    assert_eq!(world.used(&by, "max_agents").await, (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_is_one_thing_however_often_and_at_once_it_is_put() {
    let world = Arc::new(World::crowded().await);
    let by = world.tenant("acme", "free").await;
    let takers: Vec<_> = (0..32)
        .map(|_| {
            let (world, by) = (Arc::clone(&world), by.clone());
            tokio::spawn(async move { world.put(&by, "agent").await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for taker in takers {
        created += usize::from(matches!(taker.await.unwrap(), Put::Created { .. }));
    }
    assert_eq!((created, world.used(&by, "max_agents").await.0), (1, 1));
    let kind = || ResourceKind::parse("agents").unwrap();
    let agent = || ExternalId::parse("agent").unwrap();
    world
        .billing
        .remove_resource(&by, kind(), agent())
        .await
        .unwrap();
    assert!(
        world
            .billing
            .remove_resource(&by, kind(), agent())
            .await
            .is_err()
    );
    assert!(
        world
            .billing
            .resources(&by, kind(), PageRequest::first())
            .await
            .unwrap()
            .data
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlimited_plan_blocks_nobody_and_an_unknown_kind_everybody() {
    let world = World::new().await;
    let by = world.tenant("acme", "enterprise").await;
    for number in 0..12 {
        world.put(&by, &number.to_string()).await.unwrap();
    }
    world
        .billing
        .reserve(&by, wish("max_concurrent_workflows", 1_000_000))
        .await
        .unwrap();
    assert_eq!(world.used(&by, "max_agents").await, (12, -1));
    let widgets = ResourceKind::parse("widgets").unwrap();
    let refused = world
        .billing
        .put_resource(&by, widgets, ExternalId::parse("w").unwrap())
        .await;
    assert!(matches!(refused, Err(PutResourceError::Limit(limit)) if limit.max == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downgrade_keeps_what_is_there_and_admits_no_more() {
    let world = World::new().await;
    let by = world.tenant("acme", "starter").await;
    for number in 0..12 {
        world.put(&by, &number.to_string()).await.unwrap();
    }
    let preview = Order {
        plan: "free".to_owned(),
        when: When::Now,
    };
    let preview = world.billing.preview(&by, preview).await.unwrap();
    assert_eq!(preview.current.plan.code, "starter");
    let outlook = world.order(&by, "free", When::Now).await;
    assert_eq!(outlook.over_limit, preview.over_limit);
    let over = &outlook.over_limit[0];
    assert_eq!(
        (over.grant.key.as_str(), over.grant.maximum, over.used),
        ("max_agents", Some(10), 12)
    );
    assert!(matches!(
        world.put(&by, "more").await,
        Err(PutResourceError::Limit(_))
    ));
    assert!(matches!(world.put(&by, "3").await, Ok(Put::Unchanged(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_for_later_is_in_force_when_it_is_due() {
    let world = World::new().await;
    let by = world.tenant("acme", "pro").await;
    let tenant = by.tenant_id().unwrap();
    let outlook = world.order(&by, "free", When::PeriodEnd).await;
    assert_eq!(
        (outlook.proration.net(), outlook.effective_at),
        (0, datetime!(2026-02-01 0:00 UTC))
    );
    assert_eq!(
        world.billing.subscription(&by).await.unwrap().plan.code,
        "pro"
    );

    world.set_clock(datetime!(2026-02-01 0:00 UTC));
    assert_eq!(
        world.billing.subscription(&by).await.unwrap().plan.code,
        "free"
    );
    assert_eq!(world.used(&by, "max_agents").await, (0, 10));
    assert_eq!(world.billing.upcoming(&by).await.unwrap().totals.total, 0);
    let moved = "select app.apply_due_plan_changes('2026-02-01 00:00Z')::text as text";
    assert_eq!(
        (world.text(moved), world.text(moved)),
        ("1".to_owned(), "0".to_owned())
    );
    let plan = format!("select plan_code as text from tenants where id = '{tenant}'");
    assert_eq!(world.text(&plan), "free");
    assert_eq!(world.billing.upcoming(&by).await.unwrap().totals.total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_ends_with_the_plan_of_the_subscription_whatever_clocks_say() {
    let world = World::crowded().await;
    let by = world.tenant("acme", "free").await;
    let order = |plan: &'static str, hours: i64| {
        let clock = HandClock(Mutex::new(START + Duration::hours(hours)));
        let billing = Billing::new(world.uow.clone(), Arc::new(clock));
        let (by, plan) = (by.clone(), plan.to_owned());
        async move {
            let when = When::Now;
            billing.change(&by, Order { plan, when }).await.unwrap()
        }
    };
    let last =
        "select plan_code as text from subscription_changes order by effective_at desc limit 1";
    let plan = "select plan_code as text from subscriptions";
    // Sixteen machines whose clocks are hours apart, at once.
    let plans = ["starter", "pro", "enterprise", "free"];
    let at_once =
        (0..16).map(|n: i64| tokio::spawn(order(plans[usize::try_from(n).unwrap() % 4], 16 - n)));
    for one in at_once.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    assert_eq!(world.text(last), world.text(plan));
    // And one whose clock is behind even the first day.
    for next in ["starter", "pro"] {
        order(next, -1).await;
        assert_eq!(
            (world.text(last), world.text(plan)),
            (next.into(), next.into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_the_move_of_due_plans_take_turns() {
    let world = World::new().await;
    let by = world.tenant("acme", "pro").await;
    world.order(&by, "free", When::PeriodEnd).await;
    let tenant = by.tenant_id().unwrap();
    let moved = "select app.apply_due_plan_changes('2026-02-01 00:00Z')::text as text";
    let meanwhile = world.uow.run(Scope::tenant(tenant), {
        let superuser = world.db.superuser_url();
        move |store| {
            store.lock_tenant(tenant)?;
            let mut conn = PgConnection::establish(&superuser).unwrap();
            conn.batch_execute("set lock_timeout = '2s'").unwrap();
            let row: Text = sql_query(moved).get_result(&mut conn).unwrap();
            Ok::<_, kernel::StoreError>(row.text)
        }
    });
    assert_eq!(meanwhile.await.unwrap(), "0", "left for the next time");
    assert_eq!(world.text(moved), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn ordering_the_plan_one_has_takes_back_an_order_for_later() {
    let world = World::new().await;
    let by = world.tenant("acme", "pro").await;
    world.order(&by, "free", When::PeriodEnd).await;
    let outlook = world.order(&by, "pro", When::PeriodEnd).await;
    assert_eq!(outlook.current.subscription.pending, None);
    world.set_clock(datetime!(2026-02-02 0:00 UTC));
    assert_eq!(
        world.billing.subscription(&by).await.unwrap().plan.code,
        "pro"
    );
    let unknown = world
        .billing
        .change(
            &by,
            Order {
                plan: "gold".into(),
                when: When::Now,
            },
        )
        .await;
    assert!(
        matches!(unknown, Err(ChangePlanError::Invalid(error)) if error.code == "unknown_plan")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upcoming_invoice_prorates_and_rates() {
    let world = World::new().await;
    let by = world.tenant("acme", "starter").await;
    world.events(&by, "tool_call", 1500, datetime!(2026-01-02 0:00 UTC));
    world.events(&by, "tool_call", 999, datetime!(2025-12-31 23:59 UTC));
    world.set_clock(FIFTEENTH);
    let outlook = world.order(&by, "pro", When::Now).await;
    assert_eq!(
        (
            outlook.proration.credit.amount,
            outlook.proration.charge.amount
        ),
        (1590, 5429)
    );
    world.events(
        &by,
        "llm_tokens_input",
        1_000_001,
        datetime!(2026-01-20 0:00 UTC),
    );

    let invoice = world.billing.upcoming(&by).await.unwrap();
    let lines: Vec<_> = invoice
        .lines
        .iter()
        .map(|line| (line.plan.code.as_str(), line.metric.as_deref(), line.amount))
        .collect();
    let expected = [
        ("starter", None, 1310),
        ("pro", None, 5429),
        ("starter", Some("tool_call"), 50),
        ("pro", Some("llm_tokens_input"), 100),
    ];
    assert_eq!(lines, expected);
    assert_eq!(invoice.totals.total, 1310 + 5429 + 50 + 100);
    let bytes = |invoice| serde_json::to_string(&invoice).unwrap();
    let mut again = world.billing.upcoming(&by).await.unwrap();
    again.watermark.clone_from(&invoice.watermark);
    for (line, before) in again.lines.iter_mut().zip(&invoice.lines) {
        line.watermark.clone_from(&before.watermark);
    }
    assert_eq!(bytes(again), bytes(invoice));
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_count_usage_and_what_is_held() {
    let world = World::new().await;
    let by = world.tenant("acme", "free").await;
    world.events(&by, "task_completed", 990, datetime!(2026-01-01 0:00 UTC));
    world.events(&by, "task_completed", 500, datetime!(2026-02-01 0:00 UTC));
    let held = world
        .billing
        .reserve(&by, wish("tasks_per_month", 10))
        .await
        .unwrap();
    assert_eq!(world.used(&by, "tasks_per_month").await, (1000, 1000));
    let full = world.billing.reserve(&by, wish("tasks_per_month", 1)).await;
    assert!(
        matches!(full, Err(ReserveError::Limit(limit)) if (limit.used, limit.max) == (1000, 1000))
    );
    world
        .billing
        .settle(&by, held.reservation.id, 4)
        .await
        .unwrap();
    assert_eq!(world.used(&by, "tasks_per_month").await, (990, 1000));
    assert!(
        world
            .billing
            .check(&by, "tasks_per_month".into(), 10)
            .await
            .unwrap()
            .allowed
    );
    assert!(
        !world
            .billing
            .check(&by, "tasks_per_month".into(), 11)
            .await
            .unwrap()
            .allowed
    );
    assert!(
        world
            .billing
            .check(&by, "nothing".into(), 1)
            .await
            .unwrap()
            .entitlement
            .is_none()
    );
    world.set_clock(datetime!(2026-02-01 0:00 UTC));
    assert_eq!(world.used(&by, "tasks_per_month").await, (500, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_expire_and_are_finished_once() {
    let world = World::new().await;
    let by = world.tenant("acme", "free").await;
    let key = "max_concurrent_workflows";
    let first = world.billing.reserve(&by, wish(key, 1)).await.unwrap();
    let second = world.billing.reserve(&by, wish(key, 1)).await.unwrap();
    assert!(matches!(
        world.billing.reserve(&by, wish(key, 1)).await,
        Err(ReserveError::Limit(_))
    ));
    world
        .billing
        .release(&by, first.reservation.id)
        .await
        .unwrap();
    world
        .billing
        .release(&by, first.reservation.id)
        .await
        .unwrap();
    let settled = world.billing.settle(&by, first.reservation.id, 1).await;
    assert!(matches!(settled, Err(FinishError::Settled)));
    assert_eq!(world.used(&by, key).await.0, 1);
    world.set_clock(START + Duration::seconds(60));
    assert_eq!(world.used(&by, key).await.0, 0);
    world
        .billing
        .settle(&by, second.reservation.id, 7)
        .await
        .unwrap();
    world
        .billing
        .settle(&by, second.reservation.id, 7)
        .await
        .unwrap();
    assert!(matches!(
        world.billing.settle(&by, second.reservation.id, 8).await,
        Err(FinishError::Settled)
    ));
    let stranger = world.tenant("other", "free").await;
    assert!(matches!(
        world
            .billing
            .release(&stranger, second.reservation.id)
            .await,
        Err(FinishError::NotFound)
    ));
    let members = world.billing.reserve(&by, wish("max_members", 1)).await;
    assert!(matches!(members, Err(ReserveError::Invalid(error)) if error.code == "not_reservable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_reservers_share_two_places() {
    let world = Arc::new(World::crowded().await);
    let by = world.tenant("acme", "free").await;
    let takers: Vec<_> = (0..64)
        .map(|_| {
            let (world, by) = (Arc::clone(&world), by.clone());
            tokio::spawn(async move {
                world
                    .billing
                    .reserve(&by, wish("max_concurrent_workflows", 1))
                    .await
                    .is_ok()
            })
        })
        .collect();
    let mut held = 0;
    for taker in takers {
        held += usize::from(taker.await.unwrap());
    }
    assert_eq!(held, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_wins_until_it_expires() {
    let world = World::new().await;
    let by = world.tenant("acme", "free").await;
    let tenant = by.tenant_id().unwrap();
    world.sql(&format!(
        "insert into tenant_entitlement_overrides (tenant_id, key, kind, maximum, expires_at)
         values ('{tenant}', 'max_agents', 'limit', null, '2026-01-15 00:00Z')"
    ));
    assert_eq!(world.used(&by, "max_agents").await, (0, -1));
    world.set_clock(FIFTEENTH);
    assert_eq!(world.used(&by, "max_agents").await, (0, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_catalogue_sells_other_plans_and_takes_nothing_away() {
    let world = World::new().await;
    let by = world.tenant("acme", "pro").await;
    world.sql("select app.load_catalogue('prd37')");
    let codes: Vec<(String, i64)> = world
        .billing
        .plans()
        .await
        .unwrap()
        .into_iter()
        .map(|plan| (plan.code, plan.price.amount))
        .collect();
    let expected = [("starter", 900), ("business", 2900), ("enterprise", 9900)];
    assert_eq!(
        codes,
        expected.map(|(code, amount)| (code.to_owned(), amount))
    );
    assert_eq!(
        world
            .billing
            .subscription(&by)
            .await
            .unwrap()
            .plan
            .price
            .amount,
        9900
    );
    let newcomer = world.tenant("new", "free").await;
    assert_eq!(
        world.billing.entitlements(&newcomer).await.unwrap().plan,
        "starter"
    );
    assert_eq!(world.used(&newcomer, "max_members").await, (0, 1));
    let dashboards = ResourceKind::parse("dashboards").unwrap();
    let dashboard = ExternalId::parse("d").unwrap();
    world
        .billing
        .put_resource(&by, dashboards, dashboard)
        .await
        .unwrap();
    let order = Order {
        plan: "business".to_owned(),
        when: When::Now,
    };
    let over = world.billing.preview(&by, order).await.unwrap().over_limit;
    let over: Vec<_> = over
        .iter()
        .map(|one| (one.grant.key.as_str(), one.grant.maximum, one.used))
        .collect();
    assert_eq!(over, [("max_dashboards", Some(0), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_and_the_entitlements_count_the_same() {
    let world = World::new().await;
    let by = world.tenant("acme", "free").await;
    let tenant = by.tenant_id().unwrap();
    world.sql(&format!(
        "insert into users (id, email, name) select gen_random_uuid(), s || '@example.com', s
             from unnest(array['active', 'suspended', 'removed']) s;
         insert into memberships (tenant_id, user_id, status) select '{tenant}', id, name from users;
         insert into invitations (tenant_id, email, role_key, expires_at) values
             ('{tenant}', 'open@example.com', 'member', '2026-01-20 00:00Z');
         insert into projects (tenant_id, slug, name, status)
             select '{tenant}', s, s, s from unnest(array['active', 'archived']) s"
    ));
    // The same instant is meant, not the database's: it is years from there.
    for (now, seats) in [(FIFTEENTH, 2), (datetime!(2026-01-20 0:00 UTC), 1)] {
        world.set_clock(now);
        let gate = pg::Pg::connect(&Settings {
            url: world.db.app_url(),
            max_connections: 1,
            statement_timeout: std::time::Duration::from_secs(10),
            prepared_statements: true,
        })
        .unwrap()
        .unit_of_work::<dyn tenancy::Store>(|tx| tx);
        let counted = gate.run(Scope::tenant(tenant), move |store| {
            let (_, seats) = store.seats(tenant, now)?;
            let (_, projects) = store.project_allowance(tenant)?;
            Ok::<_, kernel::StoreError>((seats, projects))
        });
        assert_eq!(counted.await.unwrap(), (seats, 1));
        assert_eq!(world.used(&by, "max_members").await.0, seats);
        assert_eq!(world.used(&by, "max_projects").await.0, 1);
    }
}
