//! May one more be had, and what was used? Asked while events come at half the rate that is possible, and the worker rolls them up.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    roller::Roller,
    sender::{Load, Sender},
    stage::{Api, Database},
};

/// A limit, a quota of what nobody uses, and one of what all the events count.
const KEYS: [&str; 3] = ["max_members", "tasks_per_month", "tool_calls_per_month"];

/// How often the worker rolls up where many events come.
const ROLLED: Duration = Duration::from_millis(200);

/// The last of the keys, for everybody.
const QUOTA: &str = "
insert into tenant_entitlement_overrides (tenant_id, key, kind, maximum, metric)
select id, 'tool_calls_per_month', 'quota', 1000000000000, 'tool_call' from tenants";

pub(crate) fn beside(
    sender: &mut Sender,
    database: &Database,
    (api, key): (&Api, &str),
    rate: u64,
) {
    database.administer(&[QUOTA]);
    let (roller, is_over) = (Roller::start(database), AtomicBool::new(false));
    println!("\n{} events are rolled up", roller.roll());
    roller.summarise();
    let load = Load {
        clients: 16,
        batch: 100,
        replay: false,
        rate: Some(rate),
    };
    thread::scope(|scope| {
        let _until_the_end = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(ROLLED);
                roller.roll();
            }
        });
        let get = |path| {
            format!(
                "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\n\r\n",
                api.address
            )
        };
        let bare = ("nothing", get("/healthz"));
        let checks = KEYS.map(|wanted| (wanted, check(api, key, wanted)));
        let month = (
            "a month by day",
            get("/v1/usage?metric=tool_call&granularity=day"),
        );
        for (label, request) in [bare].into_iter().chain(checks).chain([month]) {
            for clients in [0, load.clients] {
                let load = Load { clients, ..load };
                let (events, asked) = sender.run_beside(load, Some(&request));
                println!(
                    "asked of {label} beside {} events/s: {} a second, half within {} µs, 99 % within {} µs",
                    events.events_per_second, asked.events_per_second, asked.p50, asked.p99
                );
            }
        }
    });
}

/// Says that it is over when it goes, be it because something went wrong.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn check(api: &Api, key: &str, wanted: &str) -> String {
    let body = format!(r#"{{"key":"{wanted}"}}"#);
    format!(
        "POST /v1/entitlements/check HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        api.address,
        body.len()
    )
}
