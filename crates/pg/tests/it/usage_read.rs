//! What is read equals plain SQL over the raw events, at any moment, in any zone, over any range.

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types};
use kernel::Zone;
use testkit::contract::usage_fixture::Dice;
use time::{Duration, OffsetDateTime, macros::datetime};
use usage::{Filter, Granularity, GroupBy, Item, UsageRequest};

use crate::usage_fixture::{Fixture, event};

/// An instant of a season with clock changes in Europe and America; often on a quarter of an hour, where mistakes are made, and often
/// in one of a few quarters, so that ranges end amid events.
fn instant(dice: &mut Dice) -> OffsetDateTime {
    let quarters = dice.pick(&[6, 96 * 20]);
    let quarter = i64::try_from(dice.roll(quarters)).unwrap();
    let start = datetime!(2025-10-20 00:00 UTC);
    let at = start + Duration::minutes(15 * quarter);
    if dice.roll(3) == 0 {
        at
    } else {
        at + Duration::microseconds(i64::try_from(dice.roll(900_000_000)).unwrap())
    }
}
const METRICS: [&str; 7] = ["chat", "tokens", "peak", "low", "level", "visits", "people"];
const ZONES: [&str; 6] = [
    "UTC",
    "Asia/Kathmandu",
    "America/New_York",
    "Europe/Paris",
    "America/St_Johns",
    "Pacific/Auckland",
];

async fn fixture() -> Fixture {
    let fixture = Fixture::new("Asia/Kolkata").await;
    for (key, aggregation, field) in [
        ("peak", "max", "null"),
        ("low", "min", "null"),
        ("level", "latest", "null"),
        ("visits", "count", "null"),
        ("people", "unique", "'who'"),
    ] {
        fixture.execute(&format!(
            "insert into meters (tenant_id, key, name, aggregation, unit, value_field, allows_negative)
             values ('{}', '{key}', '{key}', '{aggregation}', 'unit', {field}, true)",
            fixture.tenant_id
        ));
    }
    fixture
}

fn random_event(dice: &mut Dice, number: u64) -> Item {
    let metric = dice.pick(&METRICS);
    let sign = if matches!(metric, "chat" | "tokens") {
        ""
    } else {
        dice.pick(&["", "-"])
    };
    let quantity = format!(
        "{sign}{}.{:012}",
        dice.roll(1000),
        dice.roll(1_000_000_000_000)
    );
    let at = instant(dice)
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    let (user, model, who) = (dice.roll(3), dice.roll(2), dice.roll(5));
    let user = if user == 0 {
        String::new()
    } else {
        format!(r#""user_id":"u{user}","#)
    };
    event(&format!(
        r#"{{"id":"{number}","metric":"{metric}","quantity":{quantity},"occurred_at":"{at}",
            {user}"model":"m{model}","metadata":{{"who":"p{who}"}}}}"#
    ))
}

fn random_request(dice: &mut Dice) -> (UsageRequest, &'static str) {
    let (a, b) = (instant(dice), instant(dice));
    let (from, to) = if a < b {
        (a, b)
    } else {
        (b, a + Duration::microseconds(1))
    };
    let (name, granularity) = dice.pick(&[
        ("15m", Granularity::Quarter),
        ("hour", Granularity::Hour),
        ("day", Granularity::Day),
        ("month", Granularity::Month),
        ("total", Granularity::Total),
    ]);
    let group_by = GroupBy {
        project: false,
        user: dice.roll(2) == 0,
        model: dice.roll(2) == 0,
        ..GroupBy::default()
    };
    let zone = Zone::parse("timezone", dice.pick(&ZONES)).unwrap();
    let metrics = if dice.roll(3) == 0 {
        vec![]
    } else {
        vec![dice.pick(&METRICS).to_owned()]
    };
    let request = UsageRequest {
        metrics,
        from: Some(from),
        to: Some(to),
        granularity,
        group_by,
        filter: Filter::default(),
        timezone: Some(zone),
    };
    (request, name)
}

