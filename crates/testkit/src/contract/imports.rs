//! `usage::import::ImportStore`: an import takes each row once, whoever runs it and however often.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use kernel::{Scope, StoreError, TenantId};
use time::{Duration, OffsetDateTime};
use usage::{
    Aggregation, Item, Outcome, Status,
    import::{self, Entry, Identity, Import, ImportError, ImportStore, Page, Position},
};

use super::{Backend, fixture, run, usage_fixture::*};

fn identity(source: &str) -> Identity {
    Identity {
        source: source.to_owned(),
        table: "logs".to_owned(),
        mapping: "as it is".to_owned(),
    }
}

fn position(rows: u64) -> Position {
    Position {
        rows,
        digest: format!("after {rows}"),
    }
}

/// An event as another system would have measured it.
fn entry(source: &str, id: &str, metric: &str, quantity: i64) -> Entry {
    let event = serde_json::json!({
        "source": source, "id": id, "metric": metric, "quantity": quantity, "occurred_at": "2020-01-01T00:00:00Z",
    });
    Entry {
        metric: metric.to_owned(),
        quantity: Some(quantity.into()),
        item: Item::parse_plain(&event.to_string()),
    }
}

fn page(from: u64, to: u64, entries: &[(TenantId, Entry)]) -> Page {
    let mut by_tenant: BTreeMap<TenantId, Vec<Entry>> = BTreeMap::new();
    for (tenant_id, entry) in entries {
        by_tenant.entry(*tenant_id).or_default().push(entry.clone());
    }
    Page {
        from,
        to: position(to),
        entries: by_tenant,
        unassigned: 1,
    }
}

async fn in_import<T: Send + 'static, E: From<StoreError> + Send + 'static>(
    backend: &impl Backend,
    of: &Identity,
    command: impl FnOnce(&mut dyn ImportStore, &Identity) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let identity = of.clone();
    run(backend.imports(), of.scope(), move |store| {
        command(store, &identity)
    })
    .await
}

async fn begin(backend: &impl Backend, of: &Identity) -> Import {
    in_import(backend, of, |store, of| import::begin(store, of))
        .await
        .unwrap()
}

async fn take(
    backend: &impl Backend,
    of: &Identity,
    page: Page,
) -> Result<BTreeMap<TenantId, Vec<Outcome>>, ImportError> {
    in_import(backend, of, |store, of| import::take(store, of, page)).await
}

async fn two_tenants(backend: &impl Backend) -> (TenantId, TenantId) {
    (
        fixture::stored_tenant(backend, "aaa").await.id,
        fixture::stored_tenant(backend, "bbb").await.id,
    )
}

/// Metric, outcome, events and sum.
async fn totals(
    backend: &impl Backend,
    of: &Identity,
    tenant_id: TenantId,
) -> Vec<(String, Status, u64, String)> {
    let totals = in_import(backend, of, move |store, of| {
        store.enter_tenant(tenant_id)?;
        store.import_totals(tenant_id, of.id())
    });
    let totals: Result<_, StoreError> = totals.await;
    let text = |total: import::ImportTotal| {
        let quantity = total.quantity.normalized().to_plain_string();
        (total.metric, total.status, total.events, quantity)
    };
    totals.unwrap().into_iter().map(text).collect()
}

/// Each tenant's events are its own, each is answered for, and the totals are those of the answers.
pub async fn a_page_is_taken_and_the_import_moves_behind_it(backend: &impl Backend) {
    let (a, b) = two_tenants(backend).await;
    let of = identity("old");
    assert_eq!(begin(backend, &of).await.position, Position::default());
    let entries = [
        (b, entry("old", "1", "chat", 1)),
        (a, entry("old", "1", "chat", 2)),
        (b, entry("old", "2", "no_such_meter", 3)),
        (a, entry("old", "2", "chat", 4)),
        (a, entry("old", "2", "chat", 4)),
        (a, entry("old", "2", "chat", 5)),
    ];
    let taken = take(backend, &of, page(0, 7, &entries)).await.unwrap();
    let statuses = |of: TenantId| taken[&of].iter().map(Outcome::status).collect::<Vec<_>>();
    assert_eq!(
        statuses(a),
        [
            Status::Accepted,
            Status::Accepted,
            Status::Duplicate,
            Status::Conflict
        ]
    );
    assert_eq!(statuses(b), [Status::Accepted, Status::Rejected]);
    let import = begin(backend, &of).await;
    assert_eq!((import.position, import.unassigned), (position(7), 1));
    assert_eq!(import.finished_at, None);
    let chat = |status, events, sum: &str| ("chat".to_owned(), status, events, sum.to_owned());
    assert_eq!(
        totals(backend, &of, a).await,
        [
            chat(Status::Accepted, 2, "6"),
            chat(Status::Conflict, 1, "5"),
            chat(Status::Duplicate, 1, "4"),
        ]
    );
    take(
        backend,
        &of,
        page(7, 8, &[(a, entry("old", "3", "chat", 10))]),
    )
    .await
    .unwrap();
    assert_eq!(
        totals(backend, &of, a).await[0],
        chat(Status::Accepted, 3, "16")
    );
    assert_eq!(begin(backend, &of).await.unassigned, 2);
}

