//! `billing::Catalogue`: what is on sale, and what it grants and costs.

use billing::{Grant, Interval, Kind, Plan, PlanRef, Price, PriceModel, Tier};
use kernel::{Currency, Money, Quantity, Scope, StoreError};

use super::{Backend, BillingSeed, run};

const UNLIMITED: i64 = -1;

/// Code, version, name, price in cents a month, and the limits in the order of the keys.
type Row = (&'static str, i32, &'static str, i64, &'static [i64]);

const KEYS: [&str; 6] = [
    "max_agents",
    "max_concurrent_workflows",
    "max_dashboards",
    "max_members",
    "max_projects",
    "tasks_per_month",
];

const DEFAULT: [Row; 4] = [
    ("free", 1, "Free", 0, &[10, 2, 5, 3, 1, 1_000]),
    ("starter", 1, "Starter", 2_900, &[50, 10, 20, 10, 5, 10_000]),
    ("pro", 1, "Pro", 9_900, &[100, 50, 100, 50, 20, 100_000]),
    ("enterprise", 1, "Enterprise", 29_900, &[UNLIMITED; 6]),
];

const KEYS_OF_PRD37: [&str; 4] = [
    "max_agents",
    "max_documents",
    "max_members",
    "max_workflows",
];

const PRD37: [Row; 3] = [
    ("starter", 2, "Starter", 900, &[3, 5, 1, 10]),
    ("business", 1, "Business", 2_900, &[10, UNLIMITED, 10, 50]),
    ("enterprise", 2, "Enterprise", 9_900, &[UNLIMITED; 4]),
];

fn plan(row: Row, keys: &[&str], prices: Vec<Price>) -> Plan {
    let (code, version, name, amount, limits) = row;
    let grants = keys.iter().zip(limits).map(|(key, limit)| {
        let is_quota = *key == "tasks_per_month";
        let kind = if is_quota { Kind::Quota } else { Kind::Limit };
        Grant {
            metric: is_quota.then(|| "task_completed".to_owned()),
            ..Grant::new(*key, kind, (*limit != UNLIMITED).then_some(*limit))
        }
    });
    Plan {
        code: code.to_owned(),
        version,
        name: name.to_owned(),
        price: Money::new(amount, Currency::USD),
        interval: Interval::Month,
        grants: grants.collect(),
        prices,
    }
}

/// Tokens by started million, tool calls behind the first thousand, agents' minutes.
fn usage_prices() -> Vec<Price> {
    let million = |amount: &str| PriceModel::Package {
        size: 1_000_000.into(),
        amount: amount.parse().unwrap(),
    };
    let tier = |up_to: Option<i64>, amount: &str| Tier {
        up_to: up_to.map(Into::into),
        unit_amount: amount.parse().unwrap(),
        flat_amount: 0.into(),
    };
    let tiers = vec![tier(Some(1_000), "0"), tier(None, "0.001")];
    let unit_amount = "0.01".parse().unwrap();
    [
        ("llm_tokens_input", million("0.50")),
        ("llm_tokens_output", million("1.50")),
        ("tool_call", PriceModel::Graduated { tiers }),
        ("agent_minute", PriceModel::PerUnit { unit_amount }),
    ]
    .into_iter()
    .map(|(metric, model)| Price {
        metric: metric.to_owned(),
        currency: Currency::USD,
        model,
        free_units: Quantity::zero(),
        minimum: None,
        maximum: None,
    })
    .collect()
}

fn default_plans() -> Vec<Plan> {
    let prices = |code| match code {
        "free" => Vec::new(),
        _ => usage_prices(),
    };
    let plans = DEFAULT.into_iter();
    plans.map(|row| plan(row, &KEYS, prices(row.0))).collect()
}

async fn on_sale(backend: &impl Backend) -> Vec<Plan> {
    let plans = run(backend.billing(), Scope::global(), |store| {
        store.plans_on_sale()
    });
    plans.await.unwrap()
}

async fn sold_as(backend: &impl Backend, code: &'static str) -> Option<PlanRef> {
    let plan = run(backend.billing(), Scope::global(), move |store| {
        store.plan_on_sale(code)
    });
    plan.await.unwrap().map(|plan| plan.reference())
}

async fn version(backend: &impl Backend, plan: PlanRef) -> Result<Plan, StoreError> {
    run(backend.billing(), Scope::global(), move |store| {
        store.plan(&plan)
    })
    .await
}

fn named(code: &str, version: i32) -> PlanRef {
    PlanRef {
        code: code.to_owned(),
        version,
    }
}

/// Four plans, in this order, with these limits and prices.
pub async fn the_default_catalogue_is_on_sale_from_the_start(backend: &impl Backend) {
    assert_eq!(on_sale(backend).await, default_plans());
}

/// A catalogue takes the place of another: what it does not name is not sold, and its versions follow on those that were.
pub async fn another_catalogue_takes_the_place_of_the_first(backend: &impl Backend) {
    backend.seed_billing(BillingSeed::Catalogue("prd37")).await;
    let prd37 = PRD37.map(|row| plan(row, &KEYS_OF_PRD37, Vec::new()));
    assert_eq!(on_sale(backend).await, prd37);
    for (code, sold) in [
        ("free", Some(named("starter", 2))),
        ("hobby", Some(named("starter", 2))),
        ("pro", Some(named("business", 1))),
        ("business", Some(named("business", 1))),
        ("gold", None),
    ] {
        assert_eq!(sold_as(backend, code).await, sold, "{code}");
    }
}

/// What was sold stays readable, and a version that was published before is sold again instead of published anew.
pub async fn a_published_version_never_changes(backend: &impl Backend) {
    backend.seed_billing(BillingSeed::Catalogue("prd37")).await;
    for plan in default_plans() {
        let read = version(backend, plan.reference()).await;
        assert_eq!(read, Ok(plan));
    }
    backend
        .seed_billing(BillingSeed::Catalogue("default"))
        .await;
    assert_eq!(on_sale(backend).await, default_plans());
}

/// A code names its plan and an alias the plan it stands for, each in the version that is sold.
pub async fn a_plan_is_ordered_by_its_code_or_an_alias(backend: &impl Backend) {
    for (code, sold) in [
        ("free", Some("free")),
        ("starter", Some("starter")),
        ("hobby", Some("starter")),
        ("business", Some("pro")),
        ("gold", None),
        ("", None),
        ("Free", None),
    ] {
        let sold = sold.map(|code| named(code, 1));
        assert_eq!(sold_as(backend, code).await, sold, "{code}");
    }
}

/// Nobody asks for a version that was never published.
pub async fn a_version_that_was_never_published_is_a_defect(backend: &impl Backend) {
    for plan in [named("free", 2), named("gold", 1), named("hobby", 1)] {
        let read = version(backend, plan).await;
        assert!(matches!(read, Err(StoreError::Unexpected(_))), "{read:?}");
    }
}
