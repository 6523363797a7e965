//! `app::schedule::Schedules`.

use std::time::Duration;

use app::{
    queue::WorkerStore,
    schedule::{HeldSchedule, NewSchedule, Runs, Schedule, Timing},
};
use kernel::{Scope, StoreError};

use super::{Backend, fixture, run};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn hourly(name: &'static str, runs: Runs) -> NewSchedule {
    NewSchedule {
        name,
        kind: "probe",
        timing: Timing::Every(Duration::from_secs(3600)),
        zone: "UTC",
        runs,
    }
}

fn nightly() -> NewSchedule {
    NewSchedule {
        timing: Timing::Cron("30 2 * * *".to_owned()),
        zone: "Europe/Paris",
        ..hourly("nightly", Runs::Queued)
    }
}

async fn work<T: Send + 'static>(
    backend: &impl Backend,
    command: impl FnOnce(&mut (dyn WorkerStore + 'static)) -> Result<T, StoreError> + Send + 'static,
) -> T {
    run(backend.worker(), Scope::global(), command)
        .await
        .unwrap()
}

async fn declare(backend: &impl Backend, schedule: NewSchedule, second: i64) {
    let first = fixture::at(second);
    work(backend, move |store| store.declare(&[(schedule, first)])).await;
}

async fn due(backend: &impl Backend, second: i64) -> Vec<Schedule> {
    work(backend, move |store| {
        store.due_schedules(fixture::at(second))
    })
    .await
}

async fn names_due(backend: &impl Backend, second: i64) -> Vec<String> {
    let due = due(backend, second).await;
    due.into_iter().map(|schedule| schedule.name).collect()
}

async fn hold(backend: &impl Backend, kind: &str, lease: Duration) -> Vec<HeldSchedule> {
    let kinds = vec![kind.to_owned()];
    work(backend, move |store| store.hold(&kinds, lease)).await
}

async fn renew(backend: &impl Backend, held: &HeldSchedule) -> bool {
    let held = held.clone();
    work(backend, move |store| {
        store.renew(&held, LONG, Some(fixture::at(1)))
    })
    .await
}

async fn let_go(backend: &impl Backend, held: &HeldSchedule) {
    let held = held.clone();
    work(backend, move |store| store.let_go(&held)).await;
}

/// What a release brings along is written once: whoever changed it since is not overruled.
pub async fn a_schedule_is_declared_once(backend: &impl Backend) {
    declare(backend, nightly(), 10).await;
    let other = NewSchedule {
        kind: "other",
        ..hourly("nightly", Runs::Queued)
    };
    declare(backend, other, 20).await;
    let expected = Schedule {
        name: "nightly".to_owned(),
        kind: "probe".to_owned(),
        timing: Timing::Cron("30 2 * * *".to_owned()),
        zone: "Europe/Paris".to_owned(),
        next_at: fixture::at(10),
    };
    assert_eq!(due(backend, 30).await, [expected]);
    work(backend, |store| store.disable("nightly", "an operator")).await;
    declare(backend, nightly(), 10).await;
    assert_eq!(due(backend, 30).await, []);
}

/// Enabled queued schedules are due from their instant on: the longest due first, then by name.
pub async fn schedules_are_due_from_their_instant_on(backend: &impl Backend) {
    for (name, second) in [("b", 10), ("c", 5), ("a", 10), ("later", 21)] {
        declare(backend, hourly(name, Runs::Queued), second).await;
    }
    declare(backend, hourly("inline", Runs::Inline), 0).await;
    assert_eq!(names_due(backend, 4).await, [""; 0]);
    assert_eq!(names_due(backend, 5).await, ["c"]);
    assert_eq!(names_due(backend, 20).await, ["c", "a", "b"]);
    work(backend, |store| store.disable("a", "cannot be read")).await;
    assert_eq!(names_due(backend, 20).await, ["c", "b"]);
    assert_eq!(
        due(backend, 5).await[0].timing,
        hourly("c", Runs::Queued).timing
    );
}

/// Of several workers that find a schedule due, one fires it; then it is due when that one said.
pub async fn one_of_several_workers_fires_a_schedule(backend: &impl Backend) {
    declare(backend, hourly("hourly", Runs::Queued), 10).await;
    declare(backend, hourly("other", Runs::Queued), 900).await;
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let worker = backend.worker();
            tokio::spawn(async move {
                worker
                    .run(Scope::global(), |store| {
                        let due = store.due_schedules(fixture::at(500))?;
                        for schedule in &due {
                            let next = fixture::at(1_000);
                            store.mark_fired(&schedule.name, fixture::at(500), next)?;
                        }
                        Ok::<_, StoreError>(due.len())
                    })
                    .await
            })
        })
        .collect();
    let mut fired = 0;
    for worker in workers {
        fired += worker.await.unwrap().unwrap();
    }
    assert_eq!(fired, 1);
    assert_eq!(names_due(backend, 999).await, ["other"]);
    assert_eq!(names_due(backend, 1_000).await, ["other", "hourly"]);
}

