//! Every function that a log-in may call, with the ids and names of somebody else.

use std::collections::BTreeSet;

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, Text},
};

use super::{
    matrix::{World, connect},
    rows::{BOB, NOBODY},
    verbs::{SCOPES, Scope, texts},
};

const BEFORE: &str = "comes before a tenant is known; see `bodies.rs`";
const JOB: &str = "the worker's, across tenants; see `bodies.rs`";

/// Functions that answer about whoever is asked for.
const ANSWER: &[(&str, &str)] = &[
    ("app.access_of_user", BEFORE),
    ("app.api_key_for", BEFORE),
    ("app.api_keys_for", BEFORE),
    ("app.credential_for_email", BEFORE),
    ("app.session_for_token", BEFORE),
    ("app.slug_is_free", BEFORE),
    ("app.tenant_of_invitation", BEFORE),
    ("app.tenant_of_slug", BEFORE),
    ("app.usage_zones", JOB),
];

/// Functions that change rows of anybody, by their time. Not called here.
const CHANGE: &[(&str, &str)] = &[
    ("app.apply_due_plan_changes", JOB),
    ("app.delete_idempotency_keys", JOB),
    ("app.delete_reservations", JOB),
    ("app.delete_sessions", JOB),
    ("app.ended_trials", JOB),
    ("app.expired_invitations", JOB),
    ("app.long_frozen_tenants", JOB),
    ("app.ensure_audit_partitions", JOB),
    ("app.ensure_usage_partitions", JOB),
    ("app.summarise_usage_events", JOB),
];

#[derive(QueryableByName)]
struct Function {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Array<Text>)]
    arguments: Vec<String>,
}

const FUNCTIONS: &str = "
    select format('%s.%I', pronamespace::regnamespace, proname) as name,
        array(select format_type(t, null) from unnest(proargtypes) with ordinality as u(t, place) order by place) as arguments
    from pg_proc
    where oid >= 16384 and prorettype <> 'trigger'::regtype and has_function_privilege(oid, 'execute') order by 1";

/// Every value of Bob's that some column of his rows holds: ids, the tenant's first, and texts.
fn values(world: &World) -> (Vec<String>, Vec<String>) {
    let mut ids = BTreeSet::new();
    let mut words = BTreeSet::new();
    for table in &world.tables {
        let row: serde_json::Value = serde_json::from_str(world.row(BOB, &table.name)).unwrap();
        for value in row
            .as_object()
            .unwrap()
            .values()
            .filter_map(serde_json::Value::as_str)
        {
            if value.starts_with("0b000000-") {
                ids.insert(value.to_owned());
            } else if value.starts_with("b00000000") {
                words.insert(value.to_owned());
            }
        }
    }
    (ids.into_iter().collect(), words.into_iter().collect())
}

/// A call with an id and a word in every place that takes one.
fn call(function: &Function, id: &str, word: &str) -> String {
    let arguments: Vec<String> = function
        .arguments
        .iter()
        .map(|kind| match kind.as_str() {
            "uuid" => format!("'{id}'"),
            "uuid[]" => format!("array['{id}']::uuid[]"),
            "text" => format!("'{word}'"),
            "text[]" => format!("array['{word}']"),
            "boolean" => "false".to_owned(),
            "integer" | "bigint" => "100".to_owned(),
            "integer[]" | "numeric[]" => "array[1]".to_owned(),
            "timestamp with time zone" => "'2036-01-01 00:00Z'".to_owned(),
            "timestamp with time zone[]" => "array[timestamptz '2036-01-01 00:00Z']".to_owned(),
            "jsonb" => "'{}'".to_owned(),
            "pg_snapshot" => "'1:1:'".to_owned(),
            other => panic!("{}: no value of {other} is known", function.name),
        })
        .collect();
    let arguments = arguments.join(", ");
    format!(
        "select coalesce(string_agg(f::text, '; '), 'nothing') as text from {}({arguments}) f",
        function.name
    )
}

