//! `billing::Invoices`: reading what was finalised.

use billing::{
    Invoice, Period, Subscription, TierUse, Totals,
    invoice::{Line, Status},
};
use kernel::{Currency, InvoiceId, PageRequest, Quantity, TenantId};

use super::{
    Backend, BillingSeed, fixture,
    subscribed::{tenant_on, within},
};

fn line(of: &Subscription, description: &str, metric: Option<&str>) -> Line {
    let tier = TierUse {
        from: 0.into(),
        to: Some(1_000.into()),
        quantity: "999.5".parse().unwrap(),
        unit_amount: "0.001".parse().unwrap(),
        flat_amount: 0.into(),
        amount: "0.9995".parse().unwrap(),
    };
    Line {
        description: description.to_owned(),
        metric: metric.map(str::to_owned),
        plan: of.plan.clone(),
        period: Period {
            start: fixture::at(0),
            end: fixture::at(50),
        },
        quantity: Quantity::parse("999.5").unwrap(),
        unit_price: "0.001".parse().unwrap(),
        tiers: metric.map(|_| tier).into_iter().collect(),
        amount: 100,
        watermark: metric.map(|_| "7:7:".to_owned()),
    }
}

fn invoice(second: i64, status: Status, lines: Vec<Line>) -> Invoice {
    Invoice {
        id: InvoiceId::new(fixture::at(second)),
        number: (status != Status::Draft).then(|| format!("2026-{second}")),
        status,
        currency: Currency::USD,
        period: Period {
            start: fixture::at(0),
            end: fixture::at(100),
        },
        totals: Totals {
            subtotal: 300,
            discount_total: 50,
            tax_total: 19,
            total: 269,
        },
        watermark: Some("7:7:".to_owned()),
        lines,
    }
}

async fn add(backend: &impl Backend, of: &Subscription, invoice: &Invoice) {
    let seed = BillingSeed::Invoice(of.tenant_id, of.id, invoice.clone());
    backend.seed_billing(seed).await;
}

async fn page(
    backend: &impl Backend,
    scope: TenantId,
    tenant_id: TenantId,
    after: Option<InvoiceId>,
) -> Vec<Invoice> {
    let request = PageRequest {
        limit: 2,
        ..PageRequest::first()
    };
    within(backend, scope, move |store| {
        store.invoices(tenant_id, &request, after)
    })
    .await
    .unwrap()
}

fn without_lines(invoice: &Invoice) -> Invoice {
    Invoice {
        lines: Vec::new(),
        ..invoice.clone()
    }
}

/// Every field survives. An invoice comes without its lines, and its lines in their order.
pub async fn an_invoice_and_its_lines_are_read_back(backend: &impl Backend) {
    let of = tenant_on(backend, "acme", "starter").await;
    let lines = vec![
        line(&of, "Starter", None),
        line(&of, "calls", Some("tool_call")),
        line(&of, "Again", None),
    ];
    let one = invoice(1, Status::Open, lines);
    let other = invoice(2, Status::Draft, vec![line(&of, "Else", None)]);
    add(backend, &of, &one).await;
    add(backend, &of, &other).await;
    let (tenant_id, id) = (of.tenant_id, one.id);
    let read = within(backend, tenant_id, move |store| {
        store.invoice(tenant_id, id)
    });
    assert_eq!(read.await, Ok(Some(without_lines(&one))));
    let read = within(backend, tenant_id, move |store| {
        store.invoice_lines(tenant_id, id)
    });
    assert_eq!(read.await, Ok(one.lines));
    let nowhere = InvoiceId::new(fixture::at(1));
    let read = within(backend, tenant_id, move |store| {
        let lines = store.invoice_lines(tenant_id, nowhere)?;
        store
            .invoice(tenant_id, nowhere)
            .map(|found| (found, lines))
    });
    assert_eq!(read.await, Ok((None, Vec::new())));
}

/// The newest comes first, whatever its state, a page at a time and one more.
pub async fn invoices_come_newest_first(backend: &impl Backend) {
    let of = tenant_on(backend, "acme", "starter").await;
    let states = [
        Status::Paid,
        Status::Draft,
        Status::Void,
        Status::Open,
        Status::Uncollectible,
    ];
    let mut all = Vec::new();
    for (second, status) in (1..).zip(states) {
        let one = invoice(second, status, vec![line(&of, "Starter", None)]);
        add(backend, &of, &one).await;
        all.push(without_lines(&one));
    }
    all.reverse();
    let id = of.tenant_id;
    assert_eq!(page(backend, id, id, None).await, all[..3]);
    assert_eq!(page(backend, id, id, Some(all[1].id)).await, all[2..]);
    assert_eq!(page(backend, id, id, Some(all[4].id)).await, []);
}

/// Invoices of another tenant are not there.
pub async fn invoices_of_another_tenant_are_not_there(backend: &impl Backend) {
    let of = tenant_on(backend, "acme", "starter").await;
    let stranger = tenant_on(backend, "other", "starter").await.tenant_id;
    let one = invoice(1, Status::Open, vec![line(&of, "Starter", None)]);
    add(backend, &of, &one).await;
    let (tenant_id, id) = (of.tenant_id, one.id);
    assert_eq!(page(backend, stranger, tenant_id, None).await, []);
    assert_eq!(page(backend, stranger, stranger, None).await, []);
    let read = within(backend, stranger, move |store| {
        let lines = store.invoice_lines(tenant_id, id)?;
        store.invoice(tenant_id, id).map(|found| (found, lines))
    });
    assert_eq!(read.await, Ok((None, Vec::new())));
}
