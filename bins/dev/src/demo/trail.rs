//! Who did what, that nobody can undo it, and that the database itself keeps tenants apart.

use std::collections::BTreeSet;

use diesel::{
    Connection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Text},
};

use super::{Story, heading, proved, stage::Stage};
use crate::database::ask;
use crate::failure::Failure;

/// What the story must have left in the trail: the beginning of an action.
const LEFT: [&str; 5] = [
    "tenant.",
    "invitation.",
    "api_key.",
    "subscription.",
    "resource.",
];

/// The trail holds every change of the story, with its actor.
pub(super) async fn tells_what_happened(story: &Story) -> Result<(), Failure> {
    heading("Who did what");
    let mut actions = BTreeSet::new();
    let mut events = 0;
    let mut path = "/v1/audit-events?limit=50".to_owned();
    loop {
        let page = story.owner.get(&path).await?.expect(&[200])?;
        for event in page.list("/data")? {
            let action = event.get("action").and_then(|action| action.as_str());
            let actor = event.pointer("/actor/id").and_then(|id| id.as_str());
            let (Some(action), Some(_)) = (action, actor) else {
                return Err(page.wrong("expected every event to have an action and an actor"));
            };
            actions.insert(action.to_owned());
            events += 1;
        }
        match page.text("/next_cursor") {
            Ok(cursor) => path = format!("/v1/audit-events?limit=50&cursor={cursor}"),
            Err(_) => break,
        }
    }
    for left in LEFT {
        if !actions.iter().any(|action| action.starts_with(left)) {
            return Err(Failure(format!(
                "no `{left}…` in the trail, only {actions:?}"
            )));
        }
    }
    let actions: Vec<_> = actions.into_iter().collect();
    proved(&format!(
        "{events} events, each written with the change it tells of: {}",
        actions.join(", ")
    ));
    Ok(())
}

/// The API's own role cannot change the trail.
pub(super) async fn cannot_be_changed(stage: &Stage) -> Result<(), Failure> {
    for attempt in [
        "delete from audit_events",
        "update audit_events set action = 'nothing'",
    ] {
        let refused = ask(&stage.app_url, move |conn| conn.batch_execute(attempt)).await;
        match refused {
            Err(refused) if refused.0.contains("permission denied") => {}
            Err(other) => return Err(other),
            Ok(()) => return Err(Failure(format!("the API's role could `{attempt}`"))),
        }
    }
    proved("the role of the API may add to the trail and neither change nor delete anything in it");
    Ok(())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The API's own role, without the API: sees nothing, then one tenant.
pub(super) async fn one_tenant_at_a_time(stage: &Stage, story: &Story) -> Result<(), Failure> {
    let tenant = story.tenant_id.clone();
    let (nobody, own) = ask(&stage.app_url, move |conn| {
        let count =
            |conn: &mut _| sql_query("select count(*) from memberships").get_result::<Count>(conn);
        let nobody = count(conn)?.count;
        let own = conn.transaction::<_, diesel::result::Error, _>(|conn| {
            sql_query("select set_config('app.tenant_id', $1, true)")
                .bind::<Text, _>(tenant)
                .execute(conn)?;
            Ok(count(conn)?.count)
        })?;
        Ok((nobody, own))
    })
    .await?;
    if (nobody, own) != (0, 2) {
        return Err(Failure(format!(
            "psql as the API's role saw {nobody} memberships without a tenant and {own} as {}'s, not 0 and 2",
            story.owner_email
        )));
    }
    proved(
        "past the API, the database itself shows its role nothing without a tenant, and then that one only",
    );
    Ok(())
}
