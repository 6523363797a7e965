//! The database, held against what the clients were told.

use std::collections::HashMap;

use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Bool, Text},
};
use kernel::{Clock, SystemClock};
use time::{Duration, format_description::well_known::Rfc3339};

use super::{
    books::{Entries, Fate, Thing},
    customer::Customer,
    load::METRIC,
};
use crate::{
    api::Api,
    database::ask,
    failure::{Failure, While},
};

const EVENTS: &str = "
    select event_id as name, count(*) as times, sum(quantity)::bigint as quantity from usage_events
    where tenant_id = $1::uuid group by event_id";

const THINGS: &str = "
    select 'invitation' as thing, email as name, count(*) as times, bool_and(status <> 'pending') as ended
        from invitations where tenant_id = $1::uuid group by email
    union all select 'member', u.email, count(*), bool_and(m.status = 'removed')
        from memberships m join users u on u.id = m.user_id
        where m.tenant_id = $1::uuid and m.invited_by is not null group by u.email
    union all select 'project', name, count(*), bool_and(status = 'archived') from projects
        where tenant_id = $1::uuid and not is_default group by name
    union all select 'key', name, count(*), bool_and(revoked_at is not null) from api_keys
        where tenant_id = $1::uuid and name <> 'chaos' group by name
    union all select 'resource', external_id, count(*), false from resources
        where tenant_id = $1::uuid group by external_id
    union all select 'reservation', id::text, 1, status <> 'open' from quota_reservations
        where tenant_id = $1::uuid";

#[derive(QueryableByName)]
struct EventRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    times: i64,
    #[diesel(sql_type = BigInt)]
    quantity: i64,
}

#[derive(QueryableByName)]
struct ThingRow {
    #[diesel(sql_type = Text)]
    thing: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    times: i64,
    #[diesel(sql_type = Bool)]
    ended: bool,
}

impl Thing {
    const fn word(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Member => "member",
            Self::Project => "project",
            Self::ApiKey => "key",
            Self::Resource => "resource",
            Self::Reservation => "reservation",
        }
    }
}

/// Compares everything that the clients of a customer know with what is there. Gives what is off.
pub(super) async fn check(
    url: &str,
    api: &Api,
    customer: &Customer,
) -> Result<Vec<String>, Failure> {
    let id = customer.tenant_id.clone();
    let (events, things) = ask(url, move |conn| {
        let events = sql_query(EVENTS).bind::<Text, _>(id.clone());
        let things = sql_query(THINGS).bind::<Text, _>(id);
        Ok((
            events.load::<EventRow>(conn)?,
            things.load::<ThingRow>(conn)?,
        ))
    })
    .await?;
    let told = total(api, customer).await?;
    let books = customer.books.open();
    let mut wrong = compare_events(&books, events);
    wrong.extend(compare_things(&books, things));
    let quantity = books.quantity().to_string();
    if told != quantity {
        wrong.push(format!(
            "GET /v1/usage says {told}, and {quantity} was acknowledged"
        ));
    }
    Ok(wrong)
}

/// The total that the API gives.
async fn total(api: &Api, customer: &Customer) -> Result<String, Failure> {
    let at = |days| {
        let instant = SystemClock.now() + Duration::days(days);
        instant.format(&Rfc3339).while_("writing a time")
    };
    let (from, to) = (at(-3)?, at(1)?);
    let path = format!("/v1/usage?metric={METRIC}&granularity=total&from={from}&to={to}");
    let usage = api.bearer(&customer.key).get(&path).await?.expect(&[200])?;
    usage.text("/data/0/quantity")
}

fn compare_events(books: &Entries, rows: Vec<EventRow>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut found: HashMap<String, EventRow> = rows
        .into_iter()
        .map(|row| (row.name.clone(), row))
        .collect();
    for (id, sent) in &books.events {
        match found.remove(id) {
            None if sent.acknowledged => wrong.push(format!("{id} was acknowledged, and is lost")),
            Some(row) if row.times != 1 => {
                wrong.push(format!("{id} is there {} times", row.times));
            }
            Some(row) if u64::try_from(row.quantity) != Ok(sent.quantity) => {
                wrong.push(format!(
                    "{id} has the quantity {}, not {}",
                    row.quantity, sent.quantity
                ));
            }
            Some(_) if !sent.acknowledged => {
                wrong.push(format!("{id} is there, and nobody ever said so"));
            }
            _ => {}
        }
    }
    let strangers = found.into_keys();
    wrong.extend(strangers.map(|id| format!("{id} is there, and nobody sent it")));
    wrong
}

