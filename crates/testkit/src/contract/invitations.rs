//! `tenancy::InvitationStore`.

use kernel::{InvitationId, Scope, StoreError, TenantId, UserId};
use tenancy::{Invitation, InvitationStatus};
use time::Duration;

use super::{Backend, Seed, fixture, people, run};

/// An invitation that is nowhere yet, and pending for a week.
pub(super) fn invitation(tenant_id: TenantId, email: &str) -> Invitation {
    Invitation {
        id: InvitationId::new(fixture::at(0)),
        tenant_id,
        email: email.to_owned(),
        role_key: "member".to_owned(),
        status: InvitationStatus::Pending,
        invited_by: Some(UserId::new(fixture::at(0))),
        sends: 1,
        expires_at: fixture::at(0) + Duration::days(7),
        accepted_by: None,
        created_at: fixture::at(0),
    }
}

pub(super) async fn insert(
    backend: &impl Backend,
    invitation: &Invitation,
) -> Result<(), StoreError> {
    let row = invitation.clone();
    run(
        backend.tenancy(),
        Scope::tenant(row.tenant_id),
        move |store| store.insert_invitation(&row),
    )
    .await
}

pub(super) async fn update(
    backend: &impl Backend,
    invitation: &Invitation,
) -> Result<(), StoreError> {
    let row = invitation.clone();
    run(
        backend.tenancy(),
        Scope::tenant(row.tenant_id),
        move |store| store.update_invitation(&row, fixture::at(1)),
    )
    .await
}

async fn read(backend: &impl Backend, of: &Invitation) -> Option<Invitation> {
    let (tenant_id, id) = (of.tenant_id, of.id);
    run(backend.tenancy(), Scope::tenant(tenant_id), move |store| {
        store.invitation(tenant_id, id)
    })
    .await
    .unwrap()
}

/// A tenant with three seats, of which its owner has one.
async fn tenant_with_three_seats(backend: &impl Backend) -> TenantId {
    let tenant_id = fixture::stored_tenant(backend, "acme").await.id;
    let plan = "free";
    backend.seed(Seed::Subscription { tenant_id, plan }).await;
    people::stored_member(backend, tenant_id, "owner", &["owner"]).await;
    tenant_id
}

/// Every field survives; an update writes status, sends, deadline and who accepted, and nothing else.
pub async fn an_invitation_is_read_back_as_it_was_written(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut invitation = invitation(tenant, "ann@example.com");
    insert(backend, &invitation).await.unwrap();
    assert_eq!(read(backend, &invitation).await, Some(invitation.clone()));

    for status in [
        InvitationStatus::Accepted,
        InvitationStatus::Declined,
        InvitationStatus::Revoked,
        InvitationStatus::Expired,
        InvitationStatus::Pending,
    ] {
        invitation.status = status;
        invitation.sends += 1;
        invitation.expires_at += Duration::days(1);
        invitation.accepted_by = Some(UserId::new(fixture::at(2)));
        let mut row = invitation.clone();
        "other@example.com".clone_into(&mut row.email);
        "owner".clone_into(&mut row.role_key);
        row.invited_by = None;
        row.created_at = fixture::at(9);
        update(backend, &row).await.unwrap();
        assert_eq!(read(backend, &invitation).await, Some(invitation.clone()));
    }
}

/// One more than the page holds, whatever became of them.
pub async fn invitations_come_newest_first_a_page_at_a_time(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut all = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let mut invitation = invitation(tenant, &format!("{name}@example.com"));
        insert(backend, &invitation).await.unwrap();
        if name == "b" {
            invitation.status = InvitationStatus::Revoked;
            update(backend, &invitation).await.unwrap();
        }
        all.push(invitation);
    }
    all.sort_by_key(|invitation| std::cmp::Reverse(invitation.id));
    let page = |before: Option<InvitationId>| {
        run(backend.tenancy(), Scope::tenant(tenant), move |store| {
            store.invitations(tenant, before, 2)
        })
    };
    assert_eq!(page(None).await, Ok(all[..3].to_vec()));
    assert_eq!(page(Some(all[1].id)).await, Ok(all[2..].to_vec()));
    assert_eq!(page(Some(all[3].id)).await, Ok(vec![]));
}

/// Whether it is added or comes back. One that was answered, and one of another tenant, stands in nobody's way.
pub async fn an_address_has_one_pending_invitation(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let mut first = invitation(tenant, "ann@example.com");
    insert(backend, &first).await.unwrap();
    let second = invitation(tenant, "ann@example.com");
    let inserted = insert(backend, &second).await;
    insert(backend, &invitation(other, "ann@example.com"))
        .await
        .unwrap();
    first.status = InvitationStatus::Expired;
    update(backend, &first).await.unwrap();
    insert(backend, &second).await.unwrap();
    first.status = InvitationStatus::Pending;
    let updated = update(backend, &first).await;
    for outcome in [inserted, updated] {
        assert!(
            matches!(&outcome, Err(error) if error.conflicts_with("invitations_pending_key")),
            "{outcome:?}"
        );
    }
}

