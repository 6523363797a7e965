//! Events are let in once, whoever sends them how often at once.

use std::{sync::mpsc, time::Duration};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use kernel::StoreError;
use pg::migrate::Migrator;
use testkit::contract::usage_fixture;
use time::{Date, Month};
use usage::{Aggregation, IngestError, Item, Options, Store, ingest, ingest::Appended};

use crate::usage_fixture::{Fixture, event, letters};

fn batch(first: u32, last: u32) -> Vec<Item> {
    let one = |n| {
        event(&format!(
            r#"{{"id":"e{n}","metric":"tool_call","quantity":"0.1"}}"#
        ))
    };
    (first..last).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_copies_of_a_batch_at_once_count_once() {
    let fixture = Fixture::new("UTC").await;
    let copies = (0..16).map(|copy| {
        let (usage, by) = (fixture.usage.clone(), fixture.by.clone());
        // Each in another order, so that they meet half-way.
        let mut items = batch(0, 200);
        items.rotate_left(copy * 12);
        if copy % 2 == 1 {
            items.reverse();
        }
        tokio::spawn(async move { usage.ingest(&by, items, Options::default()).await })
    });
    let mut accepted = 0;
    for copy in copies.collect::<Vec<_>>() {
        let [new, duplicates, conflicts, rejected] = copy.await.unwrap().unwrap().counts();
        assert_eq!((new + duplicates, conflicts, rejected), (200, 0, 0));
        accepted += new;
    }
    assert_eq!(accepted, 200);
    assert_eq!(fixture.number("select count(*) from usage_events"), 200);
    assert_eq!(
        fixture.text("select sum(quantity) from usage_events"),
        "20.0"
    );
}

#[tokio::test]
async fn a_replay_is_a_duplicate_and_another_fact_is_a_conflict() {
    let fixture = Fixture::new("UTC").await;
    let first = event(r#"{"id":"e","metric":"chat","quantity":1}"#);
    let same = event(r#"{"id":"e","metric":"chat","quantity":"1.0"}"#);
    let other = event(r#"{"id":"e","metric":"chat","quantity":2}"#);
    let elsewhere = event(r#"{"id":"e","source":"app","metric":"chat","quantity":2}"#);
    let all = vec![first.clone(), same, other.clone(), elsewhere];
    assert_eq!(letters(&fixture.ingest(all.clone()).await), "adca");
    assert_eq!(letters(&fixture.ingest(all).await), "ddcd");
    assert_eq!(letters(&fixture.ingest(vec![other, first]).await), "cd");
    assert_eq!(
        fixture.text("select string_agg(quantity::text, ' ' order by quantity) from usage_events"),
        "1 2"
    );
}

#[tokio::test]
async fn one_bad_event_does_not_keep_the_others_out_unless_asked_to() {
    let fixture = Fixture::new("UTC").await;
    let items = || {
        vec![
            event(r#"{"id":"a","metric":"chat"}"#),
            event(r#"{"id":"b","metric":"nonsense"}"#),
            event(r#"{"id":"c","metric":"chat","quantity":-1}"#),
            event(
                r#"{"id":"d","metric":"chat","project_id":"018f0000-0000-7000-8000-000000000000"}"#,
            ),
            event(r#"{"id":"e","metric":"chat","occurred_at":"1999-12-31T23:59:59Z"}"#),
            event(r#"{"id":"f","metric":"chat","metadata":{"note":"kept"}}"#),
        ]
    };
    let strict = Options {
        strict: true,
        backfill: true,
    };
    match fixture.usage.ingest(&fixture.by, items(), strict).await {
        Err(IngestError::Strict(failures)) => {
            let codes: Vec<_> = failures.iter().map(|(at, why)| (*at, why.code)).collect();
            assert_eq!(
                codes,
                [
                    (1, "usage.unknown_metric"),
                    (2, "usage.negative_quantity"),
                    (3, "usage.unknown_project"),
                    (4, "usage.too_old")
                ]
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.number("select count(*) from usage_events"), 0);
    assert_eq!(letters(&fixture.ingest(items()).await), "arrrra");
    assert_eq!(
        fixture.text("select metadata from usage_events where event_id = 'f'"),
        r#"{"note": "kept"}"#
    );
}

#[tokio::test]
async fn age_is_measured_by_the_clock_of_the_database() {
    let fixture = Fixture::new("UTC").await;
    let at = |offset: &str| {
        let time = fixture.text(&format!(
            "select to_char((now() + interval '{offset}') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        ));
        event(&format!(
            r#"{{"id":"{offset}","metric":"chat","occurred_at":"{time}"}}"#
        ))
    };
    let items = vec![
        at("4 minutes"),
        at("6 minutes"),
        at("-34 days -23 hours"),
        at("-35 days -1 minute"),
    ];
    let receipt = fixture
        .usage
        .ingest(&fixture.by, items.clone(), Options::default())
        .await;
    assert_eq!(letters(&receipt.unwrap()), "arar");
    assert_eq!(letters(&fixture.ingest(items).await), "drda", "backfill");
}

#[tokio::test]
async fn a_meter_may_name_the_field_of_its_value() {
    let fixture = Fixture::new("UTC").await;
    fixture.execute(&format!(
        "insert into meters (tenant_id, key, name, aggregation, unit, value_field, allows_negative)
         values ('{}', 'cost', 'Cost', 'sum', 'dollar', 'cost', true)",
        fixture.tenant_id
    ));
    let items = vec![
        event(r#"{"id":"a","metric":"cost","metadata":{"cost":-0.123456789012}}"#),
        event(r#"{"id":"b","metric":"cost","metadata":{"cost":"2"}}"#),
        event(r#"{"id":"c","metric":"cost"}"#),
        event(r#"{"id":"d","metric":"cost","metadata":{"cost":"much"}}"#),
    ];
    assert_eq!(letters(&fixture.ingest(items).await), "aarr");
    assert_eq!(
        fixture.text("select sum(quantity) from usage_events"),
        "1.876543210988"
    );
}

/// Keys are kept for 840 hours, also where the server's own clock went forward meanwhile.
#[tokio::test]
async fn a_key_is_kept_as_long_in_every_time_zone_of_the_server() {
    let fixture = Fixture::new("UTC").await;
    fixture.books.ensure_partitions(18).await.unwrap();
    let store = fixture.store("-c TimeZone=Europe/Paris");
    let year = kernel::Clock::now(&kernel::SystemClock).year() + 1;
    let march = Date::from_calendar_date(year, Month::March, 10).unwrap();
    let received_at = march.with_hms(12, 0, 0).unwrap().assume_utc();
    let meter = usage_fixture::meter("chat", Aggregation::Sum);
    let sent = usage_fixture::event(&meter, "e", received_at, 1);
    let tenant_id = fixture.tenant_id;
    for (hours, is_new) in [(0, true), (839, false), (840, true)] {
        let (event, at) = (sent.clone(), received_at + time::Duration::hours(hours));
        let appended = store.run(fixture.scope(), move |store| {
            store.append_events(tenant_id, at, &[event])
        });
        let appended: Result<Vec<Appended>, StoreError> = appended.await;
        assert_eq!(
            appended.unwrap() == [Appended::Now],
            is_new,
            "{hours} hours"
        );
    }
}

/// Whoever sends an event again after an upgrade finds it under the key it has now.
#[tokio::test]
async fn events_from_before_the_migration_get_the_keys_they_would_be_given() {
    let fixture = Fixture::new("UTC").await;
    let sent = || {
        let ids = [
            "1",
            "é",
            "request-1234567",
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "01890A5DAC96774BBCCEB302099A8057",
            "evt_01890a5d-ac96-474b-bcce-b302099a8057",
            "01H455VB4PEX5VSKNK084SN02Q",
            "81H455VB4PEX5VSKNK084SN02Q",
            "usage_event_01h455vb4pex5vsknk084sn02q",
            "01H455VB4PEX5VSKNK084SN0ü",
        ];
        let events = ids.map(|id| {
            event(&format!(
                r#"{{"id":"{id}","source":"ü","metric":"chat","quantity":1}}"#
            ))
        });
        events.to_vec()
    };
    fixture.ingest(sent()).await;
    let keys =
        || fixture.text("select string_agg(dedup::text, ' ' order by event_id) from usage_events");
    let now = keys();
    let mut migrator = Migrator::connect(&fixture.db.owner_url()).unwrap();
    while !migrator.down().unwrap().unwrap().contains("130000") {}
    assert_ne!(keys(), now);
    migrator.up().unwrap();
    assert_eq!(keys(), now);
    assert_eq!(letters(&fixture.ingest(sent()).await), "dddddddddd");
}

/// Keys 1 to 5: received a month before, in this month, too long ago, never, and never. Whoever bets loses, by key 2.
#[tokio::test]
async fn a_lost_bet_and_a_look_beforehand_come_to_the_same() {
    for bets in [true, false] {
        let fixture = Fixture::new("UTC").await;
        let (tenant_id, key) = (fixture.tenant_id, "lpad(n::text, 32, '0')::uuid");
        let received = "(date_trunc('month', now(), 'UTC') + interval '41 days')";
        fixture.execute(&format!(
            "insert into usage_events (tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source)
             select '{tenant_id}', gen_random_uuid(), {key}, {key}, now(), {received} - ago, 1, n::text, 'before'
             from (values (1, interval '720 hours'), (2, interval '1 hour'), (3, interval '864 hours')) as b (n, ago)"
        ));
        let before = fixture.text(&format!(
            "select string_agg(place || ' ' || trim(leading '0-' from payload_hash::text), ', ' order by place)
             from (select array_agg({key}) as keys, array_agg(now()) as times, array_agg(1.0) as ones, array_agg('n'::text) as names
                   from generate_series(1, 5) n) sent,
                app.append_usage_events(false, {bets}, array['{tenant_id}'::uuid], array[5], {received}, keys, keys, keys, times, ones,
                    null, names, names, null, null, null, null, null)"
        ));
        assert_eq!(before, "1 1, 2 2", "bets: {bets}");
        let now = fixture.text(
            "select string_agg(trim(leading '0-' from dedup::text), ' ' order by dedup) from usage_events where source = 'n'",
        );
        assert_eq!(now, "3 4 5", "bets: {bets}");
    }
}

/// Two writers on both sides of a month's end, whose clocks the test sets, see each other.
#[tokio::test(flavor = "multi_thread")]
async fn copies_on_both_sides_of_a_months_end_count_once() {
    let fixture = Fixture::new("UTC").await;
    let definition = fixture.text("pg_get_functiondef('app.usage_received_at'::regproc)");
    fixture.execute(
        "create function public.test_clock() returns timestamptz language sql
             as $$ select current_setting('test.now')::timestamptz $$",
    );
    fixture.execute(&definition.replace("clock_timestamp()", "public.test_clock()"));
    let format = "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'";
    let side = |offset: &str| {
        let end = "date_trunc('month', now() at time zone 'UTC') + interval '1 month'";
        format!(
            "-c test.now={}",
            fixture.text(&format!("to_char({end} + interval '{offset}', {format})"))
        )
    };
    let (before, after) = (fixture.store(&side("-1 ms")), fixture.store(&side("1 ms")));

    let (written, wait_written) = mpsc::channel();
    let (go_on, wait_go_on) = mpsc::channel::<()>();
    let (by, scope) = (fixture.by.clone(), fixture.scope());
    let slow = tokio::spawn(async move {
        let work = move |store: &mut (dyn Store + 'static)| {
            let receipt = ingest::ingest(store, batch(0, 20), Options::default(), &by)?;
            written.send(()).unwrap();
            wait_go_on.recv_timeout(Duration::from_secs(20)).unwrap();
            Ok::<_, IngestError>(receipt)
        };
        before.run(scope, work).await
    });
    wait_written.recv_timeout(Duration::from_secs(20)).unwrap();
    let (by, scope) = (fixture.by.clone(), fixture.scope());
    let mut late = tokio::spawn(async move {
        let work = move |store: &mut (dyn Store + 'static)| {
            ingest::ingest(store, batch(0, 20), Options::default(), &by)
        };
        after.run(scope, work).await
    });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut late).await;
    assert!(
        early.is_err(),
        "the writer of the new month must wait for the one of the old"
    );
    go_on.send(()).unwrap();
    assert_eq!(slow.await.unwrap().unwrap().counts(), [20, 0, 0, 0]);
    assert_eq!(late.await.unwrap().unwrap().counts(), [0, 20, 0, 0]);
    assert_eq!(fixture.number("select count(*) from usage_events"), 20);
    assert_eq!(
        fixture.number("select count(distinct tableoid) from usage_events"),
        1
    );
}

#[tokio::test]
async fn partitions_are_ahead_protected_and_made_once() {
    let fixture = Fixture::new("UTC").await;
    let unprotected = "select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'usage_events'::regclass and not (c.relrowsecurity and c.relforcerowsecurity
            and exists (select from pg_index x where x.indrelid = c.oid and x.indisunique))";
    let leaves = "select count(*) from pg_inherits where inhparent = 'usage_events'::regclass";
    assert_eq!(
        fixture.number(leaves),
        4,
        "last month, this one and two ahead"
    );
    assert_eq!(fixture.number(unprotected), 0);
    assert_eq!(fixture.books.ensure_partitions(2).await.unwrap(), 0);
    assert_eq!(fixture.books.ensure_partitions(4).await.unwrap(), 2);
    assert_eq!(fixture.number(leaves), 6);
    assert_eq!(fixture.number(unprotected), 0);
}

/// PostgreSQL forgets what it was to note of them when many come at once.
#[tokio::test]
async fn the_times_of_events_are_noted_for_each_mebibyte() {
    let fixture = Fixture::new("UTC").await;
    let noted = async || fixture.books.summarise_events().await.unwrap();
    let blocks = "select (pg_relation_size('usage_events_' || to_char(now() at time zone 'UTC', 'YYYY_MM')) / 8192 + 127) / 128";
    noted().await;
    let before = fixture.number(blocks);
    fixture.execute(
        "insert into usage_events (tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source)
         select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now(), now(), 1, 'e' || n, 'plinth'
         from generate_series(1, 20000) n",
    );
    let new = fixture.number(blocks) - before;
    assert!(new >= 2, "{new} MiB");
    // The first is noted as the index is made.
    assert_eq!(i64::from(noted().await), new - 1);
    assert_eq!(noted().await, 0);
}

#[tokio::test]
async fn the_api_can_neither_change_an_event_nor_see_another_tenants() {
    let fixture = Fixture::new("UTC").await;
    fixture.ingest(batch(0, 3)).await;
    let mut app = PgConnection::establish(&fixture.db.app_url()).unwrap();
    for statement in [
        "update usage_events set quantity = 0",
        "delete from usage_events",
        "delete from usage_rollups",
        "update usage_watermark set txid = 0",
        "truncate usage_events",
    ] {
        assert!(app.batch_execute(statement).is_err(), "{statement}");
    }
    let nobody = fixture.store("");
    let seen = nobody
        .run(kernel::Scope::global(), {
            let tenant_id = fixture.tenant_id;
            move |store: &mut (dyn Store + 'static)| {
                let meters = store.all_meters(tenant_id)?;
                let now = kernel::Clock::now(&kernel::SystemClock);
                let query = usage::query::UsageQuery {
                    meters,
                    from: now - time::Duration::hours(1),
                    to: now + time::Duration::hours(1),
                    buckets: usage::Buckets::Quarters,
                    group_by: usage::GroupBy::default(),
                    filter: usage::Filter::default(),
                    project_id: None,
                    with_empty: false,
                };
                Ok::<_, StoreError>(store.usage(tenant_id, &query, None, 100)?.len())
            }
        })
        .await;
    assert_eq!(
        seen.unwrap(),
        0,
        "without a tenant in scope nothing is seen, even by its name"
    );
}
