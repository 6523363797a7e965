//! Schedules over a store in memory, whose clock the tests turn: what was missed is made up for once.

use std::{sync::Arc, time::Duration};

use app::{
    queue::{Claim, ClaimedJob, WorkerStore},
    schedule::{NewSchedule, Runs, Timing},
};
use kernel::{Clock, Scope, StoreError, UnitOfWork};
use plinth_jobs::schedule;
use testkit::Memory;
use time::{OffsetDateTime, macros::datetime};

/// Half past two in the morning in Paris.
const DUE: OffsetDateTime = datetime!(2026-03-02 1:30 UTC);
const DAY: time::Duration = time::Duration::DAY;

/// Ten days on: everything that these tests queue is due.
struct Later;

impl Clock for Later {
    fn now(&self) -> OffsetDateTime {
        DUE + DAY * 10
    }
}

struct World(Arc<dyn UnitOfWork<dyn WorkerStore>>);

impl World {
    async fn with(timing: Timing) -> Self {
        let world = Self(Memory::with_clock(Arc::new(Later)).unit_of_work(|tx| tx));
        let nightly = NewSchedule {
            name: "nightly",
            kind: "probe",
            timing,
            zone: "Europe/Paris",
            runs: Runs::Queued,
        };
        let declared = DUE - DAY + time::Duration::SECOND;
        world
            .run(move |store| schedule::declare(store, &[nightly], declared))
            .await;
        world
    }

    async fn run<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut (dyn WorkerStore + 'static)) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.0.run(Scope::global(), command).await.unwrap()
    }

    async fn fire(&self, now: OffsetDateTime) -> usize {
        self.run(move |store| schedule::fire_due(store, now)).await
    }

    async fn claim(&self) -> Vec<ClaimedJob> {
        let claim = Claim {
            queue: "default".to_owned(),
            kinds: vec!["probe".to_owned()],
            limit: 9,
            lease: Duration::from_secs(60),
        };
        self.run(move |store| store.claim(&claim)).await
    }

    async fn complete(&self, job: &ClaimedJob) {
        let lease = job.lease;
        self.run(move |store| store.complete(&[lease])).await;
    }
}

#[tokio::test]
async fn five_missed_nights_are_made_up_for_by_one_job() {
    let world = World::with(Timing::Cron("30 2 * * *".to_owned())).await;
    assert_eq!(world.fire(DUE - time::Duration::SECOND).await, 0);
    let noon = DUE + DAY * 5 + time::Duration::HOUR * 10;
    assert_eq!((world.fire(noon).await, world.fire(noon).await), (1, 0));
    let jobs = world.claim().await;
    assert_eq!(jobs.len(), 1);
    let due_at = jobs.first().and_then(|job| job.payload["due_at"].as_str());
    assert_eq!(
        due_at,
        Some("2026-03-02T01:30:00Z"),
        "the first that was missed"
    );
    world.complete(&jobs[0]).await;

    let next = DUE + DAY * 6;
    assert_eq!(world.fire(next - time::Duration::SECOND).await, 0);
    assert_eq!(world.fire(next).await, 1);
    assert_eq!(world.claim().await.len(), 1);
}

#[tokio::test]
async fn a_schedule_whose_job_runs_still_adds_none() {
    let world = World::with(Timing::Every(Duration::from_secs(3600))).await;
    assert_eq!(world.fire(DUE).await, 1);
    let jobs = world.claim().await;
    assert_eq!(world.fire(DUE + DAY).await, 1, "it is fired, and");
    assert_eq!(world.claim().await, [], "the job that runs is the one");
    world.complete(&jobs[0]).await;
    assert_eq!(world.fire(DUE + DAY * 2).await, 1);
    assert_eq!(world.claim().await.len(), 1);
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_is_disabled() {
    let world = World::with(Timing::Every(Duration::from_secs(3600))).await;
    let broken = (
        NewSchedule {
            name: "broken",
            kind: "probe",
            timing: Timing::Cron("at dawn".to_owned()),
            zone: "UTC",
            runs: Runs::Queued,
        },
        DUE,
    );
    world.run(move |store| store.declare(&[broken])).await;
    assert_eq!(world.fire(DUE).await, 2);
    assert_eq!(world.fire(DUE).await, 0, "operators see to it");
    assert_eq!(world.claim().await.len(), 1);
}