fn compare_things(books: &Entries, rows: Vec<ThingRow>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut found: HashMap<(String, String), ThingRow> = rows
        .into_iter()
        .map(|row| ((row.thing.clone(), row.name.clone()), row))
        .collect();
    for ((thing, name), fate) in &books.things {
        let row = found.remove(&(thing.word().to_owned(), name.clone()));
        let there = row.map(|row| (row.times, row.ended));
        let late = *thing == Thing::Resource && books.left_behind.contains(name);
        let right = match fate {
            Fate::Made => there == Some((1, false)),
            Fate::Ended | Fate::Refused if late => matches!(there, None | Some((1, false))),
            Fate::Ended if *thing == Thing::Resource => there.is_none(),
            Fate::Ended => there == Some((1, true)),
            Fate::Refused => there.is_none(),
        };
        if !right {
            let word = thing.word();
            wrong.push(format!(
                "{word} {name} is {fate:?} to its client, and (times, ended) is {there:?}"
            ));
        }
    }
    wrong.extend(compare_strangers(books, found.into_keys()));
    wrong
}

/// What is there, and no client was told of.
fn compare_strangers(
    books: &Entries,
    found: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    // There is no list of reservations: those whose answer was lost are known by their number alone.
    let lost = books
        .unknown
        .get("reservation made")
        .copied()
        .unwrap_or_default();
    let (reservations, strangers): (Vec<_>, Vec<_>) =
        found.partition(|(thing, _)| thing == Thing::Reservation.word());
    let strangers = strangers.into_iter();
    let mut wrong: Vec<String> = strangers
        .map(|(thing, name)| format!("{thing} {name} is nobody's"))
        .collect();
    if u64::try_from(reservations.len()) != Ok(lost) {
        let there = reservations.len();
        wrong.push(format!(
            "{there} reservations are nobody's, and {lost} answers were lost"
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::books::Sent;

    fn event(name: &str, times: i64, quantity: i64) -> EventRow {
        let name = name.to_owned();
        EventRow {
            name,
            times,
            quantity,
        }
    }

    #[test]
    fn an_event_that_is_lost_doubled_changed_or_invented_is_found() {
        let mut books = Entries::default();
        for (id, acknowledged) in [("kept", true), ("lost", true), ("unsure", false)] {
            let sent = Sent {
                quantity: 2,
                accepted: 1,
                acknowledged,
            };
            books.events.insert(id.to_owned(), sent);
        }
        let right = || vec![event("kept", 1, 2), event("lost", 1, 2)];
        let wrong = |rows| compare_events(&books, rows).len();
        assert_eq!(wrong(right()), 0);
        assert_eq!(wrong(vec![event("kept", 1, 2)]), 1);
        assert_eq!(wrong(vec![event("kept", 2, 4), event("lost", 1, 2)]), 1);
        assert_eq!(wrong(vec![event("kept", 1, 3), event("lost", 1, 2)]), 1);
        for stranger in ["unsure", "invented"] {
            let mut rows = right();
            rows.push(event(stranger, 1, 2));
            assert_eq!(wrong(rows), 1, "{stranger}");
        }
    }

    #[test]
    fn a_put_that_was_left_behind_may_be_carried_out_late_and_no_other() {
        let mut books = Entries::default();
        books.note(Thing::Resource, "late", Fate::Refused);
        let late = || {
            vec![ThingRow {
                thing: "resource".to_owned(),
                name: "late".to_owned(),
                times: 1,
                ended: false,
            }]
        };
        assert_eq!(compare_things(&books, late()).len(), 1);
        books.left_behind.insert("late".to_owned());
        assert_eq!(compare_things(&books, late()).len(), 0);
        assert_eq!(compare_things(&books, Vec::new()).len(), 0);
    }

    #[test]
    fn a_command_that_took_effect_twice_or_not_at_all_is_found() {
        let mut books = Entries::default();
        books.note(Thing::Project, "made", Fate::Made);
        books.note(Thing::Project, "ended", Fate::Ended);
        books.note(Thing::Project, "refused", Fate::Refused);
        books.note(Thing::Resource, "removed", Fate::Ended);
        books.lost("reservation made");
        let row = |thing: &str, name: &str, times, ended| ThingRow {
            thing: thing.to_owned(),
            name: name.to_owned(),
            times,
            ended,
        };
        let check = |changed: Option<ThingRow>| {
            let mut rows = vec![
                row("project", "made", 1, false),
                row("project", "ended", 1, true),
                row("reservation", "of nobody", 1, false),
            ];
            if let Some(changed) = changed {
                rows.retain(|row| row.name != changed.name);
                rows.push(changed);
            }
            compare_things(&books, rows).len()
        };
        assert_eq!(check(None), 0);
        for changed in [
            row("project", "made", 2, false),
            row("project", "made", 1, true),
            row("project", "ended", 1, false),
            row("project", "refused", 1, false),
            row("resource", "removed", 1, false),
            row("reservation", "another one", 1, false),
            row("key", "of nobody at all", 1, false),
        ] {
            let name = changed.name.clone();
            assert_eq!(check(Some(changed)), 1, "{name}");
        }
    }
}
