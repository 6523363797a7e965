//! `usage::Ledger`: the daily close.

use bigdecimal::BigDecimal;
use futures_util::future::join_all;
use kernel::{ProjectId, Quantity, Scope, StoreError, TenantId, Zone};
use time::{
    Date, Duration, OffsetDateTime,
    macros::{date, datetime},
};
use usage::{
    Aggregation, Meter,
    day::{self, Close, DueDay, Hold, MeterDay, Reconciled, UsageDay},
    ingest::MeteredEvent,
};
use uuid::Uuid;

use super::{
    Backend, DailyTotal, DayRecord, fixture, run,
    usage_fixture::*,
    usage_oracle::{self, Known},
};

pub(super) const DAY: Date = date!(2025 - 11 - 10);
/// After the end of that day in every zone.
pub(super) const AFTER: OffsetDateTime = datetime!(2025-11-12 00:00 UTC);

pub(super) async fn open(backend: &impl Backend, days: Vec<UsageDay>) -> Result<(), StoreError> {
    in_books(backend, move |store| store.open_days(&days)).await
}

async fn due(backend: &impl Backend, now: OffsetDateTime, at_most: u32) -> Vec<(TenantId, Date)> {
    let due = in_books(backend, move |store| store.due_days(now, at_most));
    let due = due.await.unwrap().into_iter();
    due.map(|due| (due.day.tenant_id, due.day.day)).collect()
}

/// The day as it is due.
pub(super) async fn due_day(backend: &impl Backend, tenant_id: TenantId) -> Option<DueDay> {
    let due = in_books(backend, |store| store.due_days(AFTER, 99));
    let mut due = due.await.unwrap().into_iter();
    due.find(|due| (due.day.tenant_id, due.day.day) == (tenant_id, DAY))
}

async fn hold(backend: &impl Backend, due: &DueDay, mark: i64) -> Hold {
    let due = due.clone();
    let held = in_books(backend, move |store| store.hold_day(&due, mark));
    held.await.unwrap()
}

/// Closes a day as the worker does.
pub(super) async fn close(
    backend: &impl Backend,
    tenant_id: TenantId,
    now: OffsetDateTime,
) -> Close {
    let scope = Scope::tenant(tenant_id);
    let closed: Result<Close, StoreError> = run(backend.ledger(), scope, move |store| {
        let mut due = store.due_days(now, 99)?.into_iter();
        match due.find(|due| (due.day.tenant_id, due.day.day) == (tenant_id, DAY)) {
            Some(due) => day::close(store, &due, now),
            None => Ok(Close::NotDue),
        }
    })
    .await;
    closed.unwrap()
}

pub(super) fn closed(number: u32) -> Close {
    Close::Closed {
        number,
        drift: 0.into(),
    }
}

/// What became of the day, and the quantity of each total.
pub(super) async fn record(
    backend: &impl Backend,
    tenant_id: TenantId,
) -> (bool, u32, Vec<String>) {
    let record = backend.day_record(tenant_id, DAY).await.unwrap();
    let quantities = record.totals.iter().map(|total| total.quantity.to_string());
    (record.is_closed, record.closes, quantities.collect())
}

pub(super) async fn move_to(backend: &impl Backend, tenant_id: TenantId, zone: &str) {
    let zone = Zone::parse("timezone", zone).unwrap();
    run(
        backend.tenants(),
        Scope::tenant(tenant_id),
        move |store| -> Result<(), StoreError> {
            let mut row = store.tenant(tenant_id)?.unwrap();
            row.timezone = zone;
            store.update_tenant(&row)
        },
    )
    .await
    .unwrap();
}

pub(super) async fn send(
    backend: &impl Backend,
    tenant_id: TenantId,
    meter: &Meter,
    id: &str,
    at: OffsetDateTime,
) {
    append(backend, tenant_id, vec![event(meter, id, at, 2)]).await;
}

