//! Rows of an owner in every table that has owners, made from the catalogue: a new table gets its rows by itself, or stops the test by name.

use std::collections::BTreeSet;

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, Bool, Nullable, Text},
};

/// Values that a check over several columns asks for, or that no default gives.
const SPECIAL: &[(&str, &str, &str)] = &[("api_keys", "pepper_version", "1")];

/// A tenant, one person in it, and one principal. Every id begins with the owner's digit, every word with its letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner(pub(super) char);

pub(super) const ANN: Owner = Owner('a');
pub(super) const BOB: Owner = Owner('b');
pub(super) const EVE: Owner = Owner('e');
/// Has no row anywhere.
pub(super) const NOBODY: Owner = Owner('f');

impl Owner {
    fn id(self, number: usize) -> String {
        format!("0{}000000-0000-7000-8000-{number:012}", self.0)
    }

    pub(super) fn tenant(self) -> String {
        self.id(1)
    }

    pub(super) fn person(self) -> String {
        self.id(2)
    }

    pub(super) fn principal(self) -> String {
        self.id(3)
    }

    fn word(self, number: usize) -> String {
        format!("{}{number:015}", self.0)
    }

    /// What is written about this owner, as if it were about another.
    pub(super) fn renamed(self, text: &str, other: Self) -> String {
        let (own, others) = (self.0, other.0);
        text.replace(&format!("0{own}000000-"), &format!("0{others}000000-"))
            .replace(&format!("{own}00000000"), &format!("{others}00000000"))
    }
}

/// Whose a row is, by the column that says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Tenant,
    Person,
    Principal,
}

impl Whose {
    /// The name of the setting that policies compare with.
    pub(super) const fn setting(self) -> &'static str {
        match self {
            Self::Tenant => "tenant_id",
            Self::Person => "user_id",
            Self::Principal => "principal_id",
        }
    }

    pub(super) fn id(self, owner: Owner) -> String {
        match self {
            Self::Tenant => owner.tenant(),
            Self::Person => owner.person(),
            Self::Principal => owner.principal(),
        }
    }
}

struct Column {
    name: String,
    /// SQL, with `{word}`, `{id}` and `{letter}` for what differs from row to row. None when the column is left to its default.
    value: Option<String>,
}

pub(super) struct ForeignKey {
    pub(super) columns: Vec<String>,
    pub(super) parent: String,
    pub(super) parent_columns: Vec<String>,
    may_be_null: bool,
}

/// A table with owners, or one of its partitions.
pub(super) struct Table {
    pub(super) name: String,
    /// The table that it is a partition of, at whatever depth; else its own name.
    pub(super) root: String,
    /// The column that says whose a row is.
    pub(super) key: String,
    pub(super) whose: Whose,
    pub(super) primary_key: Vec<String>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    columns: Vec<Column>,
    /// Of a table that is partitioned: the column, and a value for each partition.
    partitions: Option<(String, Vec<String>)>,
}

#[derive(QueryableByName)]
struct TableRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    root: String,
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    primary_key: Vec<String>,
    #[diesel(sql_type = Nullable<Text>)]
    partitioned_by: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    bounds: Vec<String>,
}

// A table without a tenant belongs to a person or to a principal when policies guard it.
const TABLES: &str = r"
    select c.oid::regclass::text as name, coalesce(pg_partition_root(c.oid), c.oid)::regclass::text as root, k.attname::text as key,
        array(select a.attname::text from pg_index i, unnest(i.indkey::int2[]) with ordinality as u(attnum, place)
              join pg_attribute a on a.attnum = u.attnum
              where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid order by place) as primary_key,
        (select a.attname::text from pg_partitioned_table p
         join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0] where p.partrelid = c.oid) as partitioned_by,
        array(select coalesce(substring(pg_get_expr(leaf.relpartbound, leaf.oid) from 'FROM \(''([^'']+)''\)'), '2001-01-01 00:00Z')
              from pg_partition_tree(c.oid) t join pg_class leaf on leaf.oid = t.relid
              where t.isleaf and leaf.oid <> c.oid) as bounds
    from pg_class c
    left join lateral (
        select a.attname from pg_attribute a
        where a.attrelid = c.oid and not a.attisdropped and a.attname = any (case
            when c.oid in ('public.tenants'::regclass, 'public.users'::regclass) then array['id']
            else array['tenant_id', 'user_id', 'principal_id'] end::name[])
        order by a.attname <> 'tenant_id' limit 1) k on true
    where c.relkind in ('r', 'p') and c.oid >= 16384 and c.relnamespace::regnamespace::text !~ '^pg_(toast|temp)'
        and (c.relrowsecurity or exists (
            select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))
    order by 1";

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    is_needed: bool,
    #[diesel(sql_type = Array<Text>)]
    checks: Vec<String>,
}

