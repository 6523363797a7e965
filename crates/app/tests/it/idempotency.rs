//! What an `Idempotency-Key` stands for, from the first request to the day after.

use std::sync::{Arc, Mutex};

use kernel::{Clock, CommandRef, Principal, RequestInfo, Scope, StoreError, TenantId};
use plinth_app::idempotency::{Answer, Idempotency, LEASE, Outcome, RETENTION, Reservation};
use testkit::{Memory, contract::fixture};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

const START: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const TARGET: &str = "POST /v1/projects";

struct HandClock(Mutex<OffsetDateTime>);

impl Clock for HandClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

struct World {
    memory: Memory,
    keys: Idempotency,
    clock: Arc<HandClock>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(HandClock(Mutex::new(START)));
        let memory = Memory::with_clock(clock.clone());
        let keys = Idempotency::new(memory.unit_of_work(|tx| tx), clock.clone(), b"secret");
        Self {
            memory,
            keys,
            clock,
        }
    }

    fn pass(&self, time: Duration) {
        *self.clock.0.lock().unwrap() += time;
    }

    async fn reserve(&self, by: &Principal, body: &str) -> Reservation {
        let reserved = self
            .keys
            .reserve(by, "k".to_owned(), TARGET, body.as_bytes());
        reserved.await.unwrap()
    }

    /// Reserves the key as the first.
    async fn first(&self, by: &Principal, body: &str) -> CommandRef {
        let reserved = self.reserve(by, body).await;
        let Reservation::First(command) = reserved else {
            unreachable!("{reserved:?}")
        };
        command
    }

    /// Makes a tenant, as the work of a command.
    async fn work(&self, command: &CommandRef, slug: &str) -> Result<(), StoreError> {
        let tenant = fixture::tenant(slug);
        let scope = Scope {
            command: Some(command.clone()),
            ..Scope::tenant(tenant.id)
        };
        let db = self
            .memory
            .unit_of_work::<dyn tenancy::TenantStore>(|tx| tx);
        db.run(scope, move |store| store.insert_tenant(&tenant))
            .await
    }
}

fn principal(id: u128) -> Principal {
    Principal {
        id: Uuid::from_u128(id),
        ..Principal::system("test", None)
    }
}

fn answer() -> Answer {
    Answer {
        status: 201,
        headers: vec![("etag".to_owned(), "\"1\"".to_owned())],
        body: b"{}".to_vec(),
    }
}

#[tokio::test]
async fn the_answer_to_the_first_request_answers_the_second() {
    let world = World::new();
    let ada = principal(1);
    let command = world.first(&ada, "{}").await;
    assert_eq!(
        world.reserve(&ada, "{}").await,
        Reservation::Seen(Outcome::Running)
    );
    world.work(&command, "acme").await.unwrap();
    world.keys.complete(&command, answer()).await.unwrap();
    assert_eq!(
        world.reserve(&ada, "{}").await,
        Reservation::Seen(Outcome::Answered(answer()))
    );
    assert_eq!(
        world.reserve(&ada, "{\"other\": 1}").await,
        Reservation::Seen(Outcome::OtherRequest)
    );
    world.pass(RETENTION);
    world.pass(Duration::MICROSECOND);
    world.first(&ada, "{\"other\": 1}").await;
}

#[tokio::test]
async fn a_key_belongs_to_its_principal_and_its_tenant() {
    let world = World::new();
    world.first(&principal(1), "{}").await;
    world.first(&principal(2), "{}").await;
    let in_tenant = Principal {
        id: Uuid::from_u128(1),
        ..Principal::system("test", Some(TenantId::new(START)))
    };
    assert_eq!(
        world.reserve(&in_tenant, "{}").await,
        Reservation::Seen(Outcome::OtherRequest)
    );
    let anonymous = Principal::anonymous(RequestInfo::default());
    world.first(&anonymous, "{}").await;
    assert_eq!(
        world.reserve(&anonymous, "{}").await,
        Reservation::Seen(Outcome::Running)
    );
}

#[tokio::test]
async fn whoever_was_taken_over_cannot_commit_any_more() {
    let world = World::new();
    let ada = principal(1);
    let slow = world.first(&ada, "{}").await;
    world.pass(LEASE - Duration::MICROSECOND);
    assert_eq!(
        world.reserve(&ada, "{}").await,
        Reservation::Seen(Outcome::Running)
    );
    world.pass(Duration::MICROSECOND);
    let next = world.first(&ada, "{}").await;
    let late = world.work(&slow, "slow").await.unwrap_err();
    assert!(late.conflicts_with("idempotency_lease"), "{late}");
    world.work(&next, "next").await.unwrap();
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_repeated() {
    let world = World::new();
    let ada = principal(1);
    let command = world.first(&ada, "{}").await;
    world.work(&command, "acme").await.unwrap();
    assert_eq!(
        world.reserve(&ada, "{}").await,
        Reservation::Seen(Outcome::Running),
        "the answer may be on its way"
    );
    world.pass(LEASE);
    let lost = Reservation::Seen(Outcome::CommittedUnanswered);
    assert_eq!(world.reserve(&ada, "{}").await, lost);
    world.keys.release(&command).await.unwrap();
    assert_eq!(world.reserve(&ada, "{}").await, lost, "it is not forgotten");
}

#[tokio::test]
async fn a_request_that_did_nothing_leaves_its_key_free() {
    let world = World::new();
    let ada = principal(1);
    let command = world.first(&ada, "{}").await;
    world.keys.release(&command).await.unwrap();
    world.first(&ada, "{\"mended\": true}").await;
}
