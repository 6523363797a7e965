//! `usage::Ledger`: which day an instant is of.

use time::{
    Duration,
    macros::{date, datetime},
};
use usage::{day::UsageDay, rollup::Span};

use super::{
    Backend, fixture,
    usage_days::{AFTER, DAY, close, closed, due_day, move_to, open, record, send},
    usage_fixture::*,
};

/// Days are found, and opened again, by a part that a span and they have in common, from the first instant to the last; and by their date.
pub async fn days_are_found_by_what_they_have_a_part_of(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let other = fixture::stored_tenant(backend, "other").await.id;
    let day = UsageDay::new(tenant, DAY, "Asia/Kathmandu");
    let days = [
        day.clone(),
        UsageDay::new(tenant, date!(2025 - 11 - 09), "Asia/Kathmandu"),
        UsageDay::new(tenant, date!(2025 - 11 - 14), "Asia/Kathmandu"),
        UsageDay::new(other, DAY, "Asia/Kathmandu"),
    ];
    open(backend, days.to_vec()).await.unwrap();
    let quarter = Duration::minutes(15);
    let span = |first, last| Span {
        tenant_id: tenant,
        first,
        last,
    };
    for (number, span, is_found) in [
        (1, span(day.starts_at, day.starts_at), true),
        (2, span(day.ends_at - quarter, day.ends_at - quarter), true),
        (3, span(day.ends_at, day.ends_at + quarter), false),
    ] {
        assert_eq!(close(backend, tenant, AFTER).await, closed(number));
        let found = in_books(backend, move |store| store.reopen_days(&[span])).await;
        let expected = if is_found { vec![day.clone()] } else { vec![] };
        assert_eq!(found.unwrap(), expected, "{span:?}");
        assert_eq!(record(backend, tenant).await.0, !is_found, "{span:?}");
    }
    let noon = span(
        datetime!(2025-11-10 12:00 UTC),
        datetime!(2025-11-10 12:00 UTC),
    );
    let near = in_books(backend, move |store| store.days_near(&[noon])).await;
    let mut near = near.unwrap();
    near.sort_by_key(|day| day.starts_at);
    assert_eq!(near, [days[1].clone(), day]);
}

/// A tenant that moves to another zone keeps what its days have. What comes next belongs to one of them or to one after them, so that no
/// usage is of two days, and none of no day.
pub async fn a_tenant_that_moves_keeps_its_days(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let chat = standard_meter(backend, "chat").await;
    let jobs = standard_meter(backend, "jobs").await;
    send(backend, tenant, &jobs, "a", datetime!(2025-11-10 04:59 UTC)).await;
    send(backend, tenant, &chat, "b", datetime!(2025-11-10 05:00 UTC)).await;
    roll_all(backend, 2).await;
    assert_eq!(close(backend, tenant, AFTER).await, closed(1));

    move_to(backend, tenant, "America/New_York").await;
    send(backend, tenant, &chat, "c", datetime!(2025-11-11 04:59 UTC)).await;
    send(backend, tenant, &chat, "d", datetime!(2025-11-11 05:00 UTC)).await;
    roll_all(backend, 2).await;
    let longer = UsageDay {
        starts_at: datetime!(2025-11-10 00:00 UTC),
        ..UsageDay::new(tenant, DAY, "America/New_York")
    };
    assert_eq!(longer.ends_at, datetime!(2025-11-11 05:00 UTC));
    assert_eq!(due_day(backend, tenant).await.unwrap().day, longer);
    assert_eq!(close(backend, tenant, AFTER).await, closed(2));
    let mut quantities = record(backend, tenant).await.2;
    quantities.sort();
    assert_eq!(quantities, ["2", "4"]);

    // East again, where that hour is of the same date.
    move_to(backend, tenant, "Asia/Tokyo").await;
    send(backend, tenant, &jobs, "e", datetime!(2025-11-10 23:00 UTC)).await;
    roll_all(backend, 1).await;
    assert_eq!(close(backend, tenant, AFTER).await, closed(3));
    assert_eq!(record(backend, tenant).await.2, ["4", "4"]);
    let span = Span {
        tenant_id: tenant,
        first: datetime!(2025-11-11 05:00 UTC),
        last: datetime!(2025-11-11 05:00 UTC),
    };
    let next = in_books(backend, move |store| store.reopen_days(&[span])).await;
    let next: Vec<_> = next.unwrap().into_iter().map(|day| day.day).collect();
    assert_eq!(next, [date!(2025 - 11 - 11)]);
}
