//! A load of short units of work that go wrong in every way that there is, and the books of what became of each.
//!
//! The faults happen inside the database, by a trigger on what a unit writes, so that everything runs by the same path as in production: a
//! unit of work, a store, a statement. The same trigger compares the settings of the transaction with what its unit asked for, looks
//! which tenants it can see, and writes the unit's number into a log that has no key: work that ran twice is there twice.

use std::{
    collections::HashMap,
    io::Write,
    panic::resume_unwind,
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use app::queue::{NewJob, Queue};
use billing::Resource;
use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::BigInt,
};
use kernel::{Scope, StoreError, TenantId, UnitOfWork, UserId};
use pg::{Pg, PgTx};
use testkit::TestDb;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use uuid::Uuid;

const TASKS: u64 = 64;
const TENANTS: usize = 5;
pub(crate) const CONNECTIONS: usize = 2;
/// Beyond it, a unit that sleeps is ended.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_millis(250);

const PROBES: &str = "
create table probe_log (serial bigint not null);
grant insert on probe_log to plinth_app;
create function probe(serial bigint, tenant text, person text, principal text, fault text) returns void language plpgsql as $$
declare
    seen text;
begin
    insert into probe_log values (serial);
    if coalesce(current_setting('app.tenant_id', true), '') <> tenant
        or coalesce(current_setting('app.user_id', true), '') <> person
        or coalesce(current_setting('app.principal_id', true), '') <> principal then
        raise exception 'LEAK: the settings of unit % are (%, %, %)', serial, current_setting('app.tenant_id', true),
            current_setting('app.user_id', true), current_setting('app.principal_id', true);
    end if;
    select coalesce(string_agg(id::text, ','), '') into seen from tenants;
    if seen <> tenant then
        raise exception 'LEAK: unit % of tenant (%) sees (%)', serial, tenant, seen;
    end if;
    case fault
        when 'error' then perform 1 / 0;
        when 'sleep' then perform pg_sleep(30);
        when 'die' then perform pg_terminate_backend(pg_backend_pid());
        else null;
    end case;
end $$;
create function probe_resource() returns trigger language plpgsql as $$
declare
    told text[] := string_to_array(new.external_id, '|');
begin
    perform probe(told[1]::bigint, new.tenant_id::text, told[2], told[3], told[4]);
    return new;
end $$;
create trigger probe before insert on resources for each row execute function probe_resource();
create function probe_job() returns trigger language plpgsql as $$
declare
    told text[] := string_to_array(new.payload #>> '{}', '|');
begin
    perform probe(told[1]::bigint, '', told[2], told[3], told[4]);
    return new;
end $$;
create trigger probe before insert on jobs for each row execute function probe_job();
";

/// What a unit writes with: a tenant's row, or a global one when it has no tenant.
trait Store: billing::Store + Queue {}
impl Store for PgTx {}

/// SplitMix64: the same numbers from the same seed, on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }
}

/// How a unit of work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Commit,
    Rollback,
    Panic,
    Conflict,
    SqlError,
    Timeout,
    DeadConnection,
}

impl End {
    fn draw(random: &mut Random) -> Self {
        match random.below(4000) {
            0 => Self::Timeout,
            1..=10 => Self::DeadConnection,
            11..=30 => Self::Panic,
            31..=110 => Self::Conflict,
            111..=190 => Self::SqlError,
            191..=390 => Self::Rollback,
            _ => Self::Commit,
        }
    }

    const fn fault(self) -> &'static str {
        match self {
            Self::SqlError => "error",
            Self::Timeout => "sleep",
            Self::DeadConnection => "die",
            _ => "",
        }
    }

    /// Whether the answer is the one that this end has.
    fn is_told_by(self, answer: &Result<(), StoreError>) -> bool {
        match (self, answer) {
            (Self::Commit, Ok(())) | (Self::DeadConnection, Err(StoreError::Unavailable(_))) => {
                true
            }
            (Self::Conflict, Err(error)) => error.conflicts_with("resources_pkey"),
            (Self::Timeout, Err(StoreError::Unavailable(message))) => {
                message.contains("statement timeout")
            }
            (end, Err(StoreError::Unexpected(message))) => match end {
                Self::Rollback => message == ROLLED_BACK,
                Self::Panic => message.to_lowercase().contains("panic"),
                Self::SqlError => message.contains("division by zero"),
                _ => false,
            },
            _ => false,
        }
    }
}

