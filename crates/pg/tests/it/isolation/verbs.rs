//! Every verb on one table: what somebody may do to rows that are not theirs, which is nothing, and to their own.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::Text,
};

use super::rows::{BOB, NOBODY, Owner, Table, Whose};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

/// What a query answers as its column `text`.
pub(super) fn texts(conn: &mut PgConnection, sql: &str) -> Result<Vec<String>, Error> {
    let lines: Vec<Line> = sql_query(sql).load(conn)?;
    Ok(lines.into_iter().map(|line| line.text).collect())
}

/// What the settings of a session say.
pub(super) struct Scope {
    pub(super) name: &'static str,
    pub(super) says: Says,
}

pub(super) enum Says {
    Owner(Owner),
    Nothing,
    Text(&'static str),
}

pub(super) const SCOPES: [Scope; 6] = [
    Scope {
        name: "another tenant",
        says: Says::Owner(super::rows::ANN),
    },
    Scope {
        name: "nothing set",
        says: Says::Nothing,
    },
    Scope {
        name: "empty",
        says: Says::Text(""),
    },
    Scope {
        name: "garbage",
        says: Says::Text("1' or 'x'='x"),
    },
    Scope {
        name: "a tenant that is gone",
        says: Says::Owner(Owner('d')),
    },
    Scope {
        name: "the nil id",
        says: Says::Text("00000000-0000-0000-0000-000000000000"),
    },
];

impl Scope {
    /// What sets all of a session's settings.
    pub(super) fn statements(&self) -> [String; 3] {
        [Whose::Tenant, Whose::Person, Whose::Principal].map(|whose| {
            let setting = whose.setting();
            match &self.says {
                Says::Owner(owner) => format!("set app.{setting} = '{}'", whose.id(*owner)),
                Says::Text(text) => format!("set app.{setting} = '{}'", text.replace('\'', "''")),
                Says::Nothing => format!("reset app.{setting}"),
            }
        })
    }

    /// Sets them.
    pub(super) fn enter(&self, conn: &mut PgConnection) {
        conn.batch_execute(&self.statements().join("; ")).unwrap();
    }

