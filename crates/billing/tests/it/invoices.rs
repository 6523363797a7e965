use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use kernel::{Currency, Money, Quantity, Zone};
use plinth_billing::{
    Bill, Interval, Period, Plan, PlanRef, Price, PriceModel, Tier, Totals, invoice, totals,
};
use proptest::prelude::*;
use time::{OffsetDateTime, macros::datetime};

const JANUARY: Period = Period {
    start: datetime!(2026-01-01 0:00 UTC),
    end: datetime!(2026-02-01 0:00 UTC),
};
const FIFTEENTH: OffsetDateTime = datetime!(2026-01-15 0:00 UTC);

fn plan(code: &str, amount: i64) -> Plan {
    let package = PriceModel::Package {
        size: 1_000_000.into(),
        amount: "0.50".parse().unwrap(),
    };
    let nothing = BigDecimal::from(0);
    let tiers = vec![
        Tier {
            up_to: Some(1000.into()),
            unit_amount: 0.into(),
            flat_amount: nothing.clone(),
        },
        Tier {
            up_to: None,
            unit_amount: "0.001".parse().unwrap(),
            flat_amount: nothing,
        },
    ];
    let price = |metric, model| Price::new(metric, Currency::USD, model).unwrap();
    Plan {
        code: code.to_owned(),
        version: 1,
        name: code.to_owned(),
        price: Money::new(amount, Currency::USD),
        interval: Interval::Month,
        grants: vec![],
        prices: vec![
            price("llm_tokens_input", package),
            price("tool_call", PriceModel::Graduated { tiers }),
        ],
    }
}

fn bill(stretches: Vec<(Plan, Period)>, usage: &[(&str, &str, i64)]) -> Bill {
    let usage = usage.iter().map(|(code, metric, quantity)| {
        let plan = PlanRef {
            code: (*code).to_owned(),
            version: 1,
        };
        ((plan, (*metric).to_owned()), Quantity::from(*quantity))
    });
    Bill {
        period: JANUARY,
        zone: Zone::utc(),
        stretches,
        usage: usage.collect::<BTreeMap<_, _>>(),
        watermark: "42".to_owned(),
    }
}

#[test]
fn an_upgrade_on_day_15_of_31_makes_two_base_lines() {
    let cut = vec![
        (
            plan("small", 10_000),
            JANUARY.clip(JANUARY.start, FIFTEENTH),
        ),
        (plan("large", 20_000), JANUARY.clip(FIFTEENTH, JANUARY.end)),
    ];
    let invoice = invoice::draft(&bill(cut, &[])).unwrap();
    let amounts: Vec<i64> = invoice.lines.iter().map(|line| line.amount).collect();
    assert_eq!(amounts, [4516, 10_968]);
    assert_eq!(invoice.totals.total, 15_484);
    assert_eq!(invoice.lines[1].quantity.to_string(), "0.548387096774");
    assert_eq!(
        invoice.lines[1].description,
        "large, 2026-01-15 to 2026-02-01"
    );
}

#[test]
fn a_plan_without_a_base_price_has_no_base_line_and_a_few_minutes_have_one_day() {
    let minute = |minute: i64| JANUARY.start + time::Duration::minutes(minute);
    let cut = vec![
        (plan("free", 0), JANUARY.clip(JANUARY.start, minute(1))),
        (plan("small", 10_000), JANUARY.clip(minute(1), minute(2))),
        (plan("large", 20_000), JANUARY.clip(minute(2), JANUARY.end)),
    ];
    let usage = [("free", "tool_call", 2000)];
    let invoice = invoice::draft(&bill(cut, &usage)).unwrap();
    let lines: Vec<_> = invoice
        .lines
        .iter()
        .map(|line| (line.description.as_str(), line.amount))
        .collect();
    let expected = [
        ("small, 2026-01-01", 0),
        ("large, 2026-01-01 to 2026-02-01", 19_999),
        ("tool_call on free, graduated", 100),
    ];
    assert_eq!(lines, expected);
    assert_eq!(invoice.totals.total, 20_099);
}

