//! `billing::Reservations`.

use billing::{Outcome, Reservation, reservation::Filter};
use kernel::{Cursor, PageRequest, ReservationId, Scope, StoreError, TenantId};

use super::{
    Backend, fixture,
    subscribed::{tenant_on, within},
};

fn reservation(tenant_id: TenantId) -> Reservation {
    Reservation {
        id: ReservationId::new(fixture::at(0)),
        tenant_id,
        key: "max_concurrent_workflows".to_owned(),
        quantity: 2,
        outcome: Outcome::Open,
        expires_at: fixture::at(60),
        created_at: fixture::at(0),
    }
}

async fn insert(backend: &impl Backend, one: &Reservation) -> Result<(), StoreError> {
    let one = one.clone();
    within(backend, one.tenant_id, move |store| {
        store.insert_reservation(&one)
    })
    .await
}

async fn read(backend: &impl Backend, scope: TenantId, one: &Reservation) -> Option<Reservation> {
    let (tenant_id, id) = (one.tenant_id, one.id);
    within(backend, scope, move |store| {
        store.reservation_for_update(tenant_id, id)
    })
    .await
    .unwrap()
}

/// Every field survives, and finishing one changes its outcome alone.
pub async fn a_reservation_is_read_back_as_it_was_written(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    for outcome in [Outcome::Settled { quantity: 5 }, Outcome::Released] {
        let mut one = reservation(id);
        assert_eq!(read(backend, id, &one).await, None);
        insert(backend, &one).await.unwrap();
        assert_eq!(read(backend, id, &one).await, Some(one.clone()));

        one.outcome = outcome;
        let finished = Reservation {
            key: "else".to_owned(),
            quantity: 9,
            expires_at: fixture::at(1),
            created_at: fixture::at(1),
            ..one.clone()
        };
        let finishing = within(backend, id, move |store| {
            store.finish_reservation(&finished, fixture::at(7))
        });
        finishing.await.unwrap();
        assert_eq!(read(backend, id, &one).await, Some(one));
    }
}

/// A second row of an id, a tenant that is not there, and a quantity that holds nothing are refused.
pub async fn a_reservation_holds_something_for_somebody(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let one = reservation(id);
    insert(backend, &one).await.unwrap();
    let nothing = Reservation {
        quantity: 0,
        ..reservation(id)
    };
    let nobody = reservation(TenantId::new(fixture::at(1)));
    for (row, constraint) in [
        (one, "quota_reservations_pkey"),
        (nothing, "quota_reservations_quantity_check"),
        (nobody, "quota_reservations_tenant_id_fkey"),
    ] {
        let outcome = insert(backend, &row).await;
        assert!(
            matches!(&outcome, Err(error) if error.conflicts_with(constraint)),
            "{constraint}: {outcome:?}"
        );
    }
}

/// A reservation of another tenant is not there.
pub async fn reservations_of_another_tenant_are_not_there(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let stranger = tenant_on(backend, "other", "free").await.tenant_id;
    let one = reservation(id);
    insert(backend, &one).await.unwrap();
    assert_eq!(read(backend, stranger, &one).await, None);
    let (taken, new) = (
        Reservation {
            outcome: Outcome::Released,
            ..one.clone()
        },
        reservation(id),
    );
    let finished = within(backend, stranger, move |store| {
        store.finish_reservation(&taken, fixture::at(1))
    });
    assert_eq!(finished.await, Ok(()));
    assert_eq!(read(backend, id, &one).await, Some(one));
    let added = within(backend, stranger, move |store| {
        store.insert_reservation(&new)
    });
    let added = added.await;
    assert!(matches!(added, Err(StoreError::Unexpected(_))), "{added:?}");
}

/// Of several who finish one reservation at once, each sees what the one before did: one of them finds it open.
pub async fn one_of_several_finishes_a_reservation(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let one = reservation(id);
    insert(backend, &one).await.unwrap();
    let callers: Vec<_> = (0..8)
        .map(|quantity| {
            let (billing, reservation) = (backend.billing(), one.id);
            tokio::spawn(async move {
                billing
                    .run(Scope::tenant(id), move |store| {
                        let found = store.reservation_for_update(id, reservation)?;
                        let Some(mut found) = found.filter(|one| one.outcome == Outcome::Open)
                        else {
                            return Ok(0);
                        };
                        found.outcome = Outcome::Settled { quantity };
                        store.finish_reservation(&found, fixture::at(1))?;
                        Ok::<_, StoreError>(1)
                    })
                    .await
            })
        })
        .collect();
    let mut finished = 0;
    for caller in callers {
        finished += caller.await.unwrap().unwrap();
    }
    assert_eq!(finished, 1);
}

/// All of them, whatever became of them, newest first; of one key or one state where that is asked; a page and one more at a time, behind
/// the last one seen.
pub async fn reservations_come_newest_first_a_page_at_a_time(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let stranger = tenant_on(backend, "other", "free").await.tenant_id;
    let mut all = Vec::new();
    for second in 0..5 {
        let one = Reservation {
            id: ReservationId::new(fixture::at(second)),
            key: if second % 2 == 0 { "even" } else { "odd" }.to_owned(),
            outcome: [
                Outcome::Open,
                Outcome::Released,
                Outcome::Settled { quantity: 1 },
            ][usize::try_from(second % 3).unwrap()],
            ..reservation(id)
        };
        let open = Reservation {
            outcome: Outcome::Open,
            ..one.clone()
        };
        insert(backend, &open).await.unwrap();
        if one.outcome != Outcome::Open {
            let finished = one.clone();
            let finishing = within(backend, id, move |store| {
                store.finish_reservation(&finished, fixture::at(9))
            });
            finishing.await.unwrap();
        }
        all.insert(0, one);
    }
    let listed = |scope: TenantId, filter: Filter, after: Option<ReservationId>| {
        within(backend, scope, move |store| {
            let page = PageRequest {
                limit: 2,
                cursor: None::<Cursor>,
            };
            store.reservations(id, &filter, &page, after)
        })
    };
    let everything = Filter::default;
    assert_eq!(listed(id, everything(), None).await, Ok(all[..3].to_vec()));
    let behind = listed(id, everything(), Some(all[1].id)).await;
    assert_eq!(behind, Ok(all[2..].to_vec()));
    let odd = Filter::parse(Some("odd".to_owned()), None).unwrap();
    let expected = vec![all[1].clone(), all[3].clone()];
    assert_eq!(listed(id, odd, None).await, Ok(expected));
    for (status, places) in [
        ("open", vec![1, 4]),
        ("released", vec![0, 3]),
        ("settled", vec![2]),
    ] {
        let filter = Filter::parse(None, Some(status)).unwrap();
        let expected: Vec<_> = places.into_iter().map(|at| all[at].clone()).collect();
        assert_eq!(listed(id, filter, None).await, Ok(expected), "{status}");
    }
    assert_eq!(listed(stranger, everything(), None).await, Ok(Vec::new()));
}
