//! Plans, changes of plan, and the upcoming invoice.

use kernel::{Denied, PageRequest, Principal, TenantStatus};
use plinth_billing::{
    Order, When,
    invoice::ReadInvoiceError,
    permissions::{BILLING_READ, BILLING_WRITE},
    plan_change::ChangePlanError,
    subscription::ReadSubscriptionError,
};

use crate::memory_world::{FEBRUARY, FIFTEENTH, World, with_permission};

/// Plan, metric and amount of each line of the upcoming invoice, and the total.
async fn upcoming(world: &World, by: &Principal) -> (Vec<(String, i64)>, i64) {
    let invoice = world.billing.upcoming(by).await.unwrap();
    let lines = invoice.lines.into_iter();
    let lines = lines.map(|line| (line.plan.code, line.amount)).collect();
    (lines, invoice.totals.total)
}

fn line(plan: &str, amount: i64) -> (String, i64) {
    (plan.to_owned(), amount)
}

#[tokio::test]
async fn a_change_now_is_prorated_both_ways() {
    let world = World::new();
    let by = world.tenant("acme", "starter").await;
    assert_eq!(
        upcoming(&world, &by).await,
        (vec![line("starter", 2900)], 2900)
    );
    world.set_clock(FIFTEENTH);
    let order = Order {
        plan: "business".to_owned(),
        when: When::Now,
    };
    let preview = world.billing.preview(&by, order).await.unwrap();
    let proration = preview.proration;
    assert_eq!(
        (proration.credit.amount, proration.charge.amount),
        (1590, 5429)
    );
    assert_eq!(preview.current.plan.code, "starter", "nothing is changed");
    assert_eq!(
        world.billing.subscription(&by).await.unwrap(),
        preview.current
    );

    let done = world.order(&by, "business", When::Now).await;
    assert_eq!((done.proration, done.effective_at), (proration, FIFTEENTH));
    let current = world.billing.subscription(&by).await.unwrap();
    assert_eq!(
        (current.plan.code.as_str(), current.period),
        ("pro", preview.current.period)
    );
    let lines = vec![line("starter", 1310), line("pro", 5429)];
    assert_eq!(upcoming(&world, &by).await, (lines, 1310 + 5429));
    world.set_clock(FEBRUARY);
    assert_eq!(upcoming(&world, &by).await, (vec![line("pro", 9900)], 9900));
    let trail = world.trail(by.tenant_id().unwrap()).await;
    assert_eq!(trail, ["subscription.created", "subscription.changed"]);
}

#[tokio::test]
async fn a_change_at_the_end_of_the_period_waits_for_it() {
    let world = World::new();
    let by = world.tenant("acme", "pro").await;
    world.set_clock(FIFTEENTH);
    let outlook = world.order(&by, "free", When::PeriodEnd).await;
    assert_eq!(
        (outlook.proration.net(), outlook.effective_at),
        (0, FEBRUARY)
    );
    let agents = async || world.entitlement(&by, "max_agents").await.grant.maximum;
    assert_eq!(agents().await, Some(100));
    assert_eq!(upcoming(&world, &by).await, (vec![line("pro", 9900)], 9900));
    world.set_clock(FEBRUARY);
    assert_eq!(agents().await, Some(10));
    assert_eq!(upcoming(&world, &by).await, (Vec::new(), 0));
}

#[tokio::test]
async fn another_order_replaces_the_one_for_later() {
    let world = World::new();
    let by = world.tenant("acme", "pro").await;
    world.order(&by, "free", When::PeriodEnd).await;
    world.order(&by, "starter", When::PeriodEnd).await;
    let current = world.billing.subscription(&by).await.unwrap();
    let pending = current.subscription.pending.unwrap();
    assert_eq!(pending.plan.code, "starter");
    world.order(&by, "pro", When::Now).await;
    world.set_clock(FEBRUARY);
    let current = world.billing.subscription(&by).await.unwrap();
    assert_eq!(
        (current.plan.code.as_str(), current.subscription.pending),
        ("pro", None)
    );
}

