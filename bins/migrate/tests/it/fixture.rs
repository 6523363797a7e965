//! A database with tenants, files, and the program.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types,
};
use tempfile::TempDir;
use testkit::TestDb;

pub(crate) const ACME: &str = "01900000-0000-7000-8000-00000000000a";
pub(crate) const GLOBEX: &str = "01900000-0000-7000-8000-00000000000b";

/// What a run said, and how it ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct Fixture {
    pub(crate) db: TestDb,
    folder: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let fixture = Self {
            db: TestDb::create().await,
            folder: tempfile::tempdir().unwrap(),
        };
        fixture.execute(&format!(
            "insert into tenants (id, slug, name, status) values
                 ('{ACME}', 'acme', 'Acme', 'active'), ('{GLOBEX}', 'globex', 'Globex', 'frozen')"
        ));
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and answers where.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plinth-migrate"));
        command
            .env("DATABASE_URL", self.db.app_url())
            .env_remove("OWNER_DATABASE_URL")
            .arg("backfill")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Runs `plinth-migrate backfill` to its end.
    pub(crate) fn backfill(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// As [`Fixture::backfill`], connected as somebody else.
    pub(crate) fn backfill_as(&self, url: &str, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).env("DATABASE_URL", url).output();
        Ran::of(output.unwrap())
    }

    pub(crate) fn execute(&self, sql: &str) {
        execute(&self.db.superuser_url(), sql);
    }

    /// Rows that an import has settled.
    pub(crate) fn rows_done(&self) -> i64 {
        self.number("select coalesce(max(rows_done), 0) from usage_imports")
    }

    /// Waits until so many rows are settled.
    pub(crate) fn wait_for_rows(&self, rows: i64) {
        let began = Instant::now();
        while self.rows_done() < rows {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing comes");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// One number, asked as the superuser.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let row: Number = sql_query(format!("select ({sql})::bigint as number"))
            .get_result(&mut owner(&self.db))
            .unwrap();
        row.number
    }

    /// Lines of text, asked as the superuser.
    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        let rows: Vec<Text> = sql_query(format!("select line from ({sql}) as of (line)"))
            .load(&mut owner(&self.db))
            .unwrap();
        rows.into_iter().map(|row| row.line).collect()
    }

    /// Every event of a source: whose, which, what, how much, when.
    pub(crate) fn events(&self, source: &str) -> Vec<String> {
        self.lines(&format!(
            "select concat_ws(' ', t.slug, e.event_id, coalesce(m.key, s.key), e.quantity,
                 to_char(e.occurred_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS'))
             from usage_events e join tenants t on t.id = e.tenant_id
             left join meters m on m.tenant_id = e.tenant_id and m.id = e.meter_id
             left join standard_meters s on s.id = e.meter_id
             where e.source = '{source}' order by t.slug, e.event_id collate \"C\""
        ))
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Stops the test unless it ended like this.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// Stops the test unless it said this, on either stream.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let said = self.out.contains(text) || self.err.contains(text);
        assert!(said, "{text}\n--\n{}\n{}", self.out, self.err);
        self
    }
}

pub(crate) fn execute(url: &str, sql: &str) {
    let mut conn = PgConnection::establish(url).unwrap();
    conn.batch_execute(sql).unwrap();
}

fn owner(db: &TestDb) -> PgConnection {
    PgConnection::establish(&db.superuser_url()).unwrap()
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = sql_types::BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = sql_types::Text)]
    line: String,
}
