//! Dimensions and versions of meters: answers equal plain SQL over the raw events, in which each event's version is looked up by time.

use std::collections::BTreeSet;

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types};
use kernel::Zone;
use pg::migrate::Migrator;
use testkit::contract::usage_fixture::Dice;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::datetime};
use usage::{Filter, Granularity, GroupBy, Item, MeterChange, NewMeter, UsageRequest, UsageRow};

use crate::usage_fixture::{Fixture, event, letters};

/// An instant of a season with clock changes, often amid a quarter of an hour that has many events.
fn instant(dice: &mut Dice) -> OffsetDateTime {
    let quarters = dice.pick(&[6, 96 * 20]);
    let quarter = i64::try_from(dice.roll(quarters)).unwrap();
    let into = i64::try_from(dice.roll(900_000_000)).unwrap();
    datetime!(2025-10-20 00:00 UTC)
        + Duration::minutes(15 * quarter)
        + Duration::microseconds(dice.pick(&[0, into]))
}
const AGGREGATIONS: [&str; 6] = ["sum", "count", "max", "min", "latest", "unique"];
/// In the order of answers.
const NAMES: [&str; 3] = ["far", "region", "tier"];
const ZONES: [&str; 4] = [
    "UTC",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Pacific/Auckland",
];

async fn make_meter(fixture: &Fixture, key: &str, aggregation: &str, dimensions: &[&str]) {
    let new = NewMeter {
        key: key.to_owned(),
        aggregation: aggregation.to_owned(),
        unit: "unit".to_owned(),
        dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
        value_field: (aggregation == "unique").then(|| "who".to_owned()),
        allows_negative: true,
        ..NewMeter::default()
    };
    fixture.usage.create_meter(&fixture.by, new).await.unwrap();
}

