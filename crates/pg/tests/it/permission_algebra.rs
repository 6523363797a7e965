//! The database decides some permissions itself: its algebra is that of `kernel::permission`, over every set of two codes.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, Bool, Text},
};
use kernel::{Permission, PermissionSet};
use testkit::TestDb;

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    covered: bool,
}

/// Every code over two resources, and wildcards over them.
fn codes() -> Vec<Permission> {
    let resources = ["*", "project", "api_key"];
    let actions = ["*", "read", "write", "create", "delete", "invite"];
    resources
        .iter()
        .flat_map(|resource| {
            actions
                .iter()
                .map(move |action| format!("{resource}.{action}"))
        })
        .map(|code| Permission::parse(&code).unwrap())
        .collect()
}

#[tokio::test]
async fn codes_cover_in_the_database_what_they_cover_in_the_kernel() {
    let db = TestDb::create().await;
    let mut conn = PgConnection::establish(&db.superuser_url()).unwrap();
    let codes = codes();
    let none = [PermissionSet::default()];
    let pairs = codes.iter().flat_map(|a| {
        let with = |b: &Permission| [a, b].into_iter().cloned().collect();
        codes.iter().map(with).collect::<Vec<PermissionSet>>()
    });
    let questions: Vec<(PermissionSet, &Permission)> = none
        .into_iter()
        .chain(pairs)
        .flat_map(|held| codes.iter().map(move |wanted| (held.clone(), wanted)))
        .collect();
    let held: Vec<String> = questions
        .iter()
        .map(|(held, _)| {
            held.iter()
                .map(Permission::as_str)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let wanted: Vec<&str> = questions
        .iter()
        .map(|(_, wanted)| wanted.as_str())
        .collect();
    let answers: Vec<Answer> = sql_query(
        "select app.codes_cover(string_to_array(held, ' '), wanted) as covered
         from unnest($1, $2) with ordinality as question (held, wanted, place) order by place",
    )
    .bind::<Array<Text>, _>(held)
    .bind::<Array<Text>, _>(wanted)
    .load(&mut conn)
    .unwrap();
    assert_eq!(answers.len(), questions.len());
    for ((held, wanted), answer) in questions.iter().zip(answers) {
        assert_eq!(answer.covered, held.allows(wanted), "{held:?} and {wanted}");
    }
}