/// Whoever stands elsewhere writes nothing: not twice, not with a gap, and not under another meaning of the columns.
pub async fn a_page_that_does_not_follow_is_refused(backend: &impl Backend) {
    let (a, _) = two_tenants(backend).await;
    let of = identity("old");
    let first = page(0, 1, &[(a, entry("old", "1", "chat", 1))]);
    take(backend, &of, first.clone()).await.unwrap();
    let again = take(backend, &of, first).await;
    assert!(matches!(again, Err(ImportError::Moved)), "{again:?}");
    let gap = take(
        backend,
        &of,
        page(2, 3, &[(a, entry("old", "3", "chat", 1))]),
    )
    .await;
    assert!(matches!(gap, Err(ImportError::Moved)), "{gap:?}");
    let other = Identity {
        mapping: "otherwise".to_owned(),
        ..of.clone()
    };
    let refused = take(
        backend,
        &other,
        page(1, 2, &[(a, entry("old", "2", "chat", 1))]),
    )
    .await;
    assert!(matches!(refused, Err(ImportError::OtherMapping { began }) if began == "as it is"));
    assert_eq!(begin(backend, &of).await.position, position(1));
    assert_eq!(totals(backend, &of, a).await.len(), 1);
}

/// However many take the same page at once, one does.
pub async fn imports_that_race_take_each_page_once(backend: &impl Backend) {
    let (a, _) = two_tenants(backend).await;
    let of = identity("old");
    for step in 0..5 {
        let entries: Vec<_> = (0..20)
            .map(|n| (a, entry("old", &format!("{step}-{n}"), "chat", 1)))
            .collect();
        let page = page(step, step + 1, &entries);
        let racing = (0..4).map(|_| take(backend, &of, page.clone()));
        let taken = join_all(racing).await;
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
    }
    let expected = ("chat".to_owned(), Status::Accepted, 100, "100".to_owned());
    assert_eq!(totals(backend, &of, a).await, [expected]);
}

/// A page that fails leaves the import, the totals and the events as they were.
pub async fn a_page_that_fails_has_moved_nothing(backend: &impl Backend) {
    let (a, _) = two_tenants(backend).await;
    let of = identity("old");
    begin(backend, &of).await;
    let page = page(0, 1, &[(a, entry("old", "1", "chat", 1))]);
    let failed = in_import(backend, &of, |store, of| {
        import::take(store, of, page)?;
        Err::<(), ImportError>(StoreError::Unexpected("no".to_owned()).into())
    });
    assert!(failed.await.is_err());
    assert_eq!(begin(backend, &of).await.position, Position::default());
    assert_eq!(totals(backend, &of, a).await, []);
    let there = in_import(backend, &of, move |store, _| {
        store.enter_tenant(a)?;
        store.imported(a, "old", OffsetDateTime::UNIX_EPOCH)
    });
    let there: Result<_, StoreError> = there.await;
    assert_eq!(there.unwrap(), []);
}

/// Under its own name only: an import is nobody else's, and neither are the totals of a tenant.
pub async fn an_import_is_seen_by_itself_alone(backend: &impl Backend) {
    let (a, b) = two_tenants(backend).await;
    let (of, other) = (identity("old"), identity("other"));
    take(
        backend,
        &of,
        page(0, 1, &[(a, entry("old", "1", "chat", 1))]),
    )
    .await
    .unwrap();
    let id = of.id();
    assert_ne!(id, other.id());
    for scope in [other.scope(), Scope::global(), Scope::tenant(a)] {
        let seen = run(backend.imports(), scope, move |store| store.import(id)).await;
        assert_eq!(seen.unwrap(), None);
    }
    let of_b = in_import(backend, &of, move |store, of| {
        store.enter_tenant(b)?;
        Ok::<_, StoreError>((
            store.import_totals(a, of.id())?,
            store.imported(a, "old", OffsetDateTime::UNIX_EPOCH)?,
        ))
    });
    assert_eq!(of_b.await.unwrap(), (Vec::new(), Vec::new()));
}