/// Every event has all that any version of its meter asks for, and more.
fn random_event(dice: &mut Dice, number: u64) -> Item {
    let metric = dice.pick(&AGGREGATIONS);
    let at = instant(dice).format(&Rfc3339).unwrap();
    let (whole, parts) = (dice.roll(1000), dice.roll(1_000_000_000_000));
    let sign = dice.pick(&["", "-"]);
    let user = dice.pick(&["", r#""user_id":"u1","#, r#""user_id":"u2","#]);
    let region = dice.pick(&[
        "",
        r#""region":"eu","#,
        r#""region":"ü\"S","#,
        r#""region":"","#,
    ]);
    let tier = dice.pick(&["", r#""tier":1,"#, r#""tier":"1","#, r#""tier":2.50,"#]);
    let far = dice.pick(&["", r#""far":true,"#, r#""far":null,"#]);
    let (who, other) = (dice.roll(5), dice.roll(3));
    event(&format!(
        r#"{{"id":"{number}","metric":"{metric}","quantity":{sign}{whole}.{parts:012},"occurred_at":"{at}",{user}
            "metadata":{{{region}{tier}{far}"who":"p{who}","deep":{{"er":{{"value":{other}}}}}}}}}"#
    ))
}

/// Changes what a random meter is told apart by, and where its value stands.
async fn change_some_meter(fixture: &Fixture, dice: &mut Dice) {
    let key = dice.pick(&AGGREGATIONS);
    let mut dimensions: Vec<String> = NAMES.map(str::to_owned).to_vec();
    dimensions.retain(|_| dice.roll(2) == 0);
    let mut fields = vec![Some("$.deep.er.value".to_owned()), Some("$.who".to_owned())];
    if key != "unique" {
        fields[1] = None;
    }
    let change = MeterChange {
        dimensions: Some(dimensions),
        value_field: Some(dice.pick(&fields)),
        ..MeterChange::default()
    };
    let changed = fixture
        .usage
        .change_meter(&fixture.by, key.to_owned(), change, None);
    changed.await.unwrap();
}

fn random_request(dice: &mut Dice) -> (UsageRequest, &'static str) {
    let (a, b) = (instant(dice), instant(dice));
    let (name, granularity) = dice.pick(&[
        ("15m", Granularity::Quarter),
        ("hour", Granularity::Hour),
        ("day", Granularity::Day),
        ("month", Granularity::Month),
    ]);
    let mut group_by = GroupBy {
        user: dice.roll(2) == 0,
        ..GroupBy::default()
    };
    let dimensions = NAMES.into_iter().filter(|_| dice.roll(2) == 0);
    group_by.dimensions = dimensions.map(str::to_owned).collect();
    let mut filter = Filter::default();
    for (name, values) in [
        ("region", ["eu", "ü\"S", ""]),
        ("tier", ["1", "2.50", ""]),
        ("far", ["true", "", ""]),
        ("user", ["u1", "u2", ""]),
    ] {
        for _ in 0..dice.roll(8).saturating_sub(5) {
            filter.add(name, dice.pick(&values)).unwrap();
        }
    }
    let request = UsageRequest {
        metrics: AGGREGATIONS.map(str::to_owned).to_vec(),
        from: Some(a.min(b)),
        to: Some(a.max(b) + Duration::microseconds(1)),
        granularity,
        group_by,
        filter,
        timezone: Some(Zone::parse("timezone", dice.pick(&ZONES)).unwrap()),
    };
    (request, name)
}

/// An SQL list of texts.
fn list(texts: &BTreeSet<String>) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("'{text}'")).collect();
    quoted.join(", ")
}

/// The same question, asked of raw events and of the versions of their meters.
fn plain_sql(fixture: &Fixture, request: &UsageRequest, granularity: &str) -> Vec<String> {
    let (from, to) = (request.from.unwrap(), request.to.unwrap());
    let zone = request.timezone.as_ref().unwrap().name();
    let bucket = match granularity {
        "15m" => {
            "date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00:00+00')".to_owned()
        }
        unit => format!("date_trunc('{unit}', e.occurred_at, '{zone}')"),
    };
    let said = |name: &str| {
        format!(
            "case when '{name}' = any (v.dimensions) then coalesce(e.metadata ->> '{name}', '') else '' end"
        )
    };
    let columns = NAMES.map(|name| {
        let is_asked = request.group_by.dimensions.contains(name);
        if is_asked {
            said(name)
        } else {
            "''".to_owned()
        }
    });
    let mut wanted: Vec<String> = (request.filter.dimensions.iter())
        .map(|(name, values)| format!("{} in ({})", said(name), list(values)))
        .collect();
    if !request.filter.users.is_empty() {
        wanted.push(format!(
            "coalesce(e.user_id, '') in ({})",
            list(&request.filter.users)
        ));
    }
    wanted.push("true".to_owned());
    let user = if request.group_by.user {
        "coalesce(e.user_id, '')"
    } else {
        "''"
    };
    let rows: Vec<Line> = sql_query(format!(
        "select concat_ws('|', key, extract(epoch from bucket)::numeric(30, 6), user_id, a, b, c,
            trim_scale(case aggregation when 'sum' then sum(quantity) when 'count' then count(*)
                when 'max' then max(quantity) when 'min' then min(quantity)
                when 'latest' then (array_agg(quantity order by occurred_at desc, received_at desc, dedup desc))[1]
                else count(distinct value) end)) as line
         from (
            select m.key collate \"C\" as key, m.aggregation, {bucket} as bucket, {user} collate \"C\" as user_id,
                {} collate \"C\" as a, {} collate \"C\" as b, {} collate \"C\" as c, e.occurred_at, e.received_at, e.dedup,
                case when v.value_field is null or m.aggregation = 'unique' then e.quantity
                    else (e.metadata #>> '{{deep,er,value}}')::numeric end as quantity,
                case v.value_field when '$.deep.er.value' then e.metadata #>> '{{deep,er,value}}' else e.metadata ->> 'who' end as value
            from usage_events e join meters m on m.id = e.meter_id
            cross join lateral (
                select * from meter_versions v where v.meter_id = e.meter_id and v.created_at <= e.received_at
                order by version desc limit 1) v
            where e.occurred_at >= '{from}' and e.occurred_at < '{to}' and {}
         ) e
         group by key, aggregation, bucket, user_id, a, b, c order by key, bucket, user_id, a, b, c",
        columns[0],
        columns[1],
        columns[2],
        wanted.join(" and "),
    ))
    .load(&mut PgConnection::establish(&fixture.db.superuser_url()).unwrap())
    .unwrap();
    rows.into_iter().map(|row| row.line).collect()
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = sql_types::Text)]
    line: String,
}

fn line(row: &UsageRow) -> String {
    let micros = row.bucket.unix_timestamp_nanos() / 1000;
    let at = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let user = row.user_id.as_deref().unwrap_or_default();
    let dimensions = NAMES.map(|name| {
        let value = row.dimensions.get(name).cloned().flatten();
        value.unwrap_or_default()
    });
    let dimensions = dimensions.join("|");
    format!("{}|{at}|{user}|{dimensions}|{}", row.metric, row.quantity)
}

