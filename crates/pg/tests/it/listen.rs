//! What a listener is told, and when it is told that nothing is missing.

use std::{
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use pg::listen::{Heard, listen};
use testkit::TestDb;

const SOON: Duration = Duration::from_secs(10);

fn ears(db: &TestDb) -> Receiver<Heard> {
    let (sender, heard) = channel();
    listen(
        db.app_url(),
        "plinth_access",
        Box::new(move |it| sender.send(it).is_ok()),
    );
    heard
}

fn administer(url: String, sql: String) {
    PgConnection::establish(&url)
        .unwrap()
        .batch_execute(&sql)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_notified_before_an_instant_is_heard_before_it_is_vouched_for() {
    let db = TestDb::create().await;
    let heard = ears(&db);
    assert_eq!(heard.recv_timeout(SOON), Ok(Heard::Connected));
    for number in 0..3 {
        administer(
            db.superuser_url(),
            format!("select pg_notify('plinth_access', '{number}')"),
        );
        let notified = Instant::now();
        let mut payloads = Vec::new();
        loop {
            match heard.recv_timeout(SOON).unwrap() {
                Heard::Payload(payload) => payloads.push(payload),
                Heard::AllUntil(instant) if instant > notified => break,
                Heard::AllUntil(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(payloads, [number.to_string()]);
    }
}

/// As behind a pooler that lends the session to others: the listener would hear nothing, and must not vouch for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_does_not_listen_is_given_up() {
    let db = TestDb::create().await;
    administer(
        db.superuser_url(),
        "create schema plinth_app authorization plinth_app;
         create function plinth_app.pg_listening_channels() returns setof text language sql as 'select null::text where false';
         do $$ begin
             execute format('alter role plinth_app in database %I set search_path = plinth_app, pg_catalog, public', current_database());
         end $$"
            .to_owned(),
    );
    let heard = ears(&db);
    assert_eq!(heard.recv_timeout(SOON), Ok(Heard::Connected));
    assert_eq!(heard.recv_timeout(SOON), Ok(Heard::Lost));
}
