//! The books say what SQL says.

use serde_json::Value;

use crate::fixture::{ACME, Fixture, GLOBEX};

const HEADER: &str = "id,tenant_id,metric,quantity,occurred_at\n";

fn report(fixture: &Fixture) -> Value {
    serde_json::from_str(&fixture.read("report.json")).unwrap()
}

#[tokio::test]
async fn the_report_holds_the_figures_of_plain_sql() {
    let fixture = Fixture::new().await;
    fixture.execute(&format!(
        "insert into meters (tenant_id, key, name, aggregation, unit) values ('{ACME}', 'pages', 'Pages', 'max', 'page')"
    ));
    let mut content = HEADER.to_owned();
    for n in 1..=300 {
        let tenant = if n % 3 == 0 { GLOBEX } else { ACME };
        let metric = if n % 5 == 0 { "pages" } else { "chat" };
        content += &format!(
            "{n},{tenant},{metric},{n}.000000000001,2024-06-01 12:{:02}:00+00\n",
            n % 60
        );
    }
    content += &format!("1,{ACME},chat,1.000000000001,2024-06-01 12:01:00+00\n");
    content += &format!("2,{ACME},chat,99,2024-06-01 12:02:00+00\n");
    content += "x,initech,chat,1,2024-06-01 12:00:00+00\n";
    let file = fixture.file("metered_events.csv", content);
    let report_file = fixture.path("report.json").display().to_string();
    fixture
        .backfill(&["metered_events", "--csv", &file, "--report", &report_file])
        .ends_with(0);
    let report = report(&fixture);
    assert_eq!(report["balanced"], true);
    assert_eq!(report["rows"], 303);
    assert_eq!(report["unknown_tenants"]["initech"], 1);
    let said: Vec<String> = report["lines"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["plinth"]["events"] != 0)
        .map(|line| {
            let of = |name: &str| line["plinth"][name].as_str().unwrap().to_owned();
            let events = &line["plinth"]["events"];
            let (tenant, metric) = (
                line["tenant_id"].as_str().unwrap(),
                line["metric"].as_str().unwrap(),
            );
            format!(
                "{tenant} {metric} {events} {} {} {}",
                of("quantity"),
                of("first_at"),
                of("last_at")
            )
        })
        .collect();
    let in_sql = fixture.lines(
        "select concat_ws(' ', e.tenant_id, coalesce(m.key, s.key), count(*), trim_scale(sum(quantity)),
             to_char(min(occurred_at) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
             to_char(max(occurred_at) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))
         from usage_events e left join meters m on m.id = e.meter_id left join standard_meters s on s.id = e.meter_id
         group by e.tenant_id, coalesce(m.key, s.key) order by e.tenant_id, coalesce(m.key, s.key)",
    );
    assert_eq!(said, in_sql);
    let line = &report["lines"][0];
    assert_eq!(line["metric"], "chat");
    assert_eq!(line["duplicates"]["events"], 1);
    assert_eq!(line["conflicts"]["quantity"], "99");
    // Globex has no meter of this name.
    let line = report["lines"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["rejected"]["events"] != 0);
    assert_eq!(line.unwrap()["tenant_id"], GLOBEX);
    assert_eq!(line.unwrap()["rejected"]["events"], 20);
}

#[tokio::test]
async fn an_event_that_is_missing_afterwards_leaves_a_difference() {
    let fixture = Fixture::new().await;
    let rows: String = (1..=10)
        .map(|n| format!("{n},acme,chat,2,2024-06-01 12:00:00+00\n"))
        .collect();
    let file = fixture.file("metered_events.csv", format!("{HEADER}{rows}"));
    let report_file = fixture.path("report.json").display().to_string();
    let arguments = ["metered_events", "--csv", &file, "--report", &report_file];
    fixture.backfill(&arguments).ends_with(0);
    fixture.execute("delete from usage_events where event_id = '7'");
    fixture
        .backfill(&arguments)
        .ends_with(5)
        .says("THE BOOKS DO NOT BALANCE")
        .says("difference  1 events, sum 2");
    assert_eq!(report(&fixture)["balanced"], false);
    assert_eq!(report(&fixture)["lines"][0]["difference"]["quantity"], "2");
}

#[tokio::test]
async fn a_tenant_that_comes_after_its_rows_were_settled_is_told_what_it_misses() {
    let fixture = Fixture::new().await;
    let row = "1,initech,chat,2,2024-06-01 12:00:00+00\n";
    let file = fixture.file("metered_events.csv", format!("{HEADER}{row}"));
    fixture
        .backfill(&["metered_events", "--csv", &file])
        .ends_with(0);
    fixture.execute(
        "insert into tenants (id, slug, name, status) values (gen_random_uuid(), 'initech', 'Initech', 'active')",
    );
    fixture
        .backfill(&["metered_events", "--csv", &file])
        .ends_with(5)
        .says("difference  1 events, sum 2");
    fixture
        .backfill(&[
            "metered_events",
            "--csv",
            &file,
            "--source",
            "backfill:metered_events:initech",
        ])
        .ends_with(0);
    assert_eq!(fixture.number("select count(*) from usage_events"), 1);
}
