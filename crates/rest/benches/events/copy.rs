//! The ceiling: COPY into the table that events go to, with its indexes, by two clients that have nothing else to do.
//!
//! It goes to next month's partition, which can be emptied without a trace: rows that were deleted leave free space and summaries of it
//! behind, and what is measured next would pay for them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use time::{Date, Duration, OffsetDateTime};

use crate::{roller::add_tenants, sender::Ids, stage::Database};

const COLUMNS: &str = "tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source";

const EMPTY_NEXT_MONTH: &str = "do $$ begin
    execute 'truncate usage_events_' || to_char(now() at time zone 'UTC' + interval '1 month', 'YYYY_MM');
end $$";

/// Rows per second, with `each` rows on each connection. What was copied is gone afterwards.
pub(crate) fn run(database: &Database, each: usize) -> u64 {
    let files = [write(database, 0, each), write(database, each, each)];
    let start = Instant::now();
    let copying: Vec<Child> = files.iter().map(|file| copy(database, file)).collect();
    for client in copying {
        assert!(client.wait_with_output().unwrap().status.success(), "COPY");
    }
    let micros = start.elapsed().as_micros();
    database.administer(&[EMPTY_NEXT_MONTH]);
    u64::try_from(2_000_000 * each as u128 / micros).unwrap()
}

/// Puts `rows` events there, with keys in no order: of a thousand other tenants, or of the one who will send events whose keys are in no order
/// either. The index is made when they are there, which gives the same index sooner. A million is a transaction, since a roller parts none.
pub(crate) fn fill(database: &Database, rows: usize, ids: Ids) {
    let rows = rows.to_string();
    let tenant = match ids {
        Ids::Counted => "('00000000-0000-7000-9000-' || lpad((n % 1000 + 1)::text, 12, '0'))::uuid",
        Ids::Random => "(select id from tenants order by created_at desc limit 1)",
    };
    let fill = "do $$ begin
        for start in 1 .. ROWS by 1000000 loop
            insert into usage_events (tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source)
            select TENANT, '00000000-0000-7000-8000-000000000003', gen_random_uuid(), gen_random_uuid(), now(), now(), 1, n::text, 'fill'
            from generate_series(start, least(start + 999999, ROWS)) n;
            commit;
        end loop;
    end $$";
    add_tenants(database, 1000);
    database.administer(&[
        "do $$ begin
            execute 'drop index usage_events_' || to_char(now() at time zone 'UTC', 'YYYY_MM') || '_key';
        end $$",
        &fill.replace("ROWS", &rows).replace("TENANT", tenant),
        "select app.ensure_usage_partitions()",
        "vacuum analyze usage_events",
        "checkpoint",
    ]);
}

fn write(database: &Database, first: usize, rows: usize) -> PathBuf {
    let path = database.path(&format!("copy-{first}.tsv"));
    let next_month = next_month();
    let mut text = String::new();
    for number in first..first + rows {
        // As events are: keys in no order, for one tenant.
        let key = (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let key = format!("{key:032x}");
        let _infallible = writeln!(
            text,
            "0b000000-0000-7000-8000-000000000000\t00000000-0000-7000-8000-000000000003\t{key}\t{key}\t{next_month}\t{next_month}\t1\tbench-{number:012}\tcopy"
        );
    }
    fs::write(&path, text).unwrap();
    path
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark has no clock but this one"
)]
fn next_month() -> Date {
    let this_month = OffsetDateTime::now_utc().date().replace_day(1).unwrap();
    this_month + Duration::days(32)
}

fn copy(database: &Database, file: &Path) -> Child {
    let server = database.binaries.folder().join("postgres");
    let psql = server.canonicalize().unwrap().with_file_name("psql");
    Command::new(psql)
        .arg(&database.superuser_url)
        .arg("--command")
        .arg(format!(
            "\\copy usage_events ({COLUMNS}) from '{}'",
            file.display()
        ))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