/// Days are due once they have ended, those that ended first before the others, as many as were asked for.
pub async fn days_are_due_once_they_have_ended(backend: &impl Backend) {
    let (east, west) = (
        fixture::stored_tenant(backend, "east").await.id,
        fixture::stored_tenant(backend, "west").await.id,
    );
    let days = [
        UsageDay::new(west, DAY, "America/New_York"),
        UsageDay::new(east, DAY, "Asia/Kathmandu"),
        UsageDay::new(east, date!(2025 - 11 - 09), "Asia/Kathmandu"),
    ];
    let [last, middle, first] = [&days[0], &days[1], &days[2]].map(|day| (day.tenant_id, day.day));
    let ends_at = days[1].ends_at;
    assert_eq!(ends_at, datetime!(2025-11-10 18:15 UTC));
    open(backend, days.to_vec()).await.unwrap();
    let instant = Duration::microseconds(1);
    assert_eq!(due(backend, ends_at - instant, 9).await, [first]);
    assert_eq!(due(backend, ends_at, 9).await, [first, middle]);
    assert_eq!(due(backend, AFTER, 9).await, [first, middle, last]);
    assert_eq!(due(backend, AFTER, 2).await, [first, middle]);
    let nobody = TenantId::new(fixture::at(1));
    let unknown = DueDay {
        day: UsageDay::new(nobody, DAY, "UTC"),
        closes: 0,
    };
    assert_eq!(hold(backend, &unknown, i64::MAX).await, Hold::Gone);
    let lost = open(backend, vec![UsageDay::new(nobody, DAY, "UTC")]).await;
    assert!(
        matches!(&lost, Err(error) if error.conflicts_with("usage_days_tenant_id_fkey")),
        "{lost:?}"
    );
}

/// A day can be held as it was due; not when it was closed since, or has other bounds. Who holds it knows whether events of it, and of no
/// other day or tenant, came behind the mark, and whoever asks, which of them wait for the rollup.
pub async fn a_day_is_held_as_it_was_due(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    move_to(backend, tenant, "Asia/Kathmandu").await;
    let chat = standard_meter(backend, "chat").await;
    let day = UsageDay::new(tenant, DAY, "Asia/Kathmandu");
    open(backend, vec![day.clone()]).await.unwrap();
    let due = due_day(backend, tenant).await.unwrap();
    assert_eq!((&due.day, due.closes), (&day, 0));
    let mark = async || reconciled(backend, &day).await.mark;
    let has_unrolled = async || {
        let day = day.clone();
        let waits = in_books(backend, move |store| store.has_unrolled(&day));
        waits.await.unwrap()
    };
    let before = mark().await;
    let instant = Duration::microseconds(1);
    send(backend, tenant, &chat, "a", day.ends_at).await;
    send(backend, tenant, &chat, "b", day.starts_at - instant).await;
    send(backend, other, &chat, "c", day.starts_at).await;
    assert!(!has_unrolled().await);
    assert_eq!(hold(backend, &due, before).await, Hold::Held);
    for (id, at) in [("d", day.starts_at), ("e", day.ends_at - instant)] {
        let before = mark().await;
        send(backend, tenant, &chat, id, at).await;
        assert!(has_unrolled().await);
        assert_eq!(hold(backend, &due, before).await, Hold::Overtaken);
        roll_all(backend, if id == "d" { 4 } else { 1 }).await;
        assert!(!has_unrolled().await);
        assert_eq!(hold(backend, &due, before).await, Hold::Overtaken);
        assert_eq!(hold(backend, &due, mark().await).await, Hold::Held);
    }
    let longer = UsageDay {
        ends_at: day.ends_at + Duration::HOUR,
        ..day.clone()
    };
    open(backend, vec![longer]).await.unwrap();
    assert_eq!(hold(backend, &due, mark().await).await, Hold::Gone);
    open(backend, vec![day.clone()]).await.unwrap();
    assert_eq!(close(backend, tenant, AFTER).await, closed(1));
    assert_eq!(hold(backend, &due, mark().await).await, Hold::Gone);
    open(backend, vec![day.clone()]).await.unwrap();
    assert_eq!(
        hold(backend, &due, mark().await).await,
        Hold::Gone,
        "closed since"
    );
}