const COLUMNS: &str = "
    select a.attname::text as name, format_type(a.atttypid, a.atttypmod) as kind,
        a.attnotnull and (not a.atthasdef or a.atttypid = 'uuid'::regtype) and a.attidentity = '' and a.attgenerated = '' as is_needed,
        array(select pg_get_expr(k.conbin, k.conrelid) from pg_constraint k
              where k.conrelid = a.attrelid and k.contype = 'c' and k.conkey = array[a.attnum]) as checks
    from pg_attribute a where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum";

#[derive(QueryableByName)]
struct ForeignKeyRow {
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Array<Text>)]
    parent_columns: Vec<String>,
    #[diesel(sql_type = Bool)]
    may_be_null: bool,
}

const FOREIGN_KEYS: &str = "
    select array_agg(own.attname::text order by place) as columns, f.confrelid::regclass::text as parent,
        array_agg(other.attname::text order by place) as parent_columns, bool_or(not own.attnotnull) as may_be_null
    from pg_constraint f
    cross join lateral unnest(f.conkey, f.confkey) with ordinality as pair(own, other, place)
    join pg_attribute own on own.attrelid = f.conrelid and own.attnum = pair.own
    join pg_attribute other on other.attrelid = f.confrelid and other.attnum = pair.other
    where f.contype = 'f' and f.conrelid = $1::regclass group by f.oid order by f.oid";

/// Tables that policies guard and nobody owns: the worker's own.
const NOBODYS: &[&str] = &["schedules"];

/// Every table with owners, a table before those that refer to it. Partitions follow the tables.
pub(super) fn tables(conn: &mut PgConnection) -> Vec<Table> {
    let rows: Vec<TableRow> = sql_query(TABLES).load(conn).unwrap();
    let rows = rows
        .into_iter()
        .filter(|row| !NOBODYS.contains(&row.name.as_str()));
    let all = rows.map(|row| table(conn, row)).collect();
    in_order(all)
}

fn table(conn: &mut PgConnection, row: TableRow) -> Table {
    let name = row.name;
    let key = row
        .key
        .unwrap_or_else(|| panic!("{name}: policies guard it, and no column says whose a row is"));
    let whose = match (key.as_str(), name.as_str()) {
        ("tenant_id", _) | (_, "tenants") => Whose::Tenant,
        ("user_id", _) | (_, "users") => Whose::Person,
        _ => Whose::Principal,
    };
    let columns: Vec<ColumnRow> = sql_query(COLUMNS)
        .bind::<Text, _>(&name)
        .load(conn)
        .unwrap();
    let columns = columns
        .into_iter()
        .map(|column| Column {
            value: value(conn, &name, &column),
            name: column.name,
        })
        .collect();
    let keys: Vec<ForeignKeyRow> = sql_query(FOREIGN_KEYS)
        .bind::<Text, _>(&name)
        .load(conn)
        .unwrap();
    Table {
        root: row.root,
        whose,
        primary_key: row.primary_key,
        foreign_keys: keys
            .into_iter()
            .map(|key| ForeignKey {
                columns: key.columns,
                parent: key.parent,
                parent_columns: key.parent_columns,
                may_be_null: key.may_be_null,
            })
            .collect(),
        columns,
        partitions: row.partitioned_by.map(|column| (column, row.bounds)),
        key,
        name,
    }
}

fn in_order(mut waiting: Vec<Table>) -> Vec<Table> {
    let mut ordered: Vec<Table> = Vec::new();
    while !waiting.is_empty() {
        let open: BTreeSet<String> = waiting.iter().map(|table| table.name.clone()).collect();
        let (ready, later): (Vec<Table>, Vec<Table>) = waiting.into_iter().partition(|table| {
            let mut parents = table.foreign_keys.iter().map(|key| &key.parent);
            parents.all(|parent| *parent == table.name || !open.contains(parent))
        });
        let stuck: Vec<&str> = later.iter().map(|table| table.name.as_str()).collect();
        assert!(!ready.is_empty(), "these refer to each other: {stuck:?}");
        ordered.extend(ready);
        waiting = later;
    }
    ordered
}

/// The first of the values to try that the column's own checks let through.
fn value(conn: &mut PgConnection, table: &str, column: &ColumnRow) -> Option<String> {
    let special = SPECIAL
        .iter()
        .find(|(of, name, _)| *of == table && *name == column.name);
    if let Some((_, _, value)) = special {
        return Some((*value).to_owned());
    }
    if !column.is_needed {
        return None;
    }
    let ColumnRow {
        name, kind, checks, ..
    } = column;
    let found = to_try(column).into_iter().find(|value| {
        let checked = checks.join(" and ");
        let checked = if checked.is_empty() {
            "true"
        } else {
            checked.as_str()
        };
        let tried = filled(&value.replace("{place}", "1"), NOBODY, 1);
        let sql = format!("select 1 from (select ({tried})::{kind} as {name}) t where {checked}");
        sql_query(sql).execute(conn).is_ok_and(|rows| rows == 1)
    });
    Some(
        found.unwrap_or_else(|| {
            panic!("{table}.{name}: no value of {kind} is known for {checks:?}")
        }),
    )
}