const KIND: &str = "probe";
const ROLLED_BACK: &str = "rolled back on purpose";

/// What must be found in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    Once,
    Never,
    /// Nobody waited for the answer, or the pool was too busy to give a connection.
    OnceOrNever,
}

struct Unit {
    serial: u64,
    scope: Scope,
    end: End,
    /// Whether it looks before it writes. So connections prepare their statements in different orders, under different names.
    looks: bool,
    /// How long its caller waits before it goes away.
    patience: Option<Duration>,
}

impl Unit {
    fn draw(serial: u64, tenants: &[TenantId], random: &mut Random) -> Self {
        let tenant = tenants[usize::try_from(random.below(TENANTS as u64)).unwrap()];
        let scope = Scope {
            tenant_id: (!random.one_in(6)).then_some(tenant),
            user_id: random.one_in(2).then(|| UserId::from(random.uuid())),
            principal_id: random.one_in(2).then(|| random.uuid()),
            command: None,
        };
        let end = match End::draw(random) {
            // A job's row has no key that the test could hit.
            End::Conflict if scope.tenant_id.is_none() => End::Rollback,
            end => end,
        };
        let patience = random
            .one_in(25)
            .then(|| Duration::from_millis(random.below(40)));
        Self {
            serial,
            scope,
            end,
            looks: random.one_in(4),
            patience,
        }
    }

    fn told(&self) -> String {
        let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let (person, principal) = (
            text(self.scope.user_id.map(UserId::as_uuid)),
            text(self.scope.principal_id),
        );
        format!("{}|{person}|{principal}|{}", self.serial, self.end.fault())
    }

    async fn run(self, uow: Arc<dyn UnitOfWork<dyn Store>>) -> (u64, End, Trace) {
        let (end, told, tenant) = (self.end, self.told(), self.scope.tenant_id);
        let looked_for = tenant.filter(|_| self.looks);
        let work = uow.run(self.scope, move |store| {
            if let Some(tenant) = looked_for {
                assert_eq!(store.resource(tenant, KIND, &told)?, None);
            }
            write(store, tenant, &told)?;
            match end {
                End::Rollback => Err(StoreError::Unexpected(ROLLED_BACK.to_owned())),
                // Without the hook, which would print a thousand of them.
                End::Panic => resume_unwind(Box::new("on purpose")),
                End::Conflict => write(store, tenant, &told),
                _ => Ok(()),
            }
        });
        let answer = match self.patience {
            Some(patience) => tokio::time::timeout(patience, work).await.ok(),
            None => Some(work.await),
        };
        let trace = match answer {
            Some(Ok(())) if end == End::Commit => Trace::Once,
            Some(answer) if end.is_told_by(&answer) => Trace::Never,
            Some(Err(StoreError::Unavailable(_))) | None if end == End::Commit => {
                Trace::OnceOrNever
            }
            Some(Err(StoreError::Unavailable(_))) | None => Trace::Never,
            Some(answer) => panic!("unit {} should end as {end:?}: {answer:?}", self.serial),
        };
        (self.serial, end, trace)
    }
}

fn write(store: &mut dyn Store, tenant: Option<TenantId>, told: &str) -> Result<(), StoreError> {
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    match tenant {
        Some(tenant_id) => store.insert_resource(&Resource {
            tenant_id,
            kind: KIND.to_owned(),
            external_id: told.to_owned(),
            created_at: now,
        }),
        None => store.enqueue(NewJob::new("probe", None, told.into(), now)),
    }
}