/// Active members and pending invitations that are not over; the plan says how many there may be.
pub async fn seats_are_members_and_open_invitations(backend: &impl Backend) {
    let tenant = tenant_with_three_seats(backend).await;
    let gone = people::stored_member(backend, tenant, "gone", &["member"])
        .await
        .id;
    people::leave(backend, tenant, gone).await;
    let suspended = people::stored_member(backend, tenant, "suspended", &["member"])
        .await
        .id;
    let (tenant_id, user_id) = (tenant, suspended);
    backend.seed(Seed::Suspension { tenant_id, user_id }).await;
    let open = invitation(tenant, "open@example.com");
    insert(backend, &open).await.unwrap();
    let mut revoked = invitation(tenant, "revoked@example.com");
    insert(backend, &revoked).await.unwrap();
    revoked.status = InvitationStatus::Revoked;
    update(backend, &revoked).await.unwrap();

    let deadline = open.expires_at;
    for (now, taken) in [
        (deadline - Duration::seconds(1), 2),
        (deadline, 1),
        (deadline + Duration::days(1), 1),
    ] {
        let seats = run(backend.tenancy(), Scope::tenant(tenant), move |store| {
            store.seats(tenant, now)
        });
        let (allowance, used) = seats.await.unwrap();
        assert_eq!((allowance.max, allowance.plan.as_str()), (Some(3), "free"));
        assert_eq!(used, taken, "at {now}");
    }
    let large = fixture::stored_tenant(backend, "large").await.id;
    let seed = Seed::Subscription {
        tenant_id: large,
        plan: "enterprise",
    };
    backend.seed(seed).await;
    let seats = run(backend.tenancy(), Scope::tenant(large), move |store| {
        store.seats(large, fixture::at(0))
    });
    let (allowance, used) = seats.await.unwrap();
    assert_eq!(
        (allowance.max, allowance.plan.as_str(), used),
        (None, "enterprise", 0)
    );
}

/// Whoever counts seats holds the tenant until they are done, so that several at once never take more than there are.
pub async fn seats_are_taken_one_after_another(backend: &impl Backend) {
    let tenant = tenant_with_three_seats(backend).await;
    let inviting: Vec<_> = (0..6)
        .map(|number| {
            let row = invitation(tenant, &format!("guest-{number}@example.com"));
            let db = backend.tenancy();
            tokio::spawn(async move {
                db.run(Scope::tenant(tenant), move |store| {
                    let (allowance, used) = store.seats(tenant, fixture::at(1))?;
                    if allowance.admit("max_members", used).is_err() {
                        return Ok::<_, StoreError>(false);
                    }
                    store.insert_invitation(&row)?;
                    Ok(true)
                })
                .await
            })
        })
        .collect();
    let mut invited = 0;
    for outcome in inviting {
        invited += u32::from(outcome.await.unwrap().unwrap());
    }
    assert_eq!(invited, 2);
}

/// Only one that is pending, to this address, and over; and it says whether there was one.
pub async fn an_invitation_that_is_over_makes_room(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let mut ann = invitation(tenant, "ann@example.com");
    let bob = invitation(tenant, "bob@example.com");
    let elsewhere = invitation(other, "ann@example.com");
    for invitation in [&ann, &bob, &elsewhere] {
        insert(backend, invitation).await.unwrap();
    }
    let deadline = ann.expires_at;
    let expire = |tenant: TenantId, now| {
        run(backend.tenancy(), Scope::tenant(tenant), move |store| {
            store.expire_invitation_to(tenant, "ann@example.com", now)
        })
    };
    assert_eq!(
        expire(tenant, deadline - Duration::seconds(1)).await,
        Ok(false)
    );
    assert_eq!(read(backend, &ann).await, Some(ann.clone()));
    assert_eq!(expire(tenant, deadline).await, Ok(true));
    assert_eq!(expire(tenant, deadline).await, Ok(false), "once");
    ann.status = InvitationStatus::Expired;
    for invitation in [&ann, &bob, &elsewhere] {
        assert_eq!(read(backend, invitation).await, Some(invitation.clone()));
    }
}

/// The token is shown before its tenant is known: the invitation's tenant is found from everywhere.
pub async fn the_tenant_of_an_invitation_is_found_from_anywhere(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let invitation = invitation(tenant, "ann@example.com");
    insert(backend, &invitation).await.unwrap();
    let stranger = people::stored_user(backend, "stranger").await.id;
    for scope in [Scope::global(), Scope::user(stranger), Scope::tenant(other)] {
        for (id, expected) in [
            (invitation.id, Some(tenant)),
            (InvitationId::new(fixture::at(0)), None),
        ] {
            let found = run(backend.tenancy(), scope.clone(), move |store| {
                store.tenant_of_invitation(id)
            });
            assert_eq!(found.await, Ok(expected));
        }
    }
}

/// Nothing of another tenant is read, counted, added or changed.
pub async fn invitations_of_another_tenant_are_out_of_reach(backend: &impl Backend) {
    let (own, other) = (
        fixture::stored_tenant(backend, "own").await.id,
        tenant_with_three_seats(backend).await,
    );
    let kept = invitation(other, "ann@example.com");
    insert(backend, &kept).await.unwrap();
    for scope in [Scope::tenant(own), Scope::global()] {
        let (mut changed, added) = (kept.clone(), invitation(other, "bob@example.com"));
        changed.status = InvitationStatus::Revoked;
        let id = kept.id;
        let after_all = kept.expires_at;
        let reached = run(backend.tenancy(), scope.clone(), move |store| {
            store.update_invitation(&changed, fixture::at(1))?;
            Ok::<_, StoreError>((
                store.invitation(other, id)?,
                store.invitations(other, None, 9)?,
                store.expire_invitation_to(other, "ann@example.com", after_all)?,
            ))
        });
        assert_eq!(reached.await, Ok((None, vec![], false)));
        let seats = run(backend.tenancy(), scope.clone(), move |store| {
            store.seats(other, fixture::at(1))
        });
        let seats = seats.await.map(|(_, used)| used);
        let added = run(backend.tenancy(), scope, move |store| {
            store.insert_invitation(&added)
        });
        let added = added.await.map(|()| 0);
        for outcome in [seats, added] {
            assert!(
                matches!(outcome, Err(StoreError::Unexpected(_))),
                "{outcome:?}"
            );
        }
    }
    assert_eq!(read(backend, &kept).await, Some(kept));
}
