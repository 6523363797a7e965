//! CSV files of the tables that are known, and of others.

use crate::fixture::{ACME, Fixture, GLOBEX};

const LOGS: &str = "id,workspace_id,user_id,metric_type,quantity,model,metadata,created_at\n";

#[tokio::test]
async fn usage_logs_of_several_tenants_come_in_and_bad_rows_are_told() {
    let fixture = Fixture::new().await;
    let file = fixture.file(
        "usage_logs.csv",
        format!(
            "\u{feff}{LOGS}\
             1,{ACME},7,llm_tokens_input,1200,small,\"{{\"\"run\"\": \"\"a, b\"\"}}\",2020-02-29 10:00:00\r\n\
             2,{GLOBEX},,tool_call,1,,,2024-06-01 12:00:00.25+02\r\n\
             3,{ACME},7,chat,-1,,,2024-06-01 12:00:00\r\n\
             4,{ACME},7,no_such_meter,1,,,2024-06-01 12:00:00\r\n\
             5,{ACME},7,chat,one,,,2024-06-01 12:00:00\r\n\
             6,{ACME},7,chat,1,,,1999-12-31 23:59:59\r\n\
             7,{ACME},7,chat,1,,,soon\r\n\
             8,{ACME},7,chat,1\r\n\
             9,nobody,7,chat,1,,,2024-06-01 12:00:00\r\n\
             10,{ACME},7,chat,2,,{{,2024-06-01 12:00:00\r\n\
             11,acme,7,chat,3,,,2024-06-01 12:00:00\r\n\
             1,{ACME},7,llm_tokens_input,1200,small,\"{{\"\"run\"\":\"\"a, b\"\"}}\",2020-02-29 10:00:00\r\n\
             2,{GLOBEX},,tool_call,9,,,2024-06-01 12:00:00.25+02\r\n"
        ),
    );
    let rejects = fixture.path("rejects.csv").display().to_string();
    fixture
        .backfill(&["usage_logs", "--csv", &file, "--rejects", &rejects])
        .ends_with(0)
        .says("11 in the source, 3 accepted, 1 duplicates, 1 conflicts, 6 rejected")
        .says("1 rows belong to 1 tenants that are not here:\n  nobody: 1 rows")
        .says("1 rows were refused: backfill.wrong_columns")
        .says("the books balance");
    assert_eq!(
        fixture.events("backfill:usage_logs"),
        [
            "acme 1 llm_tokens_input 1200 2020-02-29T10:00:00",
            "acme 11 chat 3 2024-06-01T12:00:00",
            "globex 2 tool_call 1 2024-06-01T10:00:00",
        ]
    );
    let codes: Vec<String> = fixture
        .read("rejects.csv")
        .lines()
        .map(|line| line.splitn(4, ',').take(3).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        codes,
        [
            "row code field",
            "3 usage.negative_quantity quantity",
            "4 usage.unknown_metric metric",
            "5 usage.invalid_quantity quantity",
            "6 usage.too_old occurred_at",
            "7 usage.invalid_time created_at",
            "8 backfill.wrong_columns ",
            "9 backfill.unknown_tenant tenant",
            "10 usage.invalid_field metadata",
            "13 usage.conflict id",
        ]
    );
    let kept = fixture.lines(
        "select concat_ws(' ', user_id, model, metadata) from usage_events where event_id = '1'",
    );
    assert_eq!(kept, [r#"7 small {"run": "a, b"}"#]);
    fixture
        .backfill(&["usage_logs", "--csv", &file, "--strict"])
        .ends_with(4);
}

#[tokio::test]
async fn the_other_tables_come_in_by_their_columns() {
    let fixture = Fixture::new().await;
    let events = fixture.file(
        "usage_events.csv",
        format!(
            "id,tenant_id,event_type,resource_id,agent_minutes,task_count,api_calls,occurred_at,billing_period,processed\n\
             e1,{ACME},workflow_started,r1,,,,2024-01-01 00:00:00,2024-01,f\n\
             e2,{ACME},agent_minute,r1,12.25,,,2024-01-01 00:00:01,2024-01,f\n\
             e3,{ACME},task_completed,,0.50,3,40,2024-01-01 00:00:02,2024-01,t\n"
        ),
    );
    let metered = fixture.file(
        "metered_events.csv",
        format!(
            "id,tenant_id,metric,quantity,occurred_at\n\
             m1,{GLOBEX},api_calls,0.000001,2024-01-01 00:00:00+00\n"
        ),
    );
    let tokens = fixture.file(
        "token_usage.csv",
        format!(
            "id,workspace_id,project_id,chat_id,tokens_used,usage_type,created_at,created_by\n\
             t1,{ACME},p1,c1,9007199254740993,artifact_generation,2024-01-01 00:00:00+00,ann\n"
        ),
    );
    for (table, file) in [
        ("usage_events", &events),
        ("metered_events", &metered),
        ("token_usage", &tokens),
    ] {
        fixture
            .backfill(&[table, "--csv", file, "--strict"])
            .ends_with(0);
    }
    assert_eq!(
        fixture.events("backfill:usage_events"),
        [
            "acme e1#event_type workflow_started 1 2024-01-01T00:00:00",
            "acme e2#agent_minutes agent_minute 12.25 2024-01-01T00:00:01",
            "acme e3#agent_minutes agent_minute 0.5 2024-01-01T00:00:02",
            "acme e3#api_calls api_calls 40 2024-01-01T00:00:02",
            "acme e3#task_count task_completed 3 2024-01-01T00:00:02",
        ]
    );
    assert_eq!(
        fixture.events("backfill:metered_events"),
        ["globex m1 api_calls 0.000001 2024-01-01T00:00:00"]
    );
    assert_eq!(
        fixture.events("backfill:token_usage"),
        [
            "acme t1#tokens_used tokens 9007199254740993 2024-01-01T00:00:00",
            "acme t1#usage_type artifact_generation 1 2024-01-01T00:00:00",
        ]
    );
}

#[tokio::test]
async fn any_other_table_comes_in_by_a_map_and_tenants_by_a_file() {
    let fixture = Fixture::new().await;
    let file = fixture.file(
        "calls.csv",
        "nr;org;at;prompt;completion;caf\u{e9}\n\
         1;42;2024-07-15 12:00:00;10;20;x\n\
         2;43;2024-07-15 12:00:00;;5;\n",
    );
    let tenants = fixture.file("tenants.csv", format!("old,new\n42,acme\n43,{GLOBEX}\n"));
    fixture
        .backfill(&[
            "calls",
            "--csv",
            &file,
            "--delimiter",
            ";",
            "--map",
            "id=nr,tenant=org,occurred_at=at,metadata.place=caf\u{e9}",
            "--measure",
            "llm_tokens_input=prompt,llm_tokens_output=completion",
            "--tenants",
            &tenants,
            "--time-zone",
            "Europe/Berlin",
            "--source",
            "old system",
            "--strict",
        ])
        .ends_with(0);
    assert_eq!(
        fixture.events("old system"),
        [
            "acme 1#completion llm_tokens_output 20 2024-07-15T10:00:00",
            "acme 1#prompt llm_tokens_input 10 2024-07-15T10:00:00",
            "globex 2#completion llm_tokens_output 5 2024-07-15T10:00:00",
        ]
    );
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_refused_row_by_row() {
    let fixture = Fixture::new().await;
    let mut content = LOGS.as_bytes().to_vec();
    content.extend(format!("1,{ACME},caf").bytes());
    content.push(0xe9);
    content.extend(b",chat,1,,,2024-06-01 12:00:00\n");
    content.extend(format!("2,{ACME},caf\u{e9},chat,1,,,2024-06-01 12:00:00\n").bytes());
    let file = fixture.file("latin.csv", content);
    fixture
        .backfill(&["usage_logs", "--csv", &file])
        .ends_with(0)
        .says("1 rows were refused: backfill.invalid_text");
    assert_eq!(fixture.events("backfill:usage_logs").len(), 1);
}

#[tokio::test]
async fn a_quotation_mark_that_nothing_closes_is_no_row() {
    let fixture = Fixture::new().await;
    let row = format!("1,{ACME},\"u,chat,1,,,2024-06-01 12:00:00\n");
    let more = row.replace('"', "");
    let content = [LOGS, &more, &row, &more.repeat((1 << 20) / more.len() + 1)].concat();
    let file = fixture.file("quotes.csv", content);
    fixture
        .backfill(&["usage_logs", "--csv", &file])
        .ends_with(1)
        .says("the row in line 3 has over 1048576 bytes");
    assert_eq!(fixture.number("select count(*) from usage_events"), 0);
}

#[tokio::test]
async fn a_dry_run_reads_everything_and_writes_nothing() {
    let fixture = Fixture::new().await;
    let file = fixture.file(
        "usage_logs.csv",
        format!(
            "{LOGS}1,acme,,chat,1,,,2024-06-01 12:00:00\n\
             2,acme,,no_such_meter,1,,,2024-06-01 12:00:00\n\
             3,initech,,chat,1,,,2024-06-01 12:00:00\n"
        ),
    );
    let rejects = fixture.path("rejects.csv").display().to_string();
    let arguments = [
        "usage_logs",
        "--csv",
        &file,
        "--dry-run",
        "--strict",
        "--rejects",
        &rejects,
    ];
    fixture
        .backfill(&arguments)
        .ends_with(4)
        .says("2 in the source, 1 accepted, 0 duplicates, 0 conflicts, 1 rejected")
        .says("initech: 1 rows");
    assert_eq!(fixture.read("rejects.csv").lines().count(), 3);
    for table in [
        "usage_events",
        "usage_imports",
        "usage_import_totals",
        "audit_events",
    ] {
        assert_eq!(
            fixture.number(&format!("select count(*) from {table}")),
            0,
            "{table}"
        );
    }
}

#[tokio::test]
async fn a_role_that_no_policy_binds_is_refused() {
    let fixture = Fixture::new().await;
    let file = fixture.file("usage_logs.csv", LOGS);
    for url in [fixture.db.owner_url(), fixture.db.superuser_url()] {
        fixture
            .backfill_as(&url, &["usage_logs", "--csv", &file])
            .ends_with(1)
            .says("could bypass row-level security");
    }
    assert_eq!(fixture.number("select count(*) from usage_imports"), 0);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_said_before_anything_is_read() {
    let fixture = Fixture::new().await;
    let file = fixture.file("usage_logs.csv", "id,workspace_id\n");
    for (arguments, said) in [
        (
            vec!["clicks", "--csv", &file],
            "`clicks` is not a table that is known",
        ),
        (
            vec!["usage_logs", "--csv", &file],
            "there is no column `created_at`; the columns are id, workspace_id",
        ),
        (
            vec!["usage_logs", "--csv", "/nowhere.csv"],
            "reading /nowhere.csv",
        ),
        (
            vec!["usage_logs", "--csv", &file, "--time-zone", "Mars"],
            "must be an IANA time zone",
        ),
        (
            vec!["usage_logs", "--csv", &file, "--source", ""],
            "--source must be",
        ),
    ] {
        fixture.backfill(&arguments).ends_with(1).says(said);
    }
    fixture
        .backfill(&["usage_logs"])
        .ends_with(1)
        .says("no source: give --csv or --from");
    fixture
        .backfill(&["usage_logs", "--csv", &file, "--from", "postgres://"])
        .ends_with(2);
}