/// Closing writes the number, the drift and the totals down, and replaces the totals of the close before. Opened again, the day keeps its
/// number; opened twice, it is as it was.
pub async fn each_close_replaces_the_one_before(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let day = UsageDay::new(tenant, DAY, "UTC");
    let mut meters = [
        standard_meter(backend, "chat").await.id,
        standard_meter(backend, "jobs").await.id,
        standard_meter(backend, "tokens").await.id,
    ];
    meters.sort();
    let total = |meter_id, units: i64| MeterDay {
        meter_id,
        metric: "unused".to_owned(),
        quantity: Quantity::from(BigDecimal::new(units.into(), 12)),
        sum: BigDecimal::new((units + 1).into(), 3),
        count: units + 2,
        min: (units + 3).into(),
        max: (units + 4).into(),
        raw_sum: 0.into(),
        raw_count: 0,
    };
    for (number, drift, totals) in [
        (1, "0", vec![total(meters[0], 10), total(meters[1], 20)]),
        (2, "2.5", vec![total(meters[1], 30), total(meters[2], 40)]),
        (3, "0", vec![]),
    ] {
        open(backend, vec![day.clone()]).await.unwrap();
        open(backend, vec![day.clone()]).await.unwrap();
        assert_eq!(due_day(backend, tenant).await.unwrap().closes, number - 1);
        let before = backend.day_record(tenant, DAY).await.unwrap();
        assert_eq!((before.is_closed, before.closes), (false, number - 1));

        let drift: BigDecimal = drift.parse().unwrap();
        let record = DayRecord {
            is_closed: true,
            closes: number,
            drift: Some(drift.clone()),
            totals: totals.iter().map(DailyTotal::from).collect(),
        };
        let day = day.clone();
        in_books(backend, move |store| {
            store.close_day(&day, number, &drift, &totals, AFTER)
        })
        .await
        .unwrap();
        assert_eq!(backend.day_record(tenant, DAY).await, Some(record));
        assert_eq!(due(backend, AFTER, 9).await, []);
    }
}

/// A meter's day is what its aggregation makes of the events behind the watermark, with sums, counts and extremes: as the oracle adds
/// them up, in the order of the meters' ids.
pub async fn a_day_is_reconciled_exactly(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let day = UsageDay::new(tenant, date!(2025 - 10 - 26), "Europe/Paris");
    assert_eq!(day.ends_at - day.starts_at, Duration::hours(25));
    let mut meters = vec![standard_meter(backend, "chat").await];
    for aggregation in Aggregation::ALL {
        let mut row = meter(aggregation.as_str(), aggregation);
        row.dimensions = vec!["region".to_owned()];
        meters.push(stored(backend, tenant, row).await);
    }
    meters.sort_by_key(|meter| meter.id);
    let mut dice = Dice(0x00dd_ba11_5eed_f00d);
    let mut known: Vec<Known> = Vec::new();
    for n in 0..120 {
        // From an hour before the day to an hour after it.
        let into = i64::try_from(dice.roll(27 * 3_600_000_000)).unwrap();
        let units = i128::from(dice.roll(1 << 52)) - (1 << 51);
        let mut fact = Known {
            meter: dice.pick(&meters),
            at: day.starts_at - Duration::hours(1) + Duration::microseconds(into),
            received_at: OffsetDateTime::UNIX_EPOCH,
            dedup: Uuid::nil(),
            units,
            project_id: dice.pick(&[None, Some(ProjectId::new(fixture::at(n % 3)))]),
            user_id: dice.pick(&[None, Some("u".to_owned())]),
            model: None,
            who: dice.pick(&[None, Some("p1".to_owned()), Some("p2".to_owned())]),
            region: dice.pick(&[None, Some("eu".to_owned())]),
            tier: None,
        };
        let event = fact.to_event(&n.to_string());
        fact.dedup = event.dedup;
        fact.received_at = append(backend, tenant, vec![event]).await.0;
        known.push(fact);
        if n == 79 {
            roll_all(backend, 80).await;
            let rolled = reconciled(backend, &day).await.meters;
            assert_eq!(rolled, expected(&known, &meters, &day));
        }
    }
    let rolled = reconciled(backend, &day).await.meters;
    assert_eq!(
        rolled,
        expected(&known[..80], &meters, &day),
        "the rest waits"
    );
    roll_all(backend, 40).await;
    let rolled = reconciled(backend, &day).await.meters;
    assert_eq!(rolled, expected(&known, &meters, &day));
    assert_eq!(rolled.len(), 7);
    let empty = UsageDay::new(tenant, date!(2025 - 10 - 28), "Europe/Paris");
    assert_eq!(reconciled(backend, &empty).await.meters, []);
}

async fn reconciled(backend: &impl Backend, day: &UsageDay) -> Reconciled {
    let day = day.clone();
    in_books(backend, move |store| store.reconcile(&day))
        .await
        .unwrap()
}

