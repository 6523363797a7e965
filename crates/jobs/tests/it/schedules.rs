//! Schedules: once per time, whoever looks.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use app::schedule::{NewSchedule, Runs, Timing};
use kernel::Scope;
use plinth_jobs::{Registry, Settings, schedule};

use crate::bench::{Bench, Probe, Seen, Started, brisk, now};

const JOBS: &str = "select count(*) as value from jobs";

fn nightly(timing: Timing) -> NewSchedule {
    NewSchedule {
        name: "nightly",
        kind: "probe",
        timing,
        zone: "Europe/Paris",
        runs: Runs::Queued,
    }
}

async fn declare(bench: &Bench, timing: Timing) {
    let schedule = nightly(timing);
    bench
        .with(move |store| schedule::declare(store, &[schedule], now()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_fire_a_schedule_once() {
    let bench = Bench::new().await;
    declare(&bench, Timing::Every(Duration::from_secs(3600))).await;
    let at = now();
    let fired: Vec<_> = (0..8)
        .map(|_| {
            let store = bench.another();
            tokio::spawn(async move {
                store
                    .run(Scope::global(), move |store| schedule::fire_due(store, at))
                    .await
            })
        })
        .collect();
    let mut count = 0;
    for firing in fired {
        count += firing.await.unwrap().unwrap();
    }
    assert_eq!(count, 1);
    assert_eq!(bench.number(JOBS), 1);
}

#[tokio::test]
async fn what_was_missed_is_made_up_for_once() {
    let bench = Bench::new().await;
    declare(&bench, Timing::Cron("30 2 * * *".to_owned())).await;
    bench.sql("update schedules set next_at = now() - interval '5 days'");
    let fire = || bench.with(|store| schedule::fire_due(store, now()));
    assert_eq!(fire().await, 1);
    bench.sql("update jobs set state = 'done', finished_at = now()");
    assert_eq!(fire().await, 0);
    assert_eq!(bench.number(JOBS), 1);
    let ahead =
        "select count(*) as value from schedules where next_at > now() and last_run_at <= now()
                 and extract(hour from next_at at time zone 'Europe/Paris') = 2";
    assert_eq!(bench.number(ahead), 1);
}

#[tokio::test]
async fn a_job_that_still_runs_is_not_queued_again() {
    let bench = Bench::new().await;
    declare(&bench, Timing::Every(Duration::from_secs(60))).await;
    for _ in 0..3 {
        bench.sql("update schedules set next_at = now() - interval '1 second'");
        assert_eq!(
            bench.with(|store| schedule::fire_due(store, now())).await,
            1
        );
    }
    assert_eq!(bench.number(JOBS), 1);
}

#[tokio::test]
async fn what_an_operator_changed_stays() {
    let bench = Bench::new().await;
    declare(&bench, Timing::Cron("30 2 * * *".to_owned())).await;
    bench.sql("update schedules set cron = '0 4 * * *', enabled = false, next_at = now() - interval '1 hour'");
    declare(&bench, Timing::Cron("30 2 * * *".to_owned())).await;
    assert_eq!(
        bench.text("select cron as value from schedules"),
        "0 4 * * *"
    );
    assert_eq!(
        bench.with(|store| schedule::fire_due(store, now())).await,
        0
    );
    assert!(!bench.with(|store| store.due("default")).await.schedules);
}

#[tokio::test]
async fn a_schedule_that_cannot_be_understood_is_disabled_and_says_why() {
    let bench = Bench::new().await;
    declare(&bench, Timing::Cron("30 2 * * *".to_owned())).await;
    bench.sql("update schedules set cron = 'every night', next_at = now()");
    bench.with(|store| schedule::fire_due(store, now())).await;
    assert_eq!(
        bench.number("select count(*) as value from schedules where enabled"),
        0
    );
    let error = bench.text("select last_error as value from schedules");
    assert!(error.contains("every night"), "{error}");
    assert_eq!(bench.number(JOBS), 0);
}

#[tokio::test]
async fn a_worker_fires_its_schedules_and_runs_their_jobs() {
    let bench = Bench::new().await;
    let seen = Arc::new(Seen::default());
    let probe = Probe::fine(&seen, Duration::ZERO);
    let registry = Registry::new().every(Duration::from_millis(300), probe);
    let worker = Started::new(&bench.store, registry, brisk());
    bench
        .until(
            "select least(count(*), 3) as value from jobs where state = 'done'",
            3,
        )
        .await;
    worker.stop().await;
    assert!(seen.runs().iter().all(|runs| *runs == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inline_schedule_runs_in_one_worker_at_a_time_and_moves_when_that_one_stops() {
    let bench = Bench::new().await;
    let seen = [Arc::new(Seen::default()), Arc::new(Seen::default())];
    let started = seen.each_ref().map(|seen| {
        let probe = Probe::fine(seen, Duration::from_millis(10));
        let registry = Registry::new().inline(Duration::from_millis(100), probe);
        Started::new(&bench.another(), registry, brisk())
    });
    let runs = |who: usize| seen[who].total.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let holder = usize::from(runs(1) > 0);
    assert!(runs(holder) >= 5, "{}", runs(holder));
    assert_eq!(runs(1 - holder), 0, "both run it");

    let [first, second] = started;
    let (leaves, stays) = if holder == 0 {
        (first, second)
    } else {
        (second, first)
    };
    leaves.stop().await;
    let so_far = runs(holder);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(runs(holder), so_far);
    assert!(runs(1 - holder) >= 2, "nobody took it over");
    assert_eq!(bench.number(JOBS), 0, "inline runs leave no rows");
    stays.stop().await;
    assert_eq!(bench.number("select lease_no as value from schedules"), 2);
}

#[tokio::test]
async fn an_inline_schedule_is_lost_when_somebody_else_has_taken_it() {
    let bench = Bench::new().await;
    let seen = Arc::new(Seen::default());
    let registry = Registry::new().inline(
        Duration::from_millis(100),
        Probe::fine(&seen, Duration::ZERO),
    );
    let settings = Settings {
        lease: Duration::from_millis(600),
        ..brisk()
    };
    let worker = Started::new(&bench.store, registry, settings);
    bench
        .until(
            "select coalesce(max(lease_no), 0) as value from schedules",
            1,
        )
        .await;
    bench.sql("update schedules set lease_no = 7, lease_until = now() + interval '1 hour'");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let so_far = seen.total.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(seen.total.load(Ordering::SeqCst), so_far);
    worker.stop().await;
    assert_eq!(
        bench.number("select lease_no as value from schedules where lease_until > now()"),
        7
    );
}