/// What a tenant has is counted from its events: of the source, since the time, and by meter, its own and those from the start.
pub async fn what_was_imported_is_counted_from_the_events(backend: &impl Backend) {
    let (a, _) = two_tenants(backend).await;
    stored_meter(backend, a, "pages", Aggregation::Max).await;
    let of = identity("old");
    let entries = [
        (a, entry("old", "1", "pages", 7)),
        (a, entry("old", "2", "chat", 2)),
        (a, entry("old", "3", "chat", 3)),
        (a, entry("else", "4", "chat", 50)),
    ];
    let started_at = begin(backend, &of).await.started_at;
    take(backend, &of, page(0, 4, &entries)).await.unwrap();
    for (since, expected) in [
        (
            started_at,
            vec![
                ("chat".to_owned(), 2, 5.into()),
                ("pages".to_owned(), 1, 7.into()),
            ],
        ),
        (started_at + Duration::HOUR, vec![]),
    ] {
        let found = in_import(backend, &of, move |store, _| {
            store.enter_tenant(a)?;
            store.imported(a, "old", since)
        });
        let found: Result<_, StoreError> = found.await;
        let found: Vec<_> = found
            .unwrap()
            .into_iter()
            .map(|it| (it.metric, it.events, it.quantity))
            .collect();
        assert_eq!(found, expected);
    }
}

/// By its id or by its slug, and nobody by anything else.
pub async fn a_tenant_is_found_by_id_and_by_slug(backend: &impl Backend) {
    let (a, b) = two_tenants(backend).await;
    let of = identity("old");
    let nobody = TenantId::new(fixture::at(9)).to_string();
    for (name, expected) in [
        (a.to_string(), Some(a)),
        ("bbb".to_owned(), Some(b)),
        ("BBB".to_owned(), None),
        ("ccc".to_owned(), None),
        (nobody, None),
    ] {
        let found = in_import(backend, &of, move |store, _| {
            import::tenant_named(store, &name)
        });
        assert_eq!(found.await.unwrap(), expected);
    }
}

/// The rules are asked, and nothing is written.
pub async fn checking_a_page_writes_nothing(backend: &impl Backend) {
    let (a, _) = two_tenants(backend).await;
    let of = identity("old");
    let entries = [
        (a, entry("old", "1", "chat", 1)),
        (a, entry("old", "2", "no_such_meter", 1)),
    ];
    let page = page(0, 2, &entries);
    let checked = in_import(backend, &of, |store, _| import::check(store, page));
    let checked = checked.await.unwrap();
    let statuses: Vec<Status> = checked[&a].iter().map(Outcome::status).collect();
    assert_eq!(statuses, [Status::Accepted, Status::Rejected]);
    let found = in_import(backend, &of, |store, of| import::look_up(store, of));
    assert_eq!(found.await.unwrap(), None);
    assert_eq!(totals(backend, &of, a).await, []);
}

/// Finished once, with a trace; and going on makes it unfinished again.
pub async fn an_import_is_finished_where_it_stands(backend: &impl Backend) {
    let (a, b) = two_tenants(backend).await;
    let of = identity("old");
    take(
        backend,
        &of,
        page(0, 1, &[(a, entry("old", "1", "chat", 1))]),
    )
    .await
    .unwrap();
    let finish = |at: u64| {
        in_import(backend, &of, move |store, of| {
            import::finish(store, of, &position(at), &[a, b], fixture::at(1))
        })
    };
    assert!(matches!(finish(2).await, Err(ImportError::Moved)));
    assert_eq!(begin(backend, &of).await.finished_at, None);
    finish(1).await.unwrap();
    let finished_at = begin(backend, &of).await.finished_at;
    assert!(finished_at.is_some());
    finish(1).await.unwrap();
    assert_eq!(begin(backend, &of).await.finished_at, finished_at);
    take(backend, &of, page(1, 2, &[])).await.unwrap();
    assert_eq!(begin(backend, &of).await.finished_at, None);
}