#[tokio::test]
async fn answers_by_dimension_equal_plain_sql_whatever_versions_meters_go_through() {
    let fixture = Fixture::new("Asia/Kolkata").await;
    for aggregation in AGGREGATIONS {
        // Every dimension was declared once, so every question may name it.
        make_meter(&fixture, aggregation, aggregation, &NAMES).await;
    }
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let (mut sent, mut compared) = (0, 0);
    for _ in 0..100 {
        let events = dice.roll(40);
        let items = (0..events).map(|n| random_event(&mut dice, sent + n));
        let receipt = fixture.ingest(items.collect()).await;
        assert_eq!(
            letters(&receipt),
            "a".repeat(usize::try_from(events).unwrap())
        );
        sent += events;
        match dice.roll(4) {
            0 => drop(fixture.roll().await),
            1 => change_some_meter(&fixture, &mut dice).await,
            _ => {}
        }
        let (request, granularity) = random_request(&mut dice);
        let limit = u32::try_from(1 + dice.roll(100)).unwrap();
        let rows = fixture.read(&request, limit).await;
        let lines: Vec<String> = rows.iter().map(line).collect();
        assert_eq!(
            lines,
            plain_sql(&fixture, &request, granularity),
            "{request:?}"
        );
        compared += lines.len();
    }
    assert!(compared > 1000, "only {compared} rows were compared");
    let versions = fixture.number("select count(*) from meter_versions");
    assert!(versions > 15, "only {versions} versions");
}

/// Everything that a page of the index must hold at once, with no two letters alike to pack.
#[tokio::test]
async fn the_largest_key_of_a_rollup_fits_into_its_index() {
    let fixture = Fixture::new("UTC").await;
    let mut dice = Dice(7);
    let mut text = |length: usize, letters: &[char]| -> String {
        (0..length).map(|_| dice.pick(letters)).collect()
    };
    let plain: Vec<char> = ('!'..='~').filter(|c| !matches!(c, '"' | '\\')).collect();
    let names: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let dimensions: Vec<String> = (0..4).map(|_| text(64, &names)).collect();
    let names: Vec<&str> = dimensions.iter().map(String::as_str).collect();
    make_meter(&fixture, "largest", "unique", &names).await;
    let metadata: serde_json::Map<_, _> = (dimensions.iter())
        // Each of these is two bytes in JSON.
        .map(|name| (name.clone(), text(128, &['"', '\\']).into()))
        .chain([("who".to_owned(), "x".into())])
        .collect();
    let said = serde_json::json!({
        "id": "e", "metric": "largest", "occurred_at": "2025-10-20T00:00:00Z",
        "user_id": text(255, &plain), "model": text(255, &plain), "metadata": metadata,
    });
    let receipt = fixture.ingest(vec![event(&said.to_string())]).await;
    assert_eq!(letters(&receipt), "a");
    fixture.roll_all(1).await;
    let size =
        |expression: &str| fixture.number(&format!("select sum({expression}) from usage_rollups"));
    assert_eq!(size("length(dims)"), 4 * (64 + 2 * 128 + 6) + 1);
    assert_eq!(size("length(user_id) + length(model)"), 510);
    // No text is packed tighter than it is long: the bound holds for the worst of them. 2,704 bytes is what PostgreSQL lets a row of an index have.
    let texts = size("length(dims) + length(user_id) + length(model)") + 3 * 4;
    let others = 8 + 4 * 16 + 8 + 4 * 8;
    assert!(texts + others < 2_704, "{texts} + {others}");
}

/// The events and their rollups as they are, beside what they were made of.
const MADE: &str = "
    select string_agg(line, E'\\n' order by line) from (
        select concat_ws('|', e.event_id, e.dims, e.value_hash) as line from usage_events e
        union all
        select concat_ws('|', m.key, r.bucket, r.user_id, r.dims, r.value_hash, r.sum, r.count, r.min, r.max, r.first_at, r.last_at,
            r.last_value, r.last_received_at, r.last_dedup)
        from usage_rollups r join meters m on m.id = r.meter_id
    ) l";

