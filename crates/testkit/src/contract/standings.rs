//! `billing::Counts::standing`: everything that a decision needs, in one go.

use billing::{Anchor, Grant, Kind, Override, Reservation, Resource, Standing};
use kernel::{ReservationId, StoreError, TenantId};
use tenancy::InvitationStatus;
use time::OffsetDateTime;

use super::{
    Backend, BillingSeed, fixture, invitations, people, projects,
    subscribed::{tenant_on, within},
};

const KEYS: [&str; 6] = [
    "max_agents",
    "max_members",
    "max_projects",
    "max_concurrent_workflows",
    "tasks_per_month",
    "nothing",
];

/// A tenant with some of everything, of which some is over at the 50th second.
async fn busy(backend: &impl Backend) -> TenantId {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    people::stored_member(backend, id, "ann", &["owner"]).await;
    let mut open = invitations::invitation(id, "bob@example.com");
    open.status = InvitationStatus::Pending;
    open.expires_at = fixture::at(50);
    invitations::insert(backend, &open).await.unwrap();
    projects::insert(backend, &projects::project(id, "one"))
        .await
        .unwrap();
    let written = within(backend, id, move |store| {
        for (kind, name) in [("agents", "a"), ("agents", "b"), ("else", "c")] {
            store.insert_resource(&Resource {
                tenant_id: id,
                kind: kind.to_owned(),
                external_id: name.to_owned(),
                created_at: fixture::at(0),
            })?;
        }
        for (key, quantity, second) in [
            ("max_agents", 3, 50),
            ("max_agents", 5, 99),
            ("tasks_per_month", 7, 99),
        ] {
            store.insert_reservation(&Reservation {
                id: ReservationId::new(fixture::at(0)),
                tenant_id: id,
                key: key.to_owned(),
                quantity,
                outcome: billing::Outcome::Open,
                expires_at: fixture::at(second),
                created_at: fixture::at(0),
            })?;
        }
        Ok::<_, StoreError>(())
    });
    written.await.unwrap();
    let given = Override {
        grant: Grant::new("max_agents", Kind::Limit, None),
        expires_at: Some(fixture::at(50)),
        reason: None,
    };
    backend.seed_billing(BillingSeed::Override(id, given)).await;
    id
}

async fn standing(
    backend: &impl Backend,
    tenant_id: TenantId,
    key: &'static str,
    at: OffsetDateTime,
) -> Standing {
    let standing = within(backend, tenant_id, move |store| {
        store.standing(tenant_id, key, at)
    });
    standing.await.unwrap()
}

/// For every key and before and after things are over, a standing says what the questions one by one answer.
pub async fn a_standing_is_what_the_other_questions_answer(backend: &impl Backend) {
    let id = busy(backend).await;
    for at in [fixture::at(49), fixture::at(50)] {
        for key in KEYS {
            let asked = within(backend, id, move |store| {
                let granted = store.granted(id, Some(key), at)?;
                let subscription = store.subscription(id)?.unwrap();
                let standing = store.standing(id, key, at)?;
                let expected = Standing {
                    plan: granted.plan.clone(),
                    grant: granted.in_force(at).pop(),
                    anchor: Some(Anchor {
                        at: subscription.anchor,
                        zone: subscription.zone,
                    }),
                    zone: store.tenant_zone(id)?,
                    things: store.gauge_used(id, key, at)?,
                    held: store.reserved(id, key, at)?,
                    crossing: None,
                    watermark: standing.watermark.clone(),
                };
                assert!(!standing.watermark.is_empty());
                Ok::<_, StoreError>((standing, expected))
            });
            let (standing, expected) = asked.await.unwrap();
            assert_eq!(standing, expected, "{key} at {at}");
        }
    }
    let before = standing(backend, id, "max_agents", fixture::at(49)).await;
    let after = standing(backend, id, "max_agents", fixture::at(50)).await;
    assert_eq!((before.things, before.held), (2, 8));
    assert_eq!((after.things, after.held), (2, 5));
    assert_eq!(before.grant.unwrap().maximum, None);
    assert_eq!(after.grant.unwrap().maximum, Some(10));
    let members = |second| standing(backend, id, "max_members", fixture::at(second));
    assert_eq!((members(49).await.things, members(50).await.things), (2, 1));
}

/// Without a subscription nothing is granted and no month is anchored; a tenant that is not in scope is not there.
pub async fn a_standing_is_of_a_tenant_in_scope(backend: &impl Backend) {
    let id = busy(backend).await;
    let other = fixture::stored_tenant(backend, "other").await.id;
    let none = standing(backend, other, "max_agents", fixture::at(0)).await;
    assert_eq!(
        (none.plan, none.grant, none.anchor, none.things, none.held),
        (None, None, None, 0, 0)
    );
    let theirs = within(backend, other, move |store| {
        store.standing(id, "max_agents", fixture::at(0))
    });
    assert!(matches!(theirs.await, Err(StoreError::Unexpected(_))));
}