/// Functions whose answer about Bob differs from the one about nobody, and excuses that nothing needs.
pub(super) fn leaks(world: &World, role: &str) -> Vec<String> {
    let (ids, words) = values(world);
    let mut telling = BTreeSet::new();
    let mut callable = BTreeSet::new();
    for scope in SCOPES.iter().filter(|scope| !scope.is_garbage()) {
        let mut conn = connect(&if role == "plinth_worker" {
            world.db.worker_url()
        } else {
            world.db.app_url()
        });
        scope.enter(&mut conn);
        let functions: Vec<Function> = sql_query(FUNCTIONS).load(&mut conn).unwrap();
        callable.extend(functions.iter().map(|function| function.name.clone()));
        for function in functions
            .iter()
            .filter(|function| is_asked(function, scope))
        {
            if tells(&mut conn, function, &ids, &words) {
                telling.insert(function.name.clone());
            }
        }
    }
    let is_excused = |name: &String| ANSWER.iter().any(|(known, _)| known == name);
    let stale = ANSWER.iter().map(|(known, _)| (*known).to_owned());
    let stale = stale.filter(|known| callable.contains(known) && !telling.contains(known));
    let stale = stale.map(|known| format!("excused for nothing: {known}"));
    let telling = telling.iter().filter(|name| !is_excused(name)).cloned();
    telling.chain(stale).collect()
}

/// Whether a function answers about Bob otherwise than about nobody, and is not there to do so.
pub(super) fn is_telling(
    world: &World,
    conn: &mut PgConnection,
    scope: &Scope,
    name: &str,
) -> bool {
    let (ids, words) = values(world);
    let functions: Vec<Function> = sql_query(FUNCTIONS).load(conn).unwrap();
    let mut functions = functions
        .iter()
        .filter(|function| function.name == name && is_asked(function, scope));
    functions.any(|function| {
        ANSWER.iter().all(|(known, _)| *known != name) && tells(conn, function, &ids, &words)
    })
}

/// In a transaction of no tenant, uses of keys are written for all tenants at once.
fn is_asked(function: &Function, scope: &Scope) -> bool {
    let name = function.name.as_str();
    CHANGE.iter().all(|(known, _)| *known != name)
        && (name != "app.touch_api_keys" || scope.name == "another tenant")
}

impl Function {
    fn takes(&self, kind: &str) -> bool {
        self.arguments.iter().any(|other| other.starts_with(kind))
    }

    /// Every id with some word, and every word with the tenant's id: all pairs would be too many calls.
    fn asked<'a>(&self, ids: &'a [String], words: &'a [String]) -> Vec<(&'a str, &'a str)> {
        let some = |values: &'a [String], is_taken: bool| {
            values.get(..if is_taken { values.len() } else { 1 })
        };
        let ids = some(ids, self.takes("uuid")).unwrap_or_default();
        let words = some(words, self.takes("text")).unwrap_or_default();
        let longest = ids.len().max(words.len());
        let in_step = ids.iter().cycle().zip(words.iter().cycle()).take(longest);
        let of_tenant = words.iter().filter_map(|word| Some((ids.first()?, word)));
        let asked = in_step.chain(of_tenant);
        asked
            .map(|(id, word)| (id.as_str(), word.as_str()))
            .collect()
    }
}

fn tells(conn: &mut PgConnection, function: &Function, ids: &[String], words: &[String]) -> bool {
    let asked = function.asked(ids, words);
    asked.into_iter().any(|(id, word)| {
        let [bob, nobody] = [BOB, NOBODY].map(|victim| {
            let (id, word) = (BOB.renamed(id, victim), BOB.renamed(word, victim));
            let call = call(function, &id, &word);
            let answer = conn.transaction(|conn| texts(conn, &call));
            victim.renamed(&format!("{answer:?}"), NOBODY)
        });
        // Who asks for nobody in particular is told nothing of Bob.
        if function.takes("uuid") || function.takes("text") {
            bob != nobody
        } else {
            bob.contains(&NOBODY.tenant())
        }
    })
}