#[tokio::test]
async fn events_from_before_the_migration_get_what_the_rules_would_have_given_them() {
    let fixture = Fixture::new("UTC").await;
    for aggregation in AGGREGATIONS {
        make_meter(&fixture, aggregation, aggregation, &NAMES).await;
    }
    let mut dice = Dice(99);
    let items: Vec<Item> = (0..300).map(|n| random_event(&mut dice, n)).collect();
    fixture.ingest(items).await;
    let values = [
        r#""\"ü""#,
        "1",
        "1.0",
        "1e3",
        "-0",
        "-0.50",
        "true",
        "\"1\"",
        "\"\"",
    ];
    let items = values.iter().enumerate().map(|(n, value)| {
        event(&format!(
            r#"{{"id":"v{n}","metric":"unique","occurred_at":"2025-10-20T00:00:00Z","metadata":{{"who":{value},"tier":{value}}}}}"#
        ))
    });
    fixture.ingest(items.collect()).await;
    fixture.roll_all(309).await;
    // What is not rolled up yet gets it too.
    let items: Vec<Item> = (400..450).map(|n| random_event(&mut dice, n)).collect();
    fixture.ingest(items).await;
    let before = fixture.text(MADE);

    let mut migrator = Migrator::connect(&fixture.db.owner_url()).unwrap();
    while !migrator.down().unwrap().unwrap().contains("090000") {}
    let rollups = fixture.text("select string_agg(distinct count::text, ',') from usage_rollups");
    assert!(!rollups.is_empty());
    assert_eq!(fixture.number("select sum(count) from usage_rollups"), 309);
    migrator.up().unwrap();
    assert_eq!(fixture.text(MADE), before);
    assert_eq!(
        fixture.number("select count(*) from meter_versions where version = 1"),
        6
    );
}

/// A bucket whose events are no longer all there keeps the totals that it has.
#[tokio::test]
async fn the_migration_loses_no_rollup_whose_events_are_gone() {
    let fixture = Fixture::new("UTC").await;
    make_meter(&fixture, "sum", "sum", &["region"]).await;
    let items = (1..=3).map(|n| {
        event(&format!(
            r#"{{"id":"{n}","metric":"sum","quantity":{n},"occurred_at":"2025-10-20T00:00:00Z","metadata":{{"region":"eu"}}}}"#
        ))
    });
    fixture.ingest(items.collect()).await;
    fixture.roll_all(3).await;
    let mut migrator = Migrator::connect(&fixture.db.owner_url()).unwrap();
    while !migrator.down().unwrap().unwrap().contains("090000") {}
    fixture.execute("delete from usage_events where event_id = '2'");
    migrator.up().unwrap();
    assert_eq!(fixture.text("select sum || dims from usage_rollups"), "6");
}

/// Rollups hold all that it takes to count different values: the events may go.
#[tokio::test]
async fn different_values_are_counted_when_their_events_are_gone() {
    let fixture = Fixture::new("UTC").await;
    make_meter(&fixture, "unique", "unique", &["region"]).await;
    let people = [
        ("a", "eu", 9),
        ("b", "eu", 9),
        ("a", "us", 9),
        ("a", "eu", 21),
    ];
    let items = people.iter().enumerate().map(|(n, (who, region, hour))| {
        event(&format!(
            r#"{{"id":"{n}","metric":"unique","occurred_at":"2025-10-20T{hour:02}:00:00Z","metadata":{{"who":"{who}","region":"{region}"}}}}"#
        ))
    });
    fixture.ingest(items.collect()).await;
    fixture.roll_all(4).await;
    fixture.execute("delete from usage_events");
    let request = |group_by: &[&str], granularity| UsageRequest {
        metrics: vec!["unique".to_owned()],
        from: Some(datetime!(2025-10-20 00:00 UTC)),
        to: Some(datetime!(2025-10-21 00:00 UTC)),
        granularity,
        group_by: GroupBy::parse(group_by.iter().copied()).unwrap(),
        filter: Filter::default(),
        timezone: None,
    };
    for (group_by, granularity, expected) in [
        (&[][..], Granularity::Day, &["2"][..]),
        (&[], Granularity::Hour, &["2", "1"]),
        (&["region"], Granularity::Day, &["2", "1"]),
    ] {
        let rows = fixture.read(&request(group_by, granularity), 10).await;
        let told: Vec<_> = rows.iter().map(|row| row.quantity.to_string()).collect();
        assert_eq!(told, expected, "{group_by:?} {granularity:?}");
    }
}