/// The same question, asked of raw events with nothing but PostgreSQL's own calendar.
fn plain_sql(fixture: &Fixture, request: &UsageRequest, granularity: &str) -> Vec<String> {
    let (from, to) = (request.from.unwrap(), request.to.unwrap());
    let zone = request.timezone.as_ref().unwrap().name().to_owned();
    let bucket = match granularity {
        "total" => format!("timestamptz '{from}'"),
        "15m" => {
            "date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00:00+00')".into()
        }
        unit => format!("date_trunc('{unit}', e.occurred_at, '{zone}')"),
    };
    let user = if request.group_by.user {
        "coalesce(e.user_id, '')"
    } else {
        "''"
    };
    let model = if request.group_by.model {
        "coalesce(e.model, '')"
    } else {
        "''"
    };
    let metrics = if request.metrics.is_empty() {
        "true".to_owned()
    } else {
        format!("m.key = '{}'", request.metrics[0])
    };
    let rows: Vec<Line> = sql_query(format!(
        "select concat_ws('|', key, extract(epoch from bucket)::numeric(30, 6), user_id, model,
            trim_scale(case aggregation when 'sum' then sum(quantity) when 'count' then count(*)
                when 'max' then max(quantity) when 'min' then min(quantity)
                when 'latest' then (array_agg(quantity order by occurred_at desc, received_at desc, dedup desc))[1]
                else count(distinct metadata ->> 'who') end)) as line
         from (
            select m.key collate \"C\" as key, m.aggregation, {bucket} as bucket, {user} collate \"C\" as user_id,
                {model} collate \"C\" as model, e.quantity, e.occurred_at, e.received_at, e.dedup, e.metadata
            from usage_events e
            join (select id, key, aggregation from meters union all select id, key, aggregation from standard_meters) m
                on m.id = e.meter_id
            where e.occurred_at >= '{from}' and e.occurred_at < '{to}' and {metrics}
         ) e
         group by key, aggregation, bucket, user_id, model order by key, bucket, user_id, model"
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

#[tokio::test]
async fn reads_equal_plain_sql_at_random_moments_in_random_zones() {
    let fixture = fixture().await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut sent = 0;
    let mut compared = 0;
    for _ in 0..120 {
        let events = dice.roll(40);
        let items: Vec<Item> = (0..events)
            .map(|n| random_event(&mut dice, sent + n))
            .collect();
        sent += events;
        assert_eq!(
            fixture.ingest(items).await.counts()[0],
            usize::try_from(events).unwrap()
        );
        if dice.roll(3) == 0 {
            fixture.roll().await;
        }
        let (request, granularity) = random_request(&mut dice);
        let limit = u32::try_from(1 + dice.roll(100)).unwrap();
        let rows = fixture.read(&request, limit).await;
        let lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let micros = row.bucket.unix_timestamp_nanos() / 1000;
                let at = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
                let user = row.user_id.as_deref().unwrap_or_default();
                let model = row.model.as_deref().unwrap_or_default();
                format!("{}|{at}|{user}|{model}|{}", row.metric, row.quantity)
            })
            .collect();
        let mut wanted = plain_sql(&fixture, &request, granularity);
        let ungrouped = !request.group_by.user && !request.group_by.model;
        if wanted.is_empty() && granularity == "total" && ungrouped && !request.metrics.is_empty() {
            // A total that was asked for by name is there even when it is nought.
            wanted = lines
                .iter()
                .filter(|line| line.ends_with("||0"))
                .cloned()
                .collect();
            assert_eq!(wanted.len(), 1);
        }
        assert_eq!(lines, wanted, "{request:?}");
        compared += lines.len();
    }
    assert!(
        compared > 500,
        "the comparison must compare something: {compared}"
    );
}

#[tokio::test]
async fn a_read_is_exact_before_during_and_after_the_rollup() {
    let fixture = fixture().await;
    let total = UsageRequest {
        metrics: vec!["chat".into()],
        from: Some(datetime!(2025-10-26 00:00 UTC)),
        to: Some(datetime!(2025-10-27 00:00 UTC)),
        granularity: Granularity::Total,
        group_by: GroupBy::default(),
        filter: Filter::default(),
        timezone: None,
    };
    let quantity = async || fixture.read(&total, 10).await[0].quantity.to_string();
    assert_eq!(quantity().await, "0");
    let at = |id: &str, time: &str| {
        event(&format!(
            r#"{{"id":"{id}","metric":"chat","quantity":"0.1","occurred_at":"2025-10-26T{time}Z"}}"#
        ))
    };
    fixture
        .ingest(vec![at("a", "00:00:00"), at("b", "23:59:59.999999")])
        .await;
    assert_eq!(quantity().await, "0.2");
    fixture.roll_all(2).await;
    assert_eq!(quantity().await, "0.2");
    fixture
        .ingest(vec![at("c", "12:00:00"), at("a", "00:00:00")])
        .await;
    assert_eq!(quantity().await, "0.3");
    fixture.roll_all(1).await;
    assert_eq!(quantity().await, "0.3");
}

#[tokio::test]
async fn the_zone_of_the_tenant_is_the_default_and_buckets_carry_its_offset() {
    let fixture = fixture().await;
    let at = r#"{"id":"a","metric":"chat","occurred_at":"2025-10-26T20:00:00Z"}"#;
    fixture.ingest(vec![event(at)]).await;
    let request = UsageRequest {
        metrics: vec![],
        from: Some(datetime!(2025-10-20 00:00 UTC)),
        to: Some(datetime!(2025-11-01 00:00 UTC)),
        granularity: Granularity::Day,
        group_by: GroupBy::default(),
        filter: Filter::default(),
        timezone: None,
    };
    let rows = fixture.read(&request, 10).await;
    assert_eq!(rows[0].bucket.to_string(), "2025-10-27 0:00:00.0 +05:30:00");
}