    pub(super) fn is_garbage(&self) -> bool {
        self.name == "garbage"
    }
}

/// What may come of an attack.
#[derive(Clone, Copy)]
enum Right {
    NoRow,
    Refused,
    NoRowOrRefused,
}

struct Attack {
    verb: &'static str,
    right: Right,
    sql: String,
}

/// What came of a statement, in words that do not name the row.
fn outcome(result: Result<usize, Error>, victim: Owner) -> String {
    match result {
        Ok(rows) => format!("{rows} rows"),
        Err(Error::DatabaseError(_, why)) => victim.renamed(why.message(), NOBODY),
        Err(error) => error.to_string(),
    }
}

/// What finds no row of the victim's.
fn on_rows(table: &Table, victim: Owner) -> [(&'static str, String); 8] {
    let Table {
        name, key, whose, ..
    } = table;
    let id = whose.id(victim);
    let theirs = format!("{key} = '{id}'");
    let update = format!("update {name} set {key} = {key} where {theirs}");
    let delete = format!("delete from {name} where {theirs}");
    let merge = format!(
        "merge into {name} t using (select '{id}'::uuid as id) s on t.{key} = s.id when matched then"
    );
    [
        ("selects", format!("select from {name} where {theirs}")),
        (
            "locks",
            format!("select from {name} where {theirs} for update"),
        ),
        ("updates", update.clone()),
        ("updates, returning", format!("{update} returning *")),
        (
            "merges an update",
            format!("{merge} update set {key} = s.id"),
        ),
        ("merges a delete", format!("{merge} delete")),
        ("deletes, returning", format!("{delete} returning *")),
        ("deletes", delete),
    ]
}

/// What would add a row of the victim's.
fn of_rows(table: &Table, row: &str) -> Vec<(&'static str, String)> {
    let Table {
        name,
        key,
        primary_key,
        ..
    } = table;
    let row = row.replace('\'', "''");
    let row = format!("json_populate_record(null::{name}, '{row}')");
    let insert = format!("insert into {name} select * from {row}");
    let merge = format!(
        "merge into {name} using (select ({row}).*) s on false when not matched then insert values (s.*)"
    );
    let mut attacks = vec![
        ("inserts", insert.clone()),
        ("inserts, returning", format!("{insert} returning *")),
        (
            "inserts or does nothing",
            format!("{insert} on conflict do nothing"),
        ),
        ("merges an insert", merge),
    ];
    if !primary_key.is_empty() {
        let columns = primary_key.join(", ");
        let upsert =
            format!("{insert} on conflict ({columns}) do update set {key} = excluded.{key}");
        attacks.push(("upserts", upsert));
    }
    attacks
}

fn attacks(table: &Table, victim: Owner, row: &str) -> Vec<Attack> {
    let Table {
        name, key, whose, ..
    } = table;
    let id = whose.id(victim);
    let give = format!("update {name} set {key} = '{id}' where {key} is distinct from '{id}'");
    let right = |right| move |(verb, sql)| Attack { verb, right, sql };
    let on_rows = on_rows(table, victim).into_iter().map(right(Right::NoRow));
    let of_rows = of_rows(table, row).into_iter().map(right(Right::Refused));
    let given = right(Right::NoRowOrRefused)(("gives away", give));
    on_rows.chain(of_rows).chain([given]).collect()
}

/// Runs a statement alone: inside a transaction that goes on if it fails.
pub(super) fn run(conn: &mut PgConnection, sql: &str) -> Result<usize, Error> {
    conn.transaction(|conn| sql_query(sql).execute(conn))
}

/// What a session in this scope can do to the rows of Bob, and whether he can be told from nobody. `row` is one of his, as JSON.
pub(super) fn leaks(
    conn: &mut PgConnection,
    scope: &Scope,
    table: &Table,
    row: &str,
) -> Vec<String> {
    let mut leaks = Vec::new();
    let nobodys = BOB.renamed(row, NOBODY);
    let pairs = attacks(table, BOB, row)
        .into_iter()
        .zip(attacks(table, NOBODY, &nobodys));
    for (attack, same) in pairs {
        let bob = outcome(run(conn, &attack.sql), BOB);
        let nobody = outcome(run(conn, &same.sql), NOBODY);
        let is_refused = bob.contains("row-level security")
            || scope.is_garbage() && bob.starts_with("invalid input syntax for type uuid");
        let is_no_row = bob == "0 rows" || scope.is_garbage() && is_refused;
        let is_right = match attack.right {
            Right::NoRow => is_no_row,
            Right::Refused => is_refused,
            Right::NoRowOrRefused => is_no_row || is_refused,
        };
        // Garbage is read, and refused, once there is a row to compare it with. Whoever can set garbage can set an id as well.
        let is_told = bob != nobody && !scope.is_garbage();
        if !is_right || is_told {
            leaks.push(format!(
                "{}: {}: {bob}; nobody's: {nobody}",
                table.name, attack.verb
            ));
        }
    }
    leaks.extend(others(conn, scope, &table.name, &table.key, table.whose));
    leaks
}

/// Rows that are not of this scope, whoever they belong to.
pub(super) fn others(
    conn: &mut PgConnection,
    scope: &Scope,
    name: &str,
    key: &str,
    whose: Whose,
) -> Option<String> {
    let own = match &scope.says {
        Says::Owner(owner) => format!("'{}'", whose.id(*owner)),
        Says::Nothing | Says::Text(_) => "null".to_owned(),
    };
    let sql = format!("select from {name} where {key} is distinct from {own}");
    let seen = outcome(run(conn, &sql), BOB);
    let is_right =
        seen == "0 rows" || scope.is_garbage() && seen.starts_with("invalid input syntax");
    (!is_right).then(|| format!("{name}: sees what is not its own: {seen}"))
}

/// What of its own a tenant cannot do. `row` is one of its own, as JSON.
pub(super) fn own_failures(
    conn: &mut PgConnection,
    table: &Table,
    own: Owner,
    row: &str,
) -> Vec<String> {
    let Table {
        name,
        key,
        primary_key,
        ..
    } = table;
    let id = table.whose.id(own);
    let mine = format!("{key} = '{id}'");
    let row = row.replace('\'', "''");
    let mut verbs = vec![
        format!("select from {name} where {mine}"),
        format!("select from {name} where {mine} for update"),
        format!("update {name} set {key} = {key} where {mine}"),
        format!("update {name} set {key} = {key} where {mine} returning *"),
        format!(
            "merge into {name} t using (select '{id}'::uuid as id) s on t.{key} = s.id when matched then update set {key} = s.id"
        ),
        format!("delete from {name} where {mine}"),
    ];
    if !primary_key.is_empty() {
        verbs.push(format!(
            "insert into {name} select * from json_populate_record(null::{name}, '{row}')
             on conflict ({}) do update set {key} = excluded.{key}",
            primary_key.join(", ")
        ));
    }
    let mut failures = Vec::new();
    for sql in verbs {
        let mut done = Err(Error::NotFound);
        // Undone each time: the next verb needs the row too.
        let undone: Result<(), Error> = conn.transaction(|conn| {
            done = sql_query(&sql).execute(conn);
            Err(Error::RollbackTransaction)
        });
        assert_eq!(undone, Err(Error::RollbackTransaction));
        match done {
            Ok(rows) if rows > 0 => {}
            // Rows that refer to it keep it, after the policies let it go.
            Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _))
                if sql.starts_with("delete") => {}
            outcome => failures.push(format!("{sql}: {outcome:?}")),
        }
    }
    failures
}

/// A row of one's own that refers to Bob's is refused just as one that refers to nobody's.
pub(super) fn references(
    conn: &mut PgConnection,
    all: &[Table],
    table: &Table,
    own: Owner,
    parent_row: impl Fn(&str, &str) -> String,
) -> Vec<String> {
    let mut leaks = Vec::new();
    for foreign_key in &table.foreign_keys {
        let Some(parent) = all.iter().find(|other| other.name == foreign_key.parent) else {
            continue;
        };
        // A person is referred to from many tenants: their ids cannot be guessed, and the gate lists who does.
        if parent.whose != Whose::Tenant || table.is_partition() {
            continue;
        }
        let pairs = foreign_key.columns.iter().zip(&foreign_key.parent_columns);
        let theirs: Vec<(&str, String)> = pairs
            .filter(|(column, _)| **column != table.key)
            .map(|(column, wanted)| (column.as_str(), parent_row(&parent.name, wanted)))
            .collect();
        if theirs.is_empty() {
            continue;
        }
        let outcomes = [BOB, NOBODY].map(|victim| {
            let fixed: Vec<(&str, String)> = theirs
                .iter()
                .map(|(column, value)| (*column, format!("'{}'", BOB.renamed(value, victim))))
                .collect();
            let fixed: Vec<(&str, &str)> = fixed
                .iter()
                .map(|(column, value)| (*column, value.as_str()))
                .collect();
            outcome(run(conn, &table.insert(all, own, 900, &fixed)), victim)
        });
        let [bob, nobody] = outcomes;
        if bob != nobody || bob.ends_with("rows") {
            leaks.push(format!(
                "{}: refers to {}: {bob}; nobody's: {nobody}",
                table.name, parent.name
            ));
        }
    }
    leaks
}