/// Runs `units` units of work, 64 at a time, through a pool of two connections, and holds the database against the answers.
pub(crate) async fn run(db: &TestDb, pg: &Pg, units: u64, seed: u64) {
    let started = Instant::now();
    let mut random = Random(seed);
    let tenants: Vec<TenantId> = (0..TENANTS)
        .map(|_| TenantId::from(random.uuid()))
        .collect();
    let mut owner = PgConnection::establish(&db.superuser_url()).unwrap();
    owner.batch_execute(PROBES).unwrap();
    for (number, tenant) in tenants.iter().enumerate() {
        let insert = format!(
            "insert into tenants (id, slug, name, kind, plan_code)
             values ('{tenant}', 'tenant-{number}', 'Tenant', 'customer', 'free')"
        );
        owner.batch_execute(&insert).unwrap();
    }

    let uow = pg.unit_of_work::<dyn Store>(|tx| tx);
    let tenants: Arc<[TenantId]> = tenants.into();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (uow, tenants, mut random) = (
            Arc::clone(&uow),
            Arc::clone(&tenants),
            Random(random.next()),
        );
        tasks.spawn(async move {
            let mut ended = Vec::new();
            for serial in (task..units).step_by(TASKS as usize) {
                let unit = Unit::draw(serial, &tenants, &mut random);
                ended.push(unit.run(Arc::clone(&uow)).await);
            }
            ended
        });
    }
    let ended = tasks.join_all().await.concat();
    let took = started.elapsed();
    both_connections_work_and_know_nobody(&uow, units).await;
    assert_eq!(pg.connections(), (0, CONNECTIONS));

    compare(&mut owner, &ended, units);
    let refused = ended
        .iter()
        .filter(|(_, _, trace)| *trace == Trace::OnceOrNever);
    let mut ends: HashMap<End, u64> = HashMap::new();
    for (_, end, _) in &ended {
        *ends.entry(*end).or_default() += 1;
    }
    let unsure = refused.count();
    let _said = writeln!(
        std::io::stderr(),
        "{units} units in {took:?}: {ends:?}, {unsure} without an answer; seed {seed}"
    );
    // One in 25 was given up by its caller, and few of the rest may have found no connection in time.
    assert!(
        unsure as u64 <= units / 10,
        "{unsure} of {units} were refused"
    );
}

/// Two units meet in the middle, which takes both connections, and waits for whatever still runs on them.
async fn both_connections_work_and_know_nobody(uow: &Arc<dyn UnitOfWork<dyn Store>>, units: u64) {
    let meeting = Arc::new(Barrier::new(CONNECTIONS));
    let mut tasks = JoinSet::new();
    for number in 0..CONNECTIONS as u64 {
        let (uow, meeting) = (Arc::clone(uow), Arc::clone(&meeting));
        tasks.spawn(async move {
            uow.run(Scope::global(), move |store| {
                write(store, None, &format!("{}|||", units + number))?;
                meeting.wait();
                Ok::<_, StoreError>(())
            })
            .await
        });
    }
    for ended in tasks.join_all().await {
        ended.unwrap();
    }
}

#[derive(QueryableByName)]
struct Logged {
    #[diesel(sql_type = BigInt)]
    serial: i64,
    #[diesel(sql_type = BigInt)]
    times: i64,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// What was answered with yes is there once, log and row alike; what was not is in neither.
fn compare(owner: &mut PgConnection, ended: &[(u64, End, Trace)], units: u64) {
    let found: Vec<Logged> = sql_query(
        "with log as (select serial, count(*) as times from probe_log group by serial),
              written as (select split_part(told, '|', 1)::bigint as serial, count(*) as rows from (
                  select external_id as told from resources
                  union all select payload #>> '{}' from jobs) both_kinds group by 1)
         select serial, coalesce(times, 0) as times, coalesce(rows, 0) as rows from log full join written using (serial)",
    )
    .load(owner)
    .unwrap();
    let found: HashMap<u64, (i64, i64)> = found
        .into_iter()
        .map(|row| (u64::try_from(row.serial).unwrap(), (row.times, row.rows)))
        .collect();
    assert_eq!(ended.len() as u64, units);
    for (serial, end, trace) in ended {
        let there = found.get(serial).copied().unwrap_or_default();
        let right = match trace {
            Trace::Once => there == (1, 1),
            Trace::Never => there == (0, 0),
            Trace::OnceOrNever => there == (1, 1) || there == (0, 0),
        };
        assert!(
            right,
            "unit {serial}, {end:?}: {trace:?}, but found {there:?}"
        );
    }
    let strangers = found.keys().filter(|serial| **serial >= units).count();
    assert_eq!(
        strangers, CONNECTIONS,
        "only the last two units are known besides"
    );
}
