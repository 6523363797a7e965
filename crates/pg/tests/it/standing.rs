//! Where tenants stand, read outside of a unit of work, and what quotas count while events are under way.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use billing::{Billing, Standing, StandingReader, Store};
use diesel::{Connection, PgConnection, connection::SimpleConnection};
use kernel::{Clock, Principal, Scope, StoreError, SystemClock, TenantId, UnitOfWork};
use pg::{Pg, PgStandingReader, Settings};
use time::OffsetDateTime;
use usage::Item;

use crate::usage_fixture::Fixture;

const QUOTA: &str = "task_quota";

struct World {
    fixture: Fixture,
    tenant_id: TenantId,
    pg: Pg,
    reader: PgStandingReader,
    uow: Arc<dyn UnitOfWork<dyn Store>>,
    now: OffsetDateTime,
    /// When the quota was last read.
    read_at: Mutex<Instant>,
}

impl World {
    async fn new() -> Self {
        Self::with(2, true).await
    }

    async fn with(max_connections: usize, prepared_statements: bool) -> Self {
        let fixture = Fixture::new("Asia/Kathmandu").await;
        let tenant_id = fixture.tenant_id;
        fixture.execute(&format!(
            "insert into tenant_entitlement_overrides (tenant_id, key, kind, maximum, metric) values
                 ('{tenant_id}', '{QUOTA}', 'quota', 10, 'task_completed'), ('{tenant_id}', 'max_agents', 'limit', 2, null)"
        ));
        let settings = Settings {
            url: fixture.db.app_url(),
            max_connections,
            statement_timeout: Duration::from_secs(30),
            prepared_statements,
        };
        let pg = Pg::connect(&settings).unwrap();
        Self {
            tenant_id,
            reader: PgStandingReader::new(pg.clone()),
            uow: pg.unit_of_work(|tx| tx),
            now: SystemClock.now(),
            fixture,
            pg,
            read_at: Mutex::new(Instant::now()),
        }
    }

    async fn alone(&self, key: &str) -> Option<Standing> {
        let asked = self.reader.standing(self.tenant_id, key, self.now);
        asked.await.unwrap()
    }

    async fn in_scope(&self, key: &'static str) -> Standing {
        let (id, now) = (self.tenant_id, self.now);
        let read = self
            .uow
            .run(Scope::tenant(id), move |store| store.standing(id, key, now));
        read.await.unwrap()
    }

    /// What the quota counted, as a unit of work says: if need be, all is read.
    async fn used(&self) -> i64 {
        let (id, now) = (self.tenant_id, self.now);
        let read = self.uow.run(Scope::tenant(id), move |store| {
            let standing = store.standing(id, QUOTA, now)?;
            let quota = standing.grant.clone().unwrap();
            standing.measure(store, id, quota, now)
        });
        let entitlement = read.await.unwrap();
        *self.read_at.lock().unwrap() = Instant::now();
        entitlement.used
    }

    /// What the quota counted, as the reader says: with what came since the last time, or not at all.
    async fn used_alone(&self) -> Option<i64> {
        let standing = self.alone(QUOTA).await?;
        let answer = standing.check(1, self.now)?;
        *self.read_at.lock().unwrap() = Instant::now();
        answer.entitlement.map(|entitlement| entitlement.used)
    }

    /// Whether so much time went by that nothing is added to what was read.
    fn is_late(&self) -> bool {
        self.read_at.lock().unwrap().elapsed() > Duration::from_millis(1_900)
    }

    /// The reader by itself knows what was used, unless the machine is very slow.
    async fn assert_added(&self, expected: i64) {
        let is_late = self.is_late();
        match self.used_alone().await {
            Some(used) => assert_eq!(used, expected),
            None => assert!(is_late || self.is_late(), "nothing was added"),
        }
        assert_eq!(self.used().await, expected);
    }

    /// The reader by itself does not know what was used, and not because it is too late.
    async fn assert_not_added(&self) {
        let used = self.used_alone().await;
        assert_eq!(used, None);
        assert!(!self.is_late(), "the machine is too slow to tell");
    }