#[test]
fn usage_lines_explain_themselves() {
    let usage = [
        ("pro", "llm_tokens_input", 2_500_000),
        ("pro", "tool_call", 11_000),
    ];
    let invoice = invoice::draft(&bill(vec![(plan("pro", 9900), JANUARY)], &usage)).unwrap();
    assert_eq!(invoice.lines.len(), 3);
    let (base, tokens, calls) = (&invoice.lines[0], &invoice.lines[1], &invoice.lines[2]);
    assert_eq!(
        (base.amount, base.quantity.to_string().as_str()),
        (9900, "1")
    );
    assert_eq!(
        (tokens.amount, tokens.quantity.to_string().as_str()),
        (150, "2500000")
    );
    assert_eq!(tokens.tiers[0].quantity, BigDecimal::from(3));
    assert_eq!((calls.amount, calls.tiers.len()), (1000, 2));
    assert_eq!(calls.watermark.as_deref(), Some("42"));
    assert_eq!(invoice.totals.subtotal, 9900 + 150 + 1000);
}

#[test]
fn coming_back_to_a_plan_opens_no_tier_twice() {
    let (tenth, twentieth) = (
        datetime!(2026-01-10 0:00 UTC),
        datetime!(2026-01-20 0:00 UTC),
    );
    let cut = vec![
        (plan("pro", 9900), JANUARY.clip(JANUARY.start, tenth)),
        (plan("free", 0), JANUARY.clip(tenth, twentieth)),
        (plan("pro", 9900), JANUARY.clip(twentieth, JANUARY.end)),
    ];
    let invoice = invoice::draft(&bill(cut, &[("pro", "tool_call", 2000)])).unwrap();
    let calls: Vec<_> = invoice
        .lines
        .iter()
        .filter(|line| line.metric.is_some())
        .collect();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].amount, calls[0].period), (100, JANUARY));
}