fn expected(known: &[Known], meters: &[Meter], day: &UsageDay) -> Vec<MeterDay> {
    let of_meter = |meter: &Meter| {
        let members = known.iter().filter(|fact| fact.meter == *meter);
        let is_within = |fact: &&Known| day.starts_at <= fact.at && fact.at < day.ends_at;
        let members: Vec<&Known> = members.filter(is_within).collect();
        let decimal = |units: i128| usage_oracle::quantity(units).as_decimal().clone();
        let units = || members.iter().map(|fact| fact.units);
        let (sum, count) = (
            decimal(units().sum()),
            i64::try_from(members.len()).unwrap(),
        );
        Some(MeterDay {
            meter_id: meter.id,
            metric: meter.key.clone(),
            quantity: usage_oracle::total(meter, &members),
            sum: sum.clone(),
            count,
            min: decimal(units().min()?),
            max: decimal(units().max()?),
            raw_sum: sum,
            raw_count: count,
        })
    };
    meters.iter().filter_map(of_meter).collect()
}

/// An event that comes late opens its day again when it is rolled up; the day is closed under the next number, without drift, and
/// announced each time.
pub async fn a_late_event_opens_its_day_again(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    move_to(backend, tenant, "Asia/Kathmandu").await;
    let chat = standard_meter(backend, "chat").await;
    let noon = datetime!(2025-11-10 06:15 UTC);
    send(backend, tenant, &chat, "a", noon).await;
    assert_eq!(
        close(backend, tenant, AFTER).await,
        Close::NotDue,
        "nobody opened it"
    );
    roll_all(backend, 1).await;
    let early = datetime!(2025-11-10 18:14:59 UTC);
    assert_eq!(close(backend, tenant, early).await, Close::NotDue);
    send(backend, tenant, &chat, "b", early).await;
    assert_eq!(close(backend, tenant, AFTER).await, Close::Waiting);
    roll_all(backend, 1).await;
    assert_eq!(close(backend, tenant, AFTER).await, closed(1));
    assert_eq!(close(backend, tenant, AFTER).await, Close::NotDue);
    assert_eq!(
        record(backend, tenant).await,
        (true, 1, vec!["4".to_owned()])
    );

    // The first instant of the day there.
    send(backend, tenant, &chat, "c", datetime!(2025-11-09 18:15 UTC)).await;
    assert_eq!(
        close(backend, tenant, AFTER).await,
        Close::NotDue,
        "not known yet"
    );
    roll_all(backend, 1).await;
    assert_eq!(
        record(backend, tenant).await,
        (false, 1, vec!["4".to_owned()])
    );
    assert_eq!(close(backend, tenant, AFTER).await, closed(2));
    assert_eq!(
        record(backend, tenant).await,
        (true, 2, vec!["6".to_owned()])
    );

    let facts = run(backend.outbox(), Scope::global(), |store| {
        store.unrelayed(9)
    });
    let facts = facts.await.unwrap();
    for (number, quantity) in [(1, "4"), (2, "6")] {
        let key = format!("usage.day_closed:{tenant}:2025-11-10:{number}");
        let told = facts.iter().filter(|fact| fact.key.as_ref() == Some(&key));
        let told: Vec<_> = told.map(|fact| &fact.payload).collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["drift"], "0");
        assert_eq!(told[0]["timezone"], "Asia/Kathmandu");
        let metrics = serde_json::json!([{"metric": "chat", "quantity": quantity}]);
        assert_eq!(told[0]["metrics"], metrics);
    }
}

/// Workers that close at once close each day once: whoever comes second finds it held or closed.
pub async fn workers_close_each_day_once(backend: &impl Backend) {
    let mut tenants = Vec::new();
    let chat = standard_meter(backend, "chat").await;
    for slug in ["aaa", "bbb", "ccc", "ddd", "eee"] {
        let tenant = fixture::stored_tenant(backend, slug).await.id;
        let at = DAY.midnight().assume_utc();
        let events = (0..4).map(|n| event(&chat, &n.to_string(), at, 1));
        append(
            backend,
            tenant,
            events.collect::<Vec<MeteredEvent<'static>>>(),
        )
        .await;
        tenants.push(tenant);
    }
    roll_all(backend, 20).await;
    let workers = (0..4).map(|_| {
        let tenants = &tenants;
        async move {
            let closes = tenants.iter().map(|tenant| close(backend, *tenant, AFTER));
            join_all(closes).await
        }
    });
    let outcomes = join_all(workers).await.concat();
    let number = |outcome: Close| outcomes.iter().filter(|it| **it == outcome).count();
    assert_eq!((number(closed(1)), number(Close::NotDue)), (5, 15));
    for tenant in tenants {
        assert_eq!(
            record(backend, tenant).await,
            (true, 1, vec!["4".to_owned()])
        );
    }
}