    async fn tasks(&self, name: &str, count: usize) {
        let items = (0..count).map(|number| {
            let event = format!(r#"{{"id":"{name}-{number}","metric":"task_completed"}}"#);
            Item::parse_plain(&event)
        });
        self.fixture.ingest(items.collect()).await;
    }

    /// Written straight into the table: many at once, or in a transaction that stays open.
    fn write_of(&self, tasks: i64) -> String {
        format!(
            "insert into usage_events (tenant_id, meter_id, dedup, payload_hash, received_at, occurred_at, quantity, event_id, source)
             select '{}', m.id, gen_random_uuid(), gen_random_uuid(), now(), now(), 1, n::text, 'written'
             from standard_meters m, generate_series(1, {tasks}) n where m.key = 'task_completed'",
            self.tenant_id
        )
    }

    /// A transaction that has written a task and is still open.
    fn task_under_way(&self) -> PgConnection {
        let url = self.fixture.db.superuser_url();
        let mut conn = PgConnection::establish(&url).unwrap();
        conn.batch_execute(&format!("begin; {}", self.write_of(1)))
            .unwrap();
        conn
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_answers_as_a_unit_of_work_does() {
    let world = World::new().await;
    world.tasks("a", 3).await;
    let first = world.alone(QUOTA).await.unwrap();
    assert_eq!(first.check(1, world.now), None, "not all is read at once");
    for (name, tasks) in [("b", 0), ("c", 2), ("d", 5)] {
        world.used().await;
        world.tasks(name, tasks).await;
        for key in [QUOTA, "max_agents", "nothing"] {
            let mut expected = world.in_scope(key).await;
            let alone = world.alone(key).await.unwrap();
            assert!(!alone.watermark.is_empty());
            expected.watermark.clone_from(&alone.watermark);
            assert_eq!(alone, expected, "{key} after {name}");
        }
    }
    world.assert_added(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_were_under_way_are_counted_once_when_they_are_done() {
    let world = World::new().await;
    assert_eq!(world.used().await, 0);
    let mut first = world.task_under_way();
    let mut second = world.task_under_way();
    world.tasks("a", 1).await;
    world.assert_added(1).await;
    second.batch_execute("commit").unwrap();
    for _again in 0..2 {
        world.assert_added(2).await;
    }
    let mut third = world.task_under_way();
    world.tasks("b", 1).await;
    first.batch_execute("commit").unwrap();
    third.batch_execute("rollback").unwrap();
    for _again in 0..2 {
        world.assert_added(4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_wrote_itself_is_counted_when_it_is_done_and_not_before() {
    let world = World::new().await;
    let (id, now) = (world.tenant_id, world.now);
    let both = world.pg.unit_of_work::<dyn Both>(|tx| tx);
    for (round, commits) in [(0, false), (1, true), (2, true)] {
        let before = world.used().await;
        let superuser = world.fixture.db.superuser_url();
        let counted = both.run(Scope::tenant(id), move |store| {
            let meters = usage::Store::meters_by_key(store, id, &["task_completed".to_owned()])?;
            let meter = meters.first().unwrap();
            let task =
                testkit::contract::usage_fixture::event(meter, &format!("own-{round}"), now, 1);
            let received_at = store.open_batch(id, &[], &[])?.received_at;
            store.append_events(id, received_at, &[task])?;
            // A transaction that begins later and ends earlier.
            let mut other = PgConnection::establish(&superuser).unwrap();
            other
                .batch_execute("create table if not exists later (); drop table later")
                .unwrap();
            let standing = store.standing(id, QUOTA, now)?;
            let quota = standing.grant.clone().unwrap();
            let used = standing.measure(store, id, quota, now)?.used;
            assert_eq!(used, before, "round {round}");
            if commits {
                Ok(())
            } else {
                Err(StoreError::Unexpected("rolled back".to_owned()))
            }
        });
        assert_eq!(counted.await.is_ok(), commits);
        world.assert_added(before + i64::from(commits)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_of_the_tenants_own_takes_the_place_of_the_one_from_the_start() {
    let world = World::new().await;
    world.tasks("a", 2).await;
    assert_eq!(world.used().await, 2);
    world.fixture.execute(&format!(
        "insert into meters (tenant_id, id, key, name, aggregation, unit, dimensions, version, created_at)
         values ('{}', gen_random_uuid(), 'task_completed', 'Tasks', 'count', 'task', '{{}}', 1, now())",
        world.tenant_id
    ));
    world.assert_not_added().await;
    assert_eq!(world.used().await, 0);
    world.tasks("b", 1).await;
    world.assert_added(1).await;
    world.fixture.execute("update meters set version = 2");
    world.assert_not_added().await;
    assert_eq!(world.used().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_can_be_added_at_once_is_read_as_a_whole() {
    let world = World::new().await;
    let write = |tasks| world.fixture.execute(&world.write_of(tasks));
    assert_eq!(world.used().await, 0);
    write(10_000);
    world.assert_added(10_000).await;
    write(10_001);
    world.assert_not_added().await;
    assert_eq!(world.used().await, 20_001);
    write(1);
    world.assert_added(20_002).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_added_between_snapshots_that_are_not_in_order() {
    let world = World::new().await;
    let added = |since: &str, until: &str| {
        world.fixture.text(&format!(
            "coalesce((select app.usage_since(t, 'task_completed', m.id, 1, true, now() - interval '1 hour', now(), '{since}', '{until}')
             from (select app.enter('{}') as t) e, standard_meters m where m.key = 'task_completed')::text, 'nothing')",
            world.tenant_id
        ))
    };
    for (since, until, expected) in [
        ("100:105:100,103", "100:105:100", "0"),
        ("100:105:100", "100:105:100", "0"),
        ("100:105:100", "100:105:100,103", "nothing"),
        ("100:106:100", "100:105:100", "nothing"),
        ("105:105:", "104:106:104", "nothing"),
    ] {
        assert_eq!(added(since, until), expected, "{since} to {until}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_answers_each_about_themselves_and_remembers_nobody() {
    let world = World::with(1, true).await;
    let (ann, bob) = (world.tenant_id, TenantId::new(world.now));
    world.fixture.execute(&format!(
        "insert into tenants (id, slug, name, status, timezone) values ('{bob}', 'bob', 'Bob', 'active', 'UTC');
         insert into tenant_entitlement_overrides (tenant_id, key, kind, maximum) values ('{bob}', 'max_agents', 'limit', 7)"
    ));
    let most = async |tenant_id| {
        let asked = world.reader.standing(tenant_id, "max_agents", world.now);
        let standing = asked.await.unwrap().unwrap();
        standing.grant.unwrap().maximum
    };
    let in_scope_of = async |scope: Scope, about| {
        let now = world.now;
        let read = world
            .uow
            .run(scope, move |store| store.standing(about, "max_agents", now));
        read.await
            .ok()
            .map(|standing| standing.grant.unwrap().maximum)
    };
    for _again in 0..2 {
        assert_eq!(most(ann).await, Some(2));
        assert_eq!(in_scope_of(Scope::global(), ann).await, None);
        assert_eq!(most(bob).await, Some(7));
        assert_eq!(in_scope_of(Scope::tenant(ann), bob).await, None);
        assert_eq!(in_scope_of(Scope::tenant(ann), ann).await, Some(Some(2)));
        let nobody = TenantId::new(world.now);
        let asked = world.reader.standing(nobody, QUOTA, world.now).await;
        assert!(matches!(asked, Err(StoreError::Unexpected(_))), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_takes_too_long_is_given_up() {
    let world = World::with(1, true).await;
    let settings = Settings {
        url: world.fixture.db.app_url(),
        max_connections: 1,
        statement_timeout: Duration::from_millis(100),
        prepared_statements: true,
    };
    let reader = PgStandingReader::new(Pg::connect(&settings).unwrap());
    let mut lock = PgConnection::establish(&world.fixture.db.superuser_url()).unwrap();
    lock.batch_execute("begin; lock table resources").unwrap();
    let asked = reader.standing(world.tenant_id, "max_agents", world.now);
    assert_eq!(asked.await, Ok(None));
    lock.batch_execute("rollback").unwrap();
    let asked = reader.standing(world.tenant_id, "max_agents", world.now);
    assert!(asked.await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_statements_are_not_kept_a_unit_of_work_answers() {
    let world = World::with(2, false).await;
    assert_eq!(world.alone("max_agents").await, None);
    let billing = Billing::new(Arc::clone(&world.uow), Arc::new(SystemClock))
        .with_standing_reader(Arc::new(PgStandingReader::new(world.pg.clone())));
    let by = Principal::system("test", Some(world.tenant_id));
    world.tasks("a", 9).await;
    for (more, allowed) in [(1, true), (2, false)] {
        let answer = billing.check(&by, QUOTA.to_owned(), more).await.unwrap();
        assert_eq!(answer.allowed, allowed, "{more} more");
    }
}

trait Both: Store + usage::Store {}

impl<S: Store + usage::Store> Both for S {}