#[test]
fn bounds_and_flat_amounts_shrink_with_the_stretch() {
    let mut pro = plan("pro", 0);
    pro.prices.truncate(1);
    pro.prices[0].minimum = Some(1000);
    let flat = PriceModel::Flat { amount: 31.into() };
    pro.prices
        .push(Price::new("seat", Currency::USD, flat).unwrap());
    let amounts = |part| {
        let invoice = invoice::draft(&bill(vec![(pro.clone(), part)], &[])).unwrap();
        invoice
            .lines
            .iter()
            .map(|line| line.amount)
            .collect::<Vec<_>>()
    };
    assert_eq!(amounts(JANUARY.clip(JANUARY.start, FIFTEENTH)), [452, 1400]);
    assert_eq!(amounts(JANUARY), [1000, 3100]);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let once = |zeros: &str| {
        let mut pro = plan("pro", 9900);
        pro.prices[0].model = PriceModel::Package {
            size: 1_000_000.into(),
            amount: format!("0.5{zeros}").parse().unwrap(),
        };
        let usage = [("pro", "llm_tokens_input", 1)];
        serde_json::to_string(&invoice::draft(&bill(vec![(pro, JANUARY)], &usage)).unwrap())
            .unwrap()
    };
    assert_eq!(once(""), once("000"));
    assert!(once("").contains(r#""unit_amount":"0.5""#));
}

proptest! {
    #[test]
    fn an_invoice_adds_up(
        lines in prop::collection::vec(0_i64..100_000_000, 0..12), coupon in 0_i64..1_000_000_000, rate in 0_i64..3000,
    ) {
        let percent = BigDecimal::new(rate.into(), 2);
        let sums = Totals::of(&lines, coupon, &percent, Currency::USD).unwrap();
        prop_assert_eq!(sums.subtotal, lines.iter().sum::<i64>());
        prop_assert_eq!(sums.total, sums.subtotal - sums.discount_total + sums.tax_total);
        prop_assert!(sums.discount_total <= sums.subtotal);
        let parts = totals::allocate(sums.discount_total, &lines);
        prop_assert_eq!(parts.iter().sum::<i64>(), if lines.is_empty() { 0 } else { sums.discount_total });
        prop_assert!(parts.iter().zip(&lines).all(|(part, line)| part <= line));
    }

    #[test]
    fn sums_are_those_of_wide_integers(
        lines in prop::collection::vec(prop_oneof![-1000_i64..1000, any::<i64>()], 0..5), coupon in any::<i64>(), rate in 0_i64..3000,
    ) {
        let mut subtotal = 0_i128;
        let fits = lines.iter().all(|line| {
            subtotal += i128::from(*line);
            i64::try_from(subtotal).is_ok()
        });
        let percent = BigDecimal::new(rate.into(), 2);
        match Totals::of(&lines, coupon, &percent, Currency::USD) {
            Err(_) => prop_assert!(!fits || lines.iter().any(|line| line.unsigned_abs() > 1 << 58)),
            Ok(sums) => {
                let discount = i128::from(coupon).clamp(0, subtotal.max(0));
                prop_assert_eq!((i128::from(sums.subtotal), i128::from(sums.discount_total)), (subtotal, discount));
                prop_assert_eq!(i128::from(sums.total), subtotal - discount + i128::from(sums.tax_total));
                // Each line's tax is rounded once: half a cent and a coupon's cent at most.
                let exact = (subtotal - discount) * i128::from(rate);
                let off = (i128::from(sums.tax_total) * 10_000 - exact).abs();
                prop_assert!(off <= 5_000 * i128::try_from(lines.len()).unwrap(), "{:?}", sums);
            }
        }
    }

    #[test]
    fn a_bill_cut_into_stretches_adds_up_and_is_the_same_every_time(
        cuts in prop::collection::btree_set(1_i64..2_678_400, 0..6), bases in prop::collection::vec(0_i64..1_000_000, 3),
        tokens in 0_i64..100_000_000, calls in 0_i64..100_000,
    ) {
        let at = |second: i64| JANUARY.start + time::Duration::seconds(second);
        let ends: Vec<i64> = cuts.iter().copied().chain([2_678_400]).collect();
        let froms = [0].into_iter().chain(cuts.iter().copied());
        let stretches: Vec<(Plan, Period)> = froms
            .zip(&ends)
            .enumerate()
            .map(|(n, (from, end))| (plan(["a", "b", "c"][n % 3], bases[n % 3]), JANUARY.clip(at(from), at(*end))))
            .collect();
        let usage = [("a", "llm_tokens_input", tokens), ("a", "tool_call", calls), ("b", "tool_call", calls)];
        let bill = bill(stretches.clone(), &usage);
        let invoice = invoice::draft(&bill).unwrap();
        let sum: i64 = invoice.lines.iter().map(|line| line.amount).sum();
        prop_assert_eq!((invoice.totals.subtotal, invoice.totals.total), (sum, sum));
        let base: i64 = invoice.lines.iter().filter(|line| line.metric.is_none()).map(|line| line.amount).sum();
        let exact: i128 = stretches.iter().map(|(plan, part)| i128::from(plan.price.amount) * i128::from(part.length())).sum();
        let off = (i128::from(base) * i128::from(JANUARY.length()) - exact).abs();
        prop_assert!(2 * off <= i128::from(JANUARY.length()) * i128::try_from(stretches.len()).unwrap());
        let bytes = |invoice| serde_json::to_string(invoice).unwrap();
        prop_assert_eq!(bytes(&invoice), bytes(&invoice::draft(&bill).unwrap()));
    }

    #[test]
    fn a_draft_adds_up(tokens in 0_i64..1_000_000_000, calls in 0_i64..1_000_000, base in 0_i64..1_000_000) {
        let usage = [("pro", "llm_tokens_input", tokens), ("pro", "tool_call", calls)];
        let invoice = invoice::draft(&bill(vec![(plan("pro", base), JANUARY)], &usage)).unwrap();
        let sum: i64 = invoice.lines.iter().map(|line| line.amount).sum();
        prop_assert_eq!(invoice.totals.subtotal, sum);
        prop_assert_eq!(invoice.totals.total, sum);
    }
}