fn to_try(column: &ColumnRow) -> Vec<String> {
    let own = |values: &[&str]| {
        values
            .iter()
            .map(|value| (*value).to_owned())
            .collect::<Vec<_>>()
    };
    match column.kind.as_str() {
        "uuid" => own(&["'{id}'"]),
        "text" => {
            // What a check lists stands in it as a literal.
            let listed = column
                .checks
                .iter()
                .flat_map(|check| check.split('\'').skip(1).step_by(2));
            own(&["'{word}'", "'{word}.x'", "'x.{word}'", "'EUR'"])
                .into_iter()
                .chain(listed.map(|literal| format!("'{literal}'")))
                .collect()
        }
        "smallint" | "integer" | "bigint" | "numeric" => own(&["1", "0"]),
        "boolean" => own(&["false", "true"]),
        "bytea" => own(&["decode(repeat('00', 32), 'hex')"]),
        "jsonb" => own(&["'{}'", "'[]'"]),
        "date" => own(&["date '2026-01-01' + {letter}"]),
        // A check compares two times of a row: the later column is the later time.
        "timestamp with time zone" => {
            own(&["timestamptz '2026-01-01 00:00Z' + {place} * interval '1 hour'"])
        }
        "inet" => own(&["'127.0.0.1'"]),
        array if array.ends_with("[]") => own(&["'{}'"]),
        _ => Vec::new(),
    }
}

fn filled(value: &str, owner: Owner, number: usize) -> String {
    value
        .replace("{word}", &owner.word(number))
        .replace("{id}", &owner.id(number))
        .replace(
            "{letter}",
            &owner.0.to_digit(36).unwrap_or_default().to_string(),
        )
}

impl Table {
    pub(super) fn is_partition(&self) -> bool {
        self.name != self.root
    }

    /// Statements that add rows of an owner: one, or one for each partition.
    pub(super) fn inserts(&self, all: &[Self], owner: Owner, number: usize) -> Vec<String> {
        let Some((column, bounds)) = &self.partitions else {
            return vec![self.insert(all, owner, number, &[])];
        };
        let each = bounds.iter().enumerate();
        each.map(|(place, bound)| {
            let bound = format!("'{bound}'");
            self.insert(all, owner, number + place, &[(column, &bound)])
        })
        .collect()
    }

    /// A statement that adds a row. `fixed` are values, as SQL, that the row has in any case.
    pub(super) fn insert(
        &self,
        all: &[Self],
        owner: Owner,
        number: usize,
        fixed: &[(&str, &str)],
    ) -> String {
        let mut names = Vec::new();
        let mut values = Vec::new();
        for (place, column) in self.columns.iter().enumerate() {
            let name = column.name.as_str();
            let fixed = fixed.iter().find(|(of, _)| *of == name);
            let value = if let Some((_, value)) = fixed {
                (*value).to_owned()
            } else if name == self.key {
                format!("'{}'", self.whose.id(owner))
            } else if let Some(value) = self.parents_value(all, owner, name) {
                value
            } else if let Some(value) = &column.value {
                filled(&value.replace("{place}", &place.to_string()), owner, number)
            } else {
                continue;
            };
            names.push(name);
            values.push(value);
        }
        let (names, values) = (names.join(", "), values.join(", "));
        format!("insert into {} ({names}) values ({values})", self.name)
    }

    /// What a column refers to: the row of the same owner, or the first one when the other table has no owners.
    fn parents_value(&self, all: &[Self], owner: Owner, column: &str) -> Option<String> {
        self.foreign_keys.iter().find_map(|key| {
            let place = key.columns.iter().position(|name| name == column)?;
            let wanted = key.parent_columns.get(place)?;
            let parent = all.iter().find(|table| table.name == key.parent);
            match parent {
                Some(_) if key.parent == self.name => None,
                Some(parent) => Some(format!(
                    "(select {wanted} from {} where {} = '{}' limit 1)",
                    parent.name,
                    parent.key,
                    parent.whose.id(owner)
                )),
                None if key.may_be_null => None,
                None => Some(format!(
                    "(select {wanted} from {0} order by {0}::text limit 1)",
                    key.parent
                )),
            }
        })
    }
}

/// Adds rows of an owner to every table, through a connection that may.
pub(super) fn add_rows(conn: &mut PgConnection, all: &[Table], owner: Owner) {
    let mut number = 100;
    for table in all.iter().filter(|table| !table.is_partition()) {
        for insert in table.inserts(all, owner, number) {
            let added = sql_query(&insert).execute(conn);
            assert_eq!(added, Ok(1), "{}: {insert}", table.name);
            number += 1;
        }
        // Partitions took as many numbers as there were statements; the next table begins behind them.
        number += 10;
    }
}
