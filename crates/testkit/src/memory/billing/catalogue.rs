//! The catalogues that the migrations bring: the same figures as `app.catalogue` in `migrations/replaceable/50_billing.sql`.

use billing::{Grant, Interval, Kind, Plan, Price, PriceModel, Tier};
use kernel::{Currency, Money};

use crate::must;

/// Limits of a plan; `None` is unlimited.
type Limits = &'static [(&'static str, Option<i64>)];

/// What one deployment sells.
pub(super) struct Catalogue {
    pub(super) name: &'static str,
    /// Other names of plans that an order may use.
    pub(super) aliases: &'static [(&'static str, &'static str)],
    /// In the order of the list.
    pub(super) plans: &'static [Sheet],
}

/// A plan, as a catalogue writes it.
pub(super) struct Sheet {
    pub(super) code: &'static str,
    name: &'static str,
    /// In cents a month.
    amount: i64,
    /// Whether it charges for usage.
    is_metered: bool,
    limits: Limits,
}

const fn sheet(
    code: &'static str,
    name: &'static str,
    amount: i64,
    is_metered: bool,
    limits: Limits,
) -> Sheet {
    Sheet {
        code,
        name,
        amount,
        is_metered,
        limits,
    }
}

const DEFAULT: Catalogue = Catalogue {
    name: "default",
    aliases: &[("hobby", "starter"), ("business", "pro")],
    plans: &[
        sheet(
            "free",
            "Free",
            0,
            false,
            &[
                ("max_projects", Some(1)),
                ("max_members", Some(3)),
                ("max_dashboards", Some(5)),
                ("max_agents", Some(10)),
                ("tasks_per_month", Some(1_000)),
                ("max_concurrent_workflows", Some(2)),
            ],
        ),
        sheet(
            "starter",
            "Starter",
            2_900,
            true,
            &[
                ("max_projects", Some(5)),
                ("max_members", Some(10)),
                ("max_dashboards", Some(20)),
                ("max_agents", Some(50)),
                ("tasks_per_month", Some(10_000)),
                ("max_concurrent_workflows", Some(10)),
            ],
        ),
        sheet(
            "pro",
            "Pro",
            9_900,
            true,
            &[
                ("max_projects", Some(20)),
                ("max_members", Some(50)),
                ("max_dashboards", Some(100)),
                ("max_agents", Some(100)),
                ("tasks_per_month", Some(100_000)),
                ("max_concurrent_workflows", Some(50)),
            ],
        ),
        sheet(
            "enterprise",
            "Enterprise",
            29_900,
            true,
            &[
                ("max_projects", None),
                ("max_members", None),
                ("max_dashboards", None),
                ("max_agents", None),
                ("tasks_per_month", None),
                ("max_concurrent_workflows", None),
            ],
        ),
    ],
};

const PRD37: Catalogue = Catalogue {
    name: "prd37",
    aliases: &[
        ("free", "starter"),
        ("hobby", "starter"),
        ("pro", "business"),
    ],
    plans: &[
        sheet(
            "starter",
            "Starter",
            900,
            false,
            &[
                ("max_agents", Some(3)),
                ("max_workflows", Some(10)),
                ("max_documents", Some(5)),
                ("max_members", Some(1)),
            ],
        ),
        sheet(
            "business",
            "Business",
            2_900,
            false,
            &[
                ("max_agents", Some(10)),
                ("max_workflows", Some(50)),
                ("max_documents", None),
                ("max_members", Some(10)),
            ],
        ),
        sheet(
            "enterprise",
            "Enterprise",
            9_900,
            false,
            &[
                ("max_agents", None),
                ("max_workflows", None),
                ("max_documents", None),
                ("max_members", None),
            ],
        ),
    ],
};

/// The catalogue of this name. There must be one.
pub(super) fn named(name: &str) -> &'static Catalogue {
    let found = [&DEFAULT, &PRD37]
        .into_iter()
        .find(|catalogue| catalogue.name == name);
    must(name, found.ok_or("there is no such catalogue"))
}

impl Sheet {
    /// The plan, as its version `version`.
    pub(super) fn published(&self, version: i32) -> Plan {
        let mut grants: Vec<Grant> = self.limits.iter().map(grant).collect();
        grants.sort_by(|a, b| a.key.cmp(&b.key));
        Plan {
            code: self.code.to_owned(),
            version,
            name: self.name.to_owned(),
            price: Money::new(self.amount, Currency::USD),
            interval: Interval::Month,
            grants,
            prices: if self.is_metered {
                usage_prices()
            } else {
                Vec::new()
            },
        }
    }
}

fn grant((key, maximum): &(&str, Option<i64>)) -> Grant {
    let kind = if key.starts_with("max_") {
        Kind::Limit
    } else {
        Kind::Quota
    };
    Grant {
        metric: (*key == "tasks_per_month").then(|| "task_completed".to_owned()),
        ..Grant::new(*key, kind, *maximum)
    }
}

fn usage_prices() -> Vec<Price> {
    let million = |cents: i64| PriceModel::Package {
        size: 1_000_000.into(),
        amount: Money::new(cents, Currency::USD).to_decimal(),
    };
    let free = Tier {
        up_to: Some(1_000.into()),
        unit_amount: 0.into(),
        flat_amount: 0.into(),
    };
    let beyond = Tier {
        up_to: None,
        unit_amount: must("a unit price", "0.001".parse()),
        flat_amount: 0.into(),
    };
    let cent = PriceModel::PerUnit {
        unit_amount: Money::new(1, Currency::USD).to_decimal(),
    };
    [
        ("llm_tokens_input", million(50)),
        ("llm_tokens_output", million(150)),
        (
            "tool_call",
            PriceModel::Graduated {
                tiers: vec![free, beyond],
            },
        ),
        ("agent_minute", cent),
    ]
    .into_iter()
    .map(|(metric, model)| must(metric, Price::new(metric, Currency::USD, model)))
    .collect()
}