/// An inline schedule of a kind that a worker knows is held by one worker at a time.
pub async fn one_of_several_workers_holds_an_inline_schedule(backend: &impl Backend) {
    declare(backend, hourly("inline", Runs::Inline), 10).await;
    declare(backend, hourly("queued", Runs::Queued), 10).await;
    assert_eq!(hold(backend, "unknown", LONG).await, []);
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let worker = backend.worker();
            tokio::spawn(async move {
                let kinds = ["probe".to_owned()];
                worker
                    .run(Scope::global(), move |store| store.hold(&kinds, LONG))
                    .await
            })
        })
        .collect();
    let mut held = Vec::new();
    for worker in workers {
        held.extend(worker.await.unwrap().unwrap());
    }
    let expected = HeldSchedule {
        name: "inline".to_owned(),
        kind: "probe".to_owned(),
        every: Duration::from_secs(3600),
        lease_no: 1,
    };
    assert_eq!(held, [expected]);
}

/// A holder that is not heard from loses the schedule, and cannot get it back by speaking up. One that gives it back frees it at once.
pub async fn a_schedule_goes_to_the_next_when_its_holder_is_gone(backend: &impl Backend) {
    declare(backend, hourly("inline", Runs::Inline), 10).await;
    let old = hold(backend, "probe", LONG).await.remove(0);
    assert_eq!(hold(backend, "probe", LONG).await, []);
    assert!(renew(backend, &old).await);
    assert_eq!(hold(backend, "probe", LONG).await, [], "it was renewed");
    let_go(backend, &old).await;

    let brief = hold(backend, "probe", SHORT).await.remove(0);
    assert_eq!(brief.lease_no, old.lease_no + 1);
    assert!(!renew(backend, &old).await);
    tokio::time::sleep(SHORT * 2).await;
    let new = hold(backend, "probe", LONG).await.remove(0);
    assert_eq!(new.lease_no, brief.lease_no + 1);
    assert!(!renew(backend, &brief).await);
    let_go(backend, &brief).await;
    assert_eq!(
        hold(backend, "probe", LONG).await,
        [],
        "it was not his to give"
    );
    assert!(renew(backend, &new).await);
}

/// Who holds a schedule that is disabled learns of it when they renew, and nobody else gets it.
pub async fn a_disabled_schedule_is_nobodys(backend: &impl Backend) {
    declare(backend, hourly("inline", Runs::Inline), 10).await;
    let held = hold(backend, "probe", LONG).await.remove(0);
    work(backend, |store| store.disable("inline", "an operator")).await;
    assert!(!renew(backend, &held).await);
    let_go(backend, &held).await;
    assert_eq!(hold(backend, "probe", LONG).await, []);
    let nowhere = HeldSchedule {
        name: "nowhere".to_owned(),
        ..held
    };
    assert!(!renew(backend, &nowhere).await);
}

/// A schedule that could never run is refused.
pub async fn a_broken_schedule_is_refused(backend: &impl Backend) {
    let every = |millis| NewSchedule {
        timing: Timing::Every(Duration::from_millis(millis)),
        ..hourly("brisk", Runs::Queued)
    };
    let year = 366 * 24 * 60 * 60 * 1_000;
    let inline = NewSchedule {
        runs: Runs::Inline,
        ..nightly()
    };
    for (schedule, constraint) in [
        (every(99), "schedules_every_ms_check"),
        (every(year + 1), "schedules_every_ms_check"),
        (inline, "schedules_check1"),
    ] {
        let declared = run(backend.worker(), Scope::global(), move |store| {
            store.declare(&[(schedule, fixture::at(0))])
        });
        let declared = declared.await;
        assert!(
            matches!(&declared, Err(error) if error.conflicts_with(constraint)),
            "{constraint}: {declared:?}"
        );
    }
    declare(backend, every(100), 0).await;
    assert_eq!(names_due(backend, 0).await, ["brisk"]);
}
