//! Notifications from the database: how one process learns what another has changed.

use std::{
    thread,
    time::{Duration, Instant},
};

use diesel::{PgConnection, RunQueryDsl, sql_query, sql_types::Text};

use crate::pool::lone_connection;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The connection stands: what is heard from now on is complete.
    Connected,
    /// The connection was lost: anything may have been missed until the next [`Heard::Connected`].
    Lost,
    /// A notification with its payload.
    Payload(String),
    /// Nothing that was notified before this instant is missing.
    AllUntil(Instant),
}

/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_millis(500);
/// How often to look for what has arrived.
const POLL: Duration = Duration::from_millis(50);
/// How many times that is done until the database is asked whether there is more: half a second.
const POLLS_A_QUESTION: u64 = 10;

/// Told what is heard; says whether anybody still cares.
pub type Ears = Box<dyn Fn(Heard) -> bool + Send>;

/// Listens on `channel` in a thread of its own, over a connection of its own, until `ears` say that nobody cares any more.
/// `channel` is written into the statement, so it is a constant and never comes from outside.
pub fn listen(url: String, channel: &'static str, ears: Ears) {
    let name = format!("listen-{channel}");
    let spawned = thread::Builder::new().name(name).spawn(move || {
        loop {
            if let Err(error) = listen_once(&url, channel, &ears) {
                tracing::warn!(channel, %error, "not listening; connecting again");
            }
            if !ears(Heard::Lost) {
                return;
            }
            thread::sleep(PAUSE);
        }
    });
    if let Err(error) = spawned {
        tracing::error!(channel, %error, "no thread to listen on");
    }
}

fn listen_once(url: &str, channel: &str, ears: &Ears) -> Result<(), String> {
    let mut conn: PgConnection = lone_connection(url).map_err(|error| error.to_string())?;
    sql_query(format!("LISTEN {channel}"))
        .execute(&mut conn)
        .map_err(|error| error.to_string())?;
    if !ears(Heard::Connected) {
        return Ok(());
    }
    for turn in 1_u64.. {
        thread::sleep(POLL);
        // diesel takes what has arrived and does not wait. An answer tells that the connection stands, and brings what was notified before.
        let asked = turn.is_multiple_of(POLLS_A_QUESTION).then(Instant::now);
        if asked.is_some() {
            let listens = sql_query("select c from pg_listening_channels() c where c = $1")
                .bind::<Text, _>(channel)
                .execute(&mut conn)
                .map_err(|error| error.to_string())?;
            if listens == 0 {
                return Err("another session answers: a pooler stands between".to_owned());
            }
        }
        for notification in conn.notifications_iter() {
            let payload = notification.map_err(|error| error.to_string())?.payload;
            if !ears(Heard::Payload(payload)) {
                return Ok(());
            }
        }
        if let Some(instant) = asked
            && !ears(Heard::AllUntil(instant))
        {
            return Ok(());
        }
    }
    Ok(())
}
