use bigdecimal::BigDecimal;
use plinth_kernel::{Currency, Money, money::split};
use proptest::prelude::*;

/// `numerator / denominator`, rounded half away from zero, by the quotient and what it leaves.
fn nearest(numerator: i128, denominator: i128) -> i128 {
    let (quotient, rest) = (numerator / denominator, (numerator % denominator).abs());
    if 2 * rest >= denominator {
        quotient + numerator.signum()
    } else {
        quotient
    }
}

/// Gives units out by hand: everybody the whole units that are due, then one each by the size of what is still due.
fn counted_out(total: i64, weights: &[u64]) -> Vec<i64> {
    let all: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    let due = |weight: u64| i128::from(total.unsigned_abs()) * i128::from(weight);
    let mut parts: Vec<i128> = weights.iter().map(|weight| due(*weight) / all).collect();
    let mut waiting: Vec<usize> = (0..weights.len()).collect();
    while parts.iter().sum::<i128>() < i128::from(total.unsigned_abs()) {
        let still_due = |at: &usize| due(weights[*at]) % all;
        let most = waiting.iter().map(still_due).max().unwrap();
        let next = waiting.iter().position(|at| still_due(at) == most).unwrap();
        parts[waiting.remove(next)] += 1;
    }
    let signed = |part: i128| i64::try_from(if total < 0 { -part } else { part }).unwrap();
    parts.into_iter().map(signed).collect()
}

fn currencies() -> impl Strategy<Value = Currency> {
    prop::sample::select(&["USD", "JPY", "KWD", "CLF"][..])
        .prop_map(|code| Currency::parse(code).unwrap())
}

/// Amounts where rounding and overflow are: small ones, and those at the ends.
fn amounts() -> impl Strategy<Value = i64> {
    prop_oneof![
        -1000_i64..1000,
        any::<i64>(),
        Just(i64::MIN),
        Just(i64::MAX)
    ]
}

fn weights() -> impl Strategy<Value = Vec<u64>> {
    let weight = prop_oneof![0_u64..10, 0_u64..1_000_000, any::<u64>()];
    prop::collection::vec(weight, 1..20)
}

proptest! {
    #[test]
    fn an_exact_amount_rounds_half_away_from_zero(
        units in prop_oneof![(-9999_i64..9999).prop_map(|tens| 10 * tens + 5), -100_000_i64..100_000, any::<i64>()], scale in 0_u32..7, currency in currencies(),
    ) {
        let major = BigDecimal::new(units.into(), scale.into());
        let exponent = currency.exponent();
        let expected = if scale <= exponent {
            i128::from(units) * 10_i128.pow(exponent - scale)
        } else {
            nearest(units.into(), 10_i128.pow(scale - exponent))
        };
        let rounded = Money::from_decimal(&major, currency).map(|money| i128::from(money.amount));
        prop_assert_eq!(rounded.ok(), i64::try_from(expected).ok().map(i128::from));
    }

    #[test]
    fn an_amount_survives_as_a_decimal(amount in amounts(), currency in currencies()) {
        let money = Money::new(amount, currency);
        prop_assert_eq!(Money::from_decimal(&money.to_decimal(), currency), Ok(money));
        let json = serde_json::to_string(&money).unwrap();
        prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
    }

    #[test]
    fn a_share_is_the_nearest_amount_and_stops_at_the_ends(
        amount in amounts(), part in amounts(), whole in prop_oneof![1_i64..1000, 1..=i64::MAX],
    ) {
        let exact = nearest(i128::from(amount) * i128::from(part), whole.into());
        let expected = exact.clamp(i64::MIN.into(), i64::MAX.into());
        let share = Money::new(amount, Currency::USD).share(part, whole).amount;
        prop_assert_eq!(i128::from(share), expected);
    }

    #[test]
    fn two_shares_of_a_whole_make_the_whole_but_for_one_unit(
        amount in any::<i64>(), (part, whole) in (1..=i64::MAX).prop_flat_map(|whole| (0..=whole, Just(whole))),
    ) {
        let share = |part| i128::from(Money::new(amount, Currency::USD).share(part, whole).amount);
        prop_assert!((share(part) + share(whole - part) - i128::from(amount)).abs() <= 1);
    }

    #[test]
    fn a_split_is_what_counting_out_by_hand_gives(total in amounts(), weights in weights()) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let parts = split(total, &weights);
        prop_assert_eq!(&parts, &counted_out(total, &weights));
        prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), total.into());
    }

    #[test]
    fn who_stands_first_gets_no_more_than_a_tie(
        total in amounts(), (before, after) in weights().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        prop_assume!(before.iter().any(|weight| *weight > 0));
        let sorted = |weights: &[u64]| {
            let mut pairs: Vec<(u64, i64)> = weights.iter().copied().zip(split(total, weights)).collect();
            pairs.sort_unstable();
            pairs
        };
        // A tie between different weights is one of remainders: the unit may go to either.
        let (before, after) = (sorted(&before), sorted(&after));
        let off = before.iter().zip(&after).all(|(a, b)| a.0 == b.0 && a.1.abs_diff(b.1) <= 1);
        prop_assert!(off, "{:?} and {:?}", before, after);
    }
}
