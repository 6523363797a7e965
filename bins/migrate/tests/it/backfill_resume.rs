//! An import may be killed, repeated and raced, now and much later.

use std::{fmt::Write, fs::OpenOptions, io::Write as _};

use crate::fixture::{ACME, Fixture, GLOBEX, Ran};

const ROWS: u32 = 24_000;
const EVENTS: &str = "select count(*) from usage_events";

/// Rows of two tenants in turn; every hundredth is bad.
fn rows(from: u32, to: u32) -> String {
    let mut text = String::new();
    for n in from..=to {
        let tenant = if n % 2 == 0 { ACME } else { GLOBEX };
        let quantity = if n % 100 == 0 { "bad" } else { "0.5" };
        writeln!(
            text,
            "{n},{tenant},tool_call,{quantity},2024-06-01 12:00:00"
        )
        .unwrap();
    }
    text
}

fn file(fixture: &Fixture, name: &str, rows: &str) -> String {
    fixture.file(
        name,
        format!("id,workspace_id,metric_type,quantity,created_at\n{rows}"),
    )
}

#[tokio::test]
async fn an_import_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    let fixture = Fixture::new().await;
    let file = file(&fixture, "usage_logs.csv", &rows(1, ROWS));
    let rejects = fixture.path("rejects.csv").display().to_string();
    let arguments = ["usage_logs", "--csv", &file, "--rejects", &rejects];
    for settled in [1, 6_000, 12_000] {
        let mut child = fixture.start(&arguments);
        fixture.wait_for_rows(settled);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            fixture.rows_done() < i64::from(ROWS),
            "it was too late to kill it"
        );
    }
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("rows were settled by an earlier run; going on behind them")
        .says("24000 in the source, 23760 accepted, 0 duplicates, 0 conflicts, 240 rejected");
    assert_eq!(fixture.number(EVENTS), 23_760);
    let ids = "select count(distinct event_id) from usage_events";
    assert_eq!(fixture.number(ids), 23_760);
    assert_eq!(
        fixture.number("select sum(quantity) * 2 from usage_events"),
        23_760
    );
    let text = fixture.read("rejects.csv");
    let refused: Vec<u32> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap().parse().unwrap())
        .collect();
    let expected: Vec<u32> = (1..=240).map(|n| n * 100).collect();
    assert_eq!(refused, expected, "each refused row is in the file once");
}

#[tokio::test]
async fn a_finished_import_says_so_and_changes_nothing_even_when_keys_are_forgotten() {
    let fixture = Fixture::new().await;
    let file = file(&fixture, "usage_logs.csv", &rows(1, 150));
    let arguments = ["usage_logs", "--csv", &file];
    fixture.backfill(&arguments).ends_with(0);
    assert_eq!(fixture.number(EVENTS), 149);
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("it was finished before, and nothing was changed")
        .says("the books balance");
    // As if it had been 40 days ago: no key of an event is looked up that far back.
    fixture.execute(
        "create table old partition of usage_events for values from ('2000-01-01') to ('2001-01-01');
         update usage_events set received_at = '2000-06-01';
         update usage_imports set started_at = '2000-06-01', moved_at = '2000-06-01', finished_at = '2000-06-01'",
    );
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("this import was finished at 2000-06-01")
        .says("the books balance");
    assert_eq!(fixture.number(EVENTS), 149);
    assert_eq!(
        fixture.number("select count(*) from audit_events where action = 'usage.imported'"),
        2
    );
}

#[tokio::test]
async fn rows_that_were_added_behind_the_last_come_in_and_any_other_change_is_refused() {
    let fixture = Fixture::new().await;
    let path = file(&fixture, "usage_logs.csv", &rows(1, 50));
    let arguments = ["usage_logs", "--csv", &path];
    fixture.backfill(&arguments).ends_with(0);
    let mut more = OpenOptions::new().append(true).open(&path).unwrap();
    more.write_all(rows(51, 60).as_bytes()).unwrap();
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("60 in the source, 60 accepted");
    for changed in [
        rows(1, 60).replace("7,", "8,"),
        rows(2, 61),
        rows(1, 59),
        String::new(),
    ] {
        file(&fixture, "usage_logs.csv", &changed);
        fixture
            .backfill(&arguments)
            .ends_with(3)
            .says("the source has changed: 60 of its rows were settled by an earlier run");
    }
    let other = file(&fixture, "more.csv", &rows(101, 110));
    fixture
        .backfill(&[
            "usage_logs",
            "--csv",
            &other,
            "--source",
            "backfill:usage_logs:2",
        ])
        .ends_with(0);
    assert_eq!(fixture.number(EVENTS), 70);
}

#[tokio::test]
async fn an_import_goes_on_as_it_began_or_not_at_all() {
    let fixture = Fixture::new().await;
    let path = file(&fixture, "usage_logs.csv", &rows(1, 50));
    fixture
        .backfill(&["usage_logs", "--csv", &path])
        .ends_with(0);
    for other in [
        &["--time-zone", "Europe/Paris"][..],
        &["--map", "user=metric_type"],
        &["--projects"],
    ] {
        let arguments: Vec<&str> = ["usage_logs", "--csv", &path]
            .iter()
            .chain(other)
            .copied()
            .collect();
        fixture
            .backfill(&arguments)
            .ends_with(3)
            .says("this import began with other columns or options");
    }
    assert_eq!(fixture.number(EVENTS), 50);
}

#[tokio::test]
async fn of_two_that_run_at_once_one_gives_way_and_each_event_is_there_once() {
    let fixture = Fixture::new().await;
    let file = file(&fixture, "usage_logs.csv", &rows(1, ROWS));
    let arguments = ["usage_logs", "--csv", &file];
    let first = fixture.start(&arguments);
    let second = fixture.start(&arguments);
    let ran = [first, second].map(|child| Ran::of(child.wait_with_output().unwrap()));
    let codes = ran.each_ref().map(|ran| ran.code);
    assert!(codes.contains(&0), "{}\n{}", ran[0].err, ran[1].err);
    for ran in ran {
        if ran.code != 0 {
            ran.ends_with(3)
                .says("another import of the same source is running");
        }
    }
    assert_eq!(fixture.number(EVENTS), 23_760);
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("nothing was changed");
}

/// A cut between two pages costs a new connection; one within a page undoes that page.
#[tokio::test]
async fn an_import_whose_connections_are_cut_settles_each_row_once() {
    let fixture = Fixture::new().await;
    let file = file(&fixture, "usage_logs.csv", &rows(1, ROWS));
    let arguments = ["usage_logs", "--csv", &file];
    let mut cuts = 0;
    while fixture.rows_done() < i64::from(ROWS) {
        let before = fixture.rows_done();
        let child = fixture.start(&arguments);
        fixture.wait_for_rows(before + 1);
        fixture.db.cut_connections();
        cuts += 1;
        let ran = Ran::of(child.wait_with_output().unwrap());
        if ran.code != 0 {
            ran.ends_with(1)
                .says("start it again, and it goes on from there");
        }
    }
    assert!(cuts > 0);
    fixture.backfill(&arguments).ends_with(0);
    assert_eq!(fixture.number(EVENTS), 23_760);
    let ids = "select count(distinct event_id) from usage_events";
    assert_eq!(fixture.number(ids), 23_760);
}
