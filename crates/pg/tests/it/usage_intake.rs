//! Events of many requests in one transaction: answers, bounds, and what becomes of them when the database goes away.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use kernel::Principal;
use pg::{GroupCommit, Settings};
use serde_json::json;
use usage::{IngestError, Intake, Item, Options, Outcome, Receipt, ingest::Admitted};

use crate::usage_fixture::Fixture;

fn intake(fixture: &Fixture) -> Arc<GroupCommit> {
    let settings = Settings {
        url: fixture.db.app_url(),
        max_connections: 1,
        statement_timeout: Duration::from_secs(10),
        prepared_statements: true,
    };
    Arc::new(GroupCommit::start(&settings, 2).unwrap())
}

fn request(by: &Principal, ids: impl IntoIterator<Item = String>, metadata: &str) -> Admitted {
    let items = ids.into_iter().map(|id| {
        let event = json!({ "id": id, "metric": "chat", "metadata": { "text": metadata } });
        Item::parse_plain(&event.to_string())
    });
    Admitted::new(items.collect(), Options::default(), by).unwrap()
}

fn accepted(receipt: &Receipt) -> impl Iterator<Item = String> {
    let accepted = receipt
        .results
        .iter()
        .filter(|it| it.outcome == Outcome::Accepted);
    accepted.filter_map(|it| it.id.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_answered_for_their_own_events() {
    let fixture = Fixture::new("UTC").await;
    let intake = intake(&fixture);
    let sending = (0..64).map(|client| {
        let (intake, by) = (Arc::clone(&intake), fixture.by.clone());
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for turn in 0..20 {
                // Every event is sent by two clients.
                let ids = [
                    format!("{}-{turn}", client / 2),
                    format!("own-{client}-{turn}"),
                ];
                let receipt = intake.take(request(&by, ids.clone(), "")).await.unwrap();
                let told: Vec<_> = receipt
                    .results
                    .iter()
                    .filter_map(|it| it.id.clone())
                    .collect();
                assert_eq!(told, ids, "answers are in the order of their own request");
                answers.extend(accepted(&receipt));
            }
            answers
        })
    });
    let mut all = Vec::new();
    for client in sending.collect::<Vec<_>>() {
        all.extend(client.await.unwrap());
    }
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert_eq!(
        (all.len(), distinct.len()),
        (64 * 20 * 3 / 2, 64 * 20 * 3 / 2)
    );
    assert_eq!(
        fixture.number("select count(*) from usage_events"),
        64 * 20 * 3 / 2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_there_however_often_connections_are_cut() {
    let fixture = Fixture::new("UTC").await;
    let intake = intake(&fixture);
    let sending = (0..8).map(|client| {
        let (intake, by) = (Arc::clone(&intake), fixture.by.clone());
        tokio::spawn(async move {
            let mut refused = 0;
            for turn in 0..40 {
                loop {
                    let sent = request(&by, [format!("{client}-{turn}")], "");
                    match intake.take(sent).await {
                        Ok(receipt) => {
                            let [accepted, duplicates, ..] = receipt.counts();
                            assert_eq!(accepted + duplicates, 1);
                            break;
                        }
                        Err(IngestError::Store(kernel::StoreError::Unavailable(_))) => refused += 1,
                        Err(other) => panic!("{other}"),
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            refused
        })
    });
    let sending: Vec<_> = sending.collect();
    for _ in 0..20 {
        fixture.db.cut_connections();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for client in sending {
        client.await.unwrap();
    }
    assert_eq!(fixture.number("select count(*) from usage_events"), 8 * 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_bounded_and_the_rest_is_told_to_come_back() {
    let fixture = Fixture::new("UTC").await;
    let intake = intake(&fixture);
    let mut owner = PgConnection::establish(&fixture.db.superuser_url()).unwrap();
    owner
        .batch_execute("begin; lock table usage_events in access exclusive mode")
        .unwrap();
    // Some 2 MB each, made before anything is sent.
    let text = "x".repeat(2_000);
    let requests: Vec<_> = (0..40)
        .map(|client| {
            request(
                &fixture.by,
                (0..900).map(|n| format!("{client}-{n}")),
                &text,
            )
        })
        .collect();
    let (told, mut refused) = tokio::sync::mpsc::unbounded_channel();
    let sending: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let (intake, told) = (Arc::clone(&intake), told.clone());
            tokio::spawn(async move {
                let answer = intake.take(request).await;
                if matches!(answer, Err(IngestError::Busy)) {
                    told.send(()).unwrap();
                }
                answer
            })
        })
        .collect();
    for _ in 0..10 {
        refused.recv().await.unwrap();
    }
    owner.batch_execute("rollback").unwrap();
    let (mut taken, mut busy) = (0, 0);
    for client in sending {
        match client.await.unwrap() {
            Ok(receipt) => taken += receipt.counts()[0],
            Err(IngestError::Busy) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(busy >= 10, "{busy} were told to come back");
    assert_eq!(taken, (40 - busy) * 900);
    assert_eq!(
        fixture.number("select count(*) from usage_events"),
        i64::try_from(taken).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_that_cannot_be_written_does_not_stay_in_the_way_of_others() {
    let fixture = Fixture::new("UTC").await;
    let intake = intake(&fixture);
    let mut owner = PgConnection::establish(&fixture.db.superuser_url()).unwrap();
    let refuse = "
        create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
        grant execute on function refuse() to plinth_app;
        create trigger refuse before insert on usage_events for each row when (new.event_id = 'poison') execute function refuse();";
    owner.batch_execute(refuse).unwrap();
    let send = |id: String| {
        let (intake, by) = (Arc::clone(&intake), fixture.by.clone());
        tokio::spawn(async move { intake.take(request(&by, [id], "")).await })
    };
    for turn in 0..4 {
        let poison = send("poison".to_owned());
        let others: Vec<_> = (0..32).map(|n| send(format!("{turn}-{n}"))).collect();
        assert!(matches!(poison.await.unwrap(), Err(IngestError::Store(_))));
        for other in others {
            assert_eq!(other.await.unwrap().unwrap().counts()[0], 1);
        }
    }
    assert_eq!(fixture.number("select count(*) from usage_events"), 4 * 32);
}

/// A server of the release before goes on while another one is upgraded.
#[tokio::test(flavor = "multi_thread")]
async fn the_release_before_finds_meters_at_the_place_of_each_tenant() {
    let fixture = Fixture::new("UTC").await;
    let tenant = fixture.by.tenant_id().unwrap();
    fixture.execute(&format!(
        "insert into meters (tenant_id, id, key, name, aggregation, unit) values ('{tenant}', gen_random_uuid(), 'chat', 'Chat', 'max', 'chat')"
    ));
    let found = |what: &str| {
        fixture.number(&format!(
            "select count(*) from app.usage_meters(false, array['{tenant}', gen_random_uuid()]::uuid[], '{{2,1}}', '{{chat,search,chat}}') where {what}"
        ))
    };
    assert_eq!(
        found("place = 1 and key = 'chat' and aggregation = 'max'"),
        1
    );
    assert_eq!(found("place = 1 and key = 'chat'"), 1);
    assert_eq!(found("place = 1 and key = 'search'"), 1);
    assert_eq!(
        found("place = 2 and key = 'chat' and aggregation = 'sum'"),
        1
    );
    assert_eq!(found("place not in (1, 2)"), 0);
}
