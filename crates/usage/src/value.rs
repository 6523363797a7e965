//! Where an event holds its meter's value: in `quantity`, or in a field that the meter names.

use std::borrow::Cow;

use bigdecimal::BigDecimal;
use kernel::Quantity;
use uuid::Uuid;

use crate::{Aggregation, Meter, NewEvent, Rejection, key::digest, reading::parse_quantity};

/// Steps that the path to a value may have.
pub const MAX_STEPS: usize = 8;

/// The steps of a value field: `tokens` is one, `$.usage.total_tokens` are two.
pub(crate) fn steps(field: &str) -> impl Iterator<Item = &str> + Clone {
    // A name holds no point, so splitting one changes nothing.
    field.strip_prefix("$.").unwrap_or(field).split('.')
}

/// How much the event counts for.
///
/// # Errors
/// `usage.missing_value`, `usage.invalid_quantity`, `usage.quantity_too_precise`, on `metadata.<path>`.
pub(crate) fn quantity_of(meter: &Meter, event: &NewEvent) -> Result<Quantity, Rejection> {
    let field = match meter.value_field.as_deref() {
        Some(field) if meter.aggregation != Aggregation::Unique => field,
        _ => return Ok(event.quantity.clone()),
    };
    let json = event.metadata.at(steps(field));
    let json = json.ok_or_else(|| missing(field))?;
    parse_quantity(Cow::Borrowed(""), json).map_err(|error| Rejection {
        field: named(field),
        ..error
    })
}

/// What stands for the value that a `unique` meter counts: 128 bits of SHA-256 over it as text, its length in front. `None` for other meters.
///
/// # Errors
/// `usage.missing_value`, `usage.invalid_value`, on `metadata.<path>`.
pub fn value_hash(meter: &Meter, event: &NewEvent) -> Result<Option<Uuid>, Rejection> {
    let field = match meter.value_field.as_deref() {
        Some(field) if meter.aggregation == Aggregation::Unique => field,
        _ => return Ok(None),
    };
    let own = match field {
        "user_id" => event.user_id.as_deref().map(Cow::Borrowed),
        "model" => event.model.as_deref().map(Cow::Borrowed),
        "project_id" => event.project_id.map(|id| Cow::Owned(id.to_string())),
        _ => None,
    };
    if let Some(own) = own {
        return Ok(Some(digest([&*own])));
    }
    let json = event.metadata.at(steps(field));
    let json = json.ok_or_else(|| missing(field))?;
    let text = as_text(json).ok_or_else(|| {
        Rejection::new(
            "usage.invalid_value",
            named(field),
            "must be text, a number or a boolean",
        )
    })?;
    Ok(Some(digest([&*text])))
}

/// The text of a JSON text, number or boolean: without quotes, and numbers without exponent, as PostgreSQL's `->>` writes them.
pub(crate) fn as_text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' if json.contains('\\') => serde_json::from_str(json).ok().map(Cow::Owned),
        b'"' => Some(json.strip_prefix('"')?.strip_suffix('"')?.into()),
        b'-' | b'0'..=b'9' if json.contains(['e', 'E']) || json.starts_with("-0") => {
            let number: BigDecimal = json.parse().ok()?;
            Some(number.to_plain_string().into())
        }
        b'-' | b'0'..=b'9' | b't' | b'f' => Some(json.into()),
        _ => None,
    }
}

fn missing(field: &str) -> Rejection {
    Rejection::new(
        "usage.missing_value",
        named(field),
        "must hold the meter's value",
    )
}

fn named(field: &str) -> Cow<'static, str> {
    format!("metadata.{}", field.strip_prefix("$.").unwrap_or(field)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Item, meter::tests::meter};

    fn counted(
        aggregation: &str,
        field: &str,
        rest: &str,
    ) -> Result<(String, Option<Uuid>), (String, &'static str)> {
        let mut meter = meter("m", aggregation);
        meter.value_field = Some(field.to_owned());
        let text = format!(r#"{{"id":"e","metric":"m","quantity":7,{rest}}}"#);
        let event = Item::parse_plain(&text).event.unwrap();
        let quantity = quantity_of(&meter, &event);
        let told = |error: Rejection| (error.field.into_owned(), error.code);
        let hash = value_hash(&meter, &event).map_err(told)?;
        Ok((quantity.map_err(told)?.to_string(), hash))
    }

    #[test]
    fn a_quantity_is_read_digit_by_digit_from_the_end_of_its_path() {
        let rest = r#""metadata":{"usage":{"total":{"tokens":12345678901234567890.123456789012}},"cost":"0.10"}"#;
        let (quantity, hash) = counted("sum", "$.usage.total.tokens", rest).unwrap();
        assert_eq!(quantity, "12345678901234567890.123456789012");
        assert_eq!(hash, None);
        assert_eq!(counted("max", "cost", rest).unwrap().0, "0.1");
        assert_eq!(counted("max", "$.cost", rest).unwrap().0, "0.1");
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        let rest = r#""metadata":{"usage":{"total":null,"list":[1]},"text":"much"}"#;
        for (field, code) in [
            ("$.usage.total", "usage.missing_value"),
            ("$.usage.total.tokens", "usage.missing_value"),
            ("$.usage.list.tokens", "usage.missing_value"),
            ("$.text.tokens", "usage.missing_value"),
            ("$.usage.list", "usage.invalid_quantity"),
            ("$.text", "usage.invalid_quantity"),
            ("other", "usage.missing_value"),
        ] {
            let named = format!("metadata.{}", field.trim_start_matches("$."));
            assert_eq!(counted("sum", field, rest), Err((named, code)));
        }
        assert_eq!(
            counted("unique", "usage", rest),
            Err(("metadata.usage".to_owned(), "usage.invalid_value"))
        );
    }

    #[test]
    fn different_values_are_different_texts() {
        let hash = |field: &str, rest: &str| counted("unique", field, rest).unwrap().1.unwrap();
        let of = |json: &str| hash("who", &format!(r#""metadata":{{"who":{json}}}"#));
        assert_eq!(of("1"), of("\"1\""));
        assert_eq!(of("1e3"), of("1000"));
        assert_eq!(of("-0"), of("0"));
        assert_eq!(of("true"), of(r#""tr\u0075e""#));
        assert_ne!(of("1"), of("1.0"));
        assert_ne!(of("\"a\""), of("\"b\""));
        // A field of the event goes before one of the same name in its metadata, but not before a path into them.
        let rest = r#""user_id":"u","metadata":{"user_id":"v"}"#;
        assert_eq!(hash("user_id", rest), of("\"u\""));
        assert_eq!(hash("$.user_id", rest), of("\"v\""));
        // What the migration of older events computes in SQL.
        let expected = "1dc4f6a0-66eb-53d3-dd7e-a6ea0e3d0e29";
        assert_eq!(of("\"u\"").to_string(), expected);
    }
}
