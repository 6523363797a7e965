//! Whole workers: several at once, failing jobs, and stopping.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use app::{queue::WorkerStore, schedule::Timing};
use kernel::{BoxFuture, Scope, StoreError, SystemClock, UnitOfWork, Work};
use plinth_jobs::{JobError, Registry, Settings};

use crate::bench::{Bench, Probe, Seen, Started, Store, brisk, probe};

const OPEN: &str = "select count(*) as value from jobs where state in ('ready', 'running')";
const RUNNING: &str = "select count(*) as value from jobs where state = 'running'";

async fn add(bench: &Bench, count: usize) {
    bench
        .with(move |store| (0..count).try_for_each(|_| store.enqueue(probe())))
        .await;
}

fn fine(seen: &Arc<Seen>, moment: Duration) -> Registry {
    Registry::new().job(Probe::fine(seen, moment))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_run_every_job_once() {
    let bench = Bench::new().await;
    let seen = Arc::new(Seen::default());
    add(&bench, 300).await;
    let workers = [bench.another(), bench.another()]
        .map(|store| Started::new(&store, fine(&seen, Duration::from_millis(2)), brisk()));
    bench.until(OPEN, 0).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(seen.runs(), vec![1; 300]);
    assert_eq!(
        bench.number("select count(*) as value from jobs where state = 'done'"),
        300
    );
    // Two workers of four at once each.
    assert!(
        seen.most.load(Ordering::SeqCst) <= 8,
        "{}",
        seen.most.load(Ordering::SeqCst)
    );
}

#[tokio::test]
async fn a_job_that_takes_longer_than_a_lease_stays_with_its_worker() {
    let bench = Bench::new().await;
    let seen = Arc::new(Seen::default());
    add(&bench, 1).await;
    let settings = Settings {
        lease: Duration::from_millis(600),
        ..brisk()
    };
    let workers = [bench.another(), bench.another()].map(|store| {
        Started::new(
            &store,
            fine(&seen, Duration::from_secs(2)),
            settings.clone(),
        )
    });
    bench
        .until("select count(*) as value from jobs where state = 'done'", 1)
        .await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(seen.runs(), [1]);
}

#[tokio::test]
async fn the_job_of_a_worker_that_was_killed_runs_again_elsewhere() {
    let bench = Bench::new().await;
    let seen = Arc::new(Seen::default());
    add(&bench, 1).await;
    // Claimed, and never heard of again.
    let lost = bench.claim(1, Duration::from_millis(300)).await[0].lease;
    let worker = Started::new(&bench.store, fine(&seen, Duration::ZERO), brisk());
    bench.until(OPEN, 0).await;
    worker.stop().await;
    assert_eq!(bench.number("select attempt::bigint as value from jobs"), 2);
    assert_eq!(bench.text("select state as value from jobs"), "done");
    let lease_no = bench.number("select lease_no as value from jobs");
    assert!(lease_no > lost.lease_no);
}

#[tokio::test]
async fn a_failed_job_is_tried_again_later_and_then_no_more() {
    let bench = Bench::new().await;
    let seen = Arc::new(Seen::default());
    bench.enqueue(probe().tried_at_most(2)).await;
    let registry = Registry::new().job(Probe::new(&seen, |_, _| async {
        Err(JobError::retry("the server\0 is away"))
    }));
    let worker = Started::new(&bench.store, registry, brisk());
    bench
        .until(
            "select count(*) as value from jobs where attempt = 1 and state = 'ready'",
            1,
        )
        .await;
    let pause = bench
        .number("select (extract(epoch from run_at - now()) * 1000)::bigint as value from jobs");
    assert!((3000..=6300).contains(&pause), "{pause}");
    assert_eq!(
        bench.text("select last_error as value from jobs"),
        "the server is away"
    );

    bench.sql("update jobs set run_at = now()");
    bench
        .until("select count(*) as value from jobs where state = 'dead'", 1)
        .await;
    worker.stop().await;
    assert_eq!(seen.runs(), [2]);
}

#[tokio::test]
async fn a_hopeless_job_is_dead_at_once_and_a_panic_is_a_failure() {
    let bench = Bench::new().await;
    let seen = Arc::new(Seen::default());
    let hopeless = bench.enqueue(probe()).await;
    let registry = Registry::new().job(Probe::new(&seen, move |context, _| async move {
        if context.lease.is_some_and(|lease| lease.job_id == hopeless) {
            return Err(JobError::fatal("no such address"));
        }
        panic!("the table is upside down")
    }));
    let worker = Started::new(&bench.store, registry, brisk());
    bench
        .until("select count(*) as value from jobs where state = 'dead'", 1)
        .await;
    assert_eq!(
        bench.text("select last_error as value from jobs"),
        "no such address"
    );
    let panics = bench.enqueue(probe()).await;
    bench
        .until(
            "select count(*) as value from jobs where attempt = 1 and state = 'ready'",
            1,
        )
        .await;
    worker.stop().await;
    let error = bench.text(&format!(
        "select last_error as value from jobs where id = '{panics}'"
    ));
    assert_eq!(error, "panicked: the table is upside down");
}

#[tokio::test]
async fn a_worker_that_stops_lets_short_jobs_end() {
    let bench = Bench::new().await;
    let seen = Arc::new(Seen::default());
    add(&bench, 6).await;
    let worker = Started::new(
        &bench.store,
        fine(&seen, Duration::from_millis(500)),
        brisk(),
    );
    bench.until(RUNNING, 4).await;
    worker.stop().await;
    assert_eq!(
        bench.number("select count(*) as value from jobs where state = 'done'"),
        4
    );
    assert_eq!(
        bench.number("select count(*) as value from jobs where state = 'ready'"),
        2
    );
}

#[tokio::test]
async fn a_worker_that_stops_gives_long_jobs_back_in_time() {
    let bench = Bench::new().await;
    let seen = Arc::new(Seen::default());
    add(&bench, 2).await;
    let worker = Started::new(&bench.store, fine(&seen, Duration::from_secs(90)), brisk());
    bench.until(RUNNING, 2).await;
    let asked = Instant::now();
    worker.stop().await;
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    let given_back = "select count(*) as value from jobs where state = 'ready' and attempt = 0";
    assert_eq!(bench.number(given_back), 2);
}

/// Counts the transactions of a worker.
struct Counting {
    store: Store,
    count: Arc<Seen>,
}

impl UnitOfWork<dyn WorkerStore> for Counting {
    fn execute(
        &self,
        scope: Scope,
        work: Work<dyn WorkerStore>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.count.total.fetch_add(1, Ordering::SeqCst);
        self.store.execute(scope, work)
    }
}

#[tokio::test]
async fn an_idle_worker_asks_one_thing_a_second() {
    let bench = Bench::new().await;
    let count = Arc::new(Seen::default());
    let store: Store = Arc::new(Counting {
        store: Arc::clone(&bench.store),
        count: Arc::clone(&count),
    });
    let ticks = Arc::new(Seen::default());
    let registry = Registry::new().inline(
        Duration::from_millis(500),
        Probe::fine(&ticks, Duration::ZERO),
    );
    let worker = Started::new(&store, registry, Settings::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    // By now it has written its schedule and taken it.
    let before = count.total.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let asked = count.total.load(Ordering::SeqCst) - before;
    worker.stop().await;
    assert!(
        (3..=5).contains(&asked),
        "{asked} transactions in four seconds"
    );
    assert!(ticks.total.load(Ordering::SeqCst) >= 7);
}

#[tokio::test]
async fn the_schedules_of_usage_leave_an_idle_worker_below_two_transactions_a_second() {
    let bench = Bench::new().await;
    let pg = bench.db.worker_pg();
    let books = ::usage::Books::new(pg.unit_of_work(|tx| tx), Arc::new(SystemClock));
    let registry = plinth_jobs::usage::register(Registry::new(), &books);
    let beats = registry
        .schedules()
        .iter()
        .filter_map(|one| match one.timing {
            Timing::Every(beat) => Some(beat.as_secs_f64()),
            Timing::Cron(_) => None,
        });
    let settings = Settings::default();
    // Each runs on its beat, and renews its lease three times in the time that it lasts.
    let renewals = 3.0 / settings.lease.as_secs_f64();
    let rate: f64 = beats.map(|beat| beat.recip() + renewals).sum();
    let whole = rate + settings.poll.as_secs_f64().recip();
    assert!(whole < 2.0, "{whole} transactions a second");
}