#[tokio::test]
async fn a_downgrade_keeps_what_is_there_and_admits_no_more() {
    let world = World::new();
    let by = world.tenant("acme", "starter").await;
    for number in 0..12 {
        world.put(&by, &number.to_string()).await.unwrap();
    }
    let outlook = world.order(&by, "free", When::Now).await;
    let over: Vec<_> = outlook
        .over_limit
        .iter()
        .map(|one| (one.grant.key.as_str(), one.used, one.grant.maximum))
        .collect();
    assert_eq!(over, [("max_agents", 12, Some(10))]);
    assert!(world.put(&by, "more").await.is_err());
    world.put(&by, "3").await.unwrap();
}

#[tokio::test]
async fn an_order_is_for_a_plan_on_sale_by_who_may_give_it() {
    let world = World::new();
    let by = world.tenant("acme", "free").await;
    let order = |plan: &str| Order {
        plan: plan.to_owned(),
        when: When::Now,
    };
    let unknown = world.billing.change(&by, order("gold")).await;
    assert!(
        matches!(&unknown, Err(ChangePlanError::Invalid(error)) if error.code == "unknown_plan"),
        "{unknown:?}"
    );
    let reader = with_permission(&by, BILLING_READ, TenantStatus::Active);
    world.billing.preview(&reader, order("pro")).await.unwrap();
    let denied = world.billing.change(&reader, order("pro")).await;
    assert!(
        matches!(&denied, Err(ChangePlanError::Denied(Denied::Forbidden { required })) if *required == BILLING_WRITE),
        "{denied:?}"
    );
    let nobody = world.tenant_without_plan("other").await;
    let nothing = world.billing.change(&nobody, order("pro")).await;
    assert!(matches!(nothing, Err(ChangePlanError::NotSubscribed)));
    let nothing = world.billing.subscription(&nobody).await;
    assert!(matches!(nothing, Err(ReadSubscriptionError::NotSubscribed)));
    let nothing = world.billing.upcoming(&nobody).await;
    assert!(matches!(nothing, Err(ReadInvoiceError::NotFound)));
}

#[tokio::test]
async fn a_tenant_keeps_its_version_when_another_catalogue_is_sold() {
    let world = World::new();
    let by = world.tenant("acme", "starter").await;
    world.memory.load_catalogue("prd37");
    let on_sale = world.billing.plans().await.unwrap();
    let prices: Vec<_> = on_sale
        .iter()
        .map(|plan| (plan.code.as_str(), plan.version, plan.price.amount))
        .collect();
    let expected = [
        ("starter", 2, 900),
        ("business", 1, 2900),
        ("enterprise", 2, 9900),
    ];
    assert_eq!(prices, expected);
    let current = world.billing.subscription(&by).await.unwrap();
    assert_eq!((current.plan.version, current.plan.price.amount), (1, 2900));
    let outlook = world.order(&by, "starter", When::Now).await;
    assert_eq!(outlook.ordered.version, 1, "no way to another price");
}

#[tokio::test]
async fn final_invoices_are_read_by_their_own_tenant() {
    let world = World::new();
    let (by, stranger) = (
        world.tenant("acme", "starter").await,
        world.tenant("other", "starter").await,
    );
    let mut invoice = world.billing.upcoming(&by).await.unwrap();
    invoice.id = kernel::InvoiceId::new(FEBRUARY);
    invoice.number = Some("2026-1".to_owned());
    invoice.status = plinth_billing::invoice::Status::Open;
    let tenant_id = by.tenant_id().unwrap();
    world.memory.add_invoice(tenant_id, invoice.clone());
    let id = invoice.id;
    assert_eq!(world.billing.invoice(&by, id).await.unwrap(), invoice);
    let page = world.billing.invoices(&by, PageRequest::first()).await;
    let ids: Vec<_> = page.unwrap().data.iter().map(|one| one.id).collect();
    assert_eq!(ids, [id]);
    let theirs = world.billing.invoice(&stranger, id).await;
    assert!(matches!(theirs, Err(ReadInvoiceError::NotFound)));
}
