use plinth_usage::{Metadata, Rejection, metadata::MAX_BYTES};
use proptest::prelude::*;
use serde_json::{Map, Value, json, value::RawValue};

use crate::matching;

fn read(text: &str) -> Result<Metadata, Rejection> {
    Metadata::parse(&RawValue::from_string(text.to_owned()).unwrap())
}

/// JSON without floats: how those are compared is serde_json's business.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        matching("[^\0]{0,6}").prop_map(Value::from),
        matching("[\"\\\\a-c\n\t]{0,6}").prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            objects_of(inner).prop_map(Value::from),
        ]
    })
}

fn objects_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((matching("[^\0]{0,4}"), inner), 0..5)
        .prop_map(|fields| fields.into_iter().collect())
}

/// The same value with the fields of its objects the other way round, and with room between everything.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(spaced).collect();
            format!("[ {} ]", items.join(" ,\n"))
        }
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| format!("{}\t: {}", json!(name), spaced(value));
            let fields: Vec<String> = fields.iter().rev().map(field).collect();
            format!("{{ {} }}", fields.join(" , "))
        }
        _ => value.to_string(),
    }
}

proptest! {
    #[test]
    fn metadata_means_what_was_sent_and_has_one_spelling(fields in objects_of(values())) {
        let value = Value::from(fields.clone());
        let metadata = read(&spaced(&value)).unwrap();
        prop_assert_eq!(&metadata, &read(&value.to_string()).unwrap());
        match metadata.as_json() {
            None => prop_assert!(fields.is_empty()),
            Some(text) => {
                prop_assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value);
                prop_assert_eq!(&read(text).unwrap(), &metadata);
            }
        }
        for (name, value) in &fields {
            let field = metadata.field(name).map(|text| serde_json::from_str::<Value>(&text).unwrap());
            prop_assert_eq!(field.unwrap_or_default(), value.clone());
        }
    }

    #[test]
    fn numbers_are_kept_to_the_digit(sign in matching("-?"), whole in matching("0|[1-9][0-9]{0,30}"), fraction in matching("(\\.[0-9]{1,30})?"), power in -400_i64..400) {
        let number = format!("{sign}{whole}{fraction}e{power}");
        let metadata = read(&format!("{{\"n\":{number}}}"));
        if power.abs() <= 308 {
            prop_assert_eq!(metadata.unwrap().field("n"), Some(number));
        } else {
            prop_assert_eq!(metadata.unwrap_err().code, "usage.invalid_field");
        }
    }

    #[test]
    fn what_postgresql_cannot_hold_is_refused_wherever_it_is(value in values(), depth in 0_usize..40, key in any::<bool>()) {
        let nested = |inner: &str| format!("{{\"a\":{}{inner}{}}}", "[".repeat(depth), "]".repeat(depth));
        let nul = if key { "{\"\\u0000\":1}" } else { "\"x\\u0000\"" };
        prop_assert_eq!(read(&nested(nul)).unwrap_err().code, "usage.invalid_field");
        prop_assert_eq!(read(&nested("1e-9999999999999999999")).unwrap_err().code, "usage.invalid_field");
        if value.is_number() {
            // The object is one level, and a number is a level of its own.
            prop_assert_eq!(read(&nested(&value.to_string())).is_ok(), depth < 32);
        }
    }

    #[test]
    fn size_is_that_of_the_canonical_text(
        length in MAX_BYTES - 40..MAX_BYTES + 40, letter in prop::sample::select(&['a', 'é', '"'][..]), spaces in 0_usize..100,
    ) {
        // Two bytes each, but for the first: a quotation mark is escaped.
        let letters = if letter == 'a' { length } else { length / 2 };
        let canonical = json!({ "a": letter.to_string().repeat(letters) }).to_string();
        let sent = canonical.replacen(':', &format!(":{}", " ".repeat(spaces)), 1);
        match read(&sent) {
            Ok(metadata) => {
                prop_assert_eq!(metadata.as_json(), Some(&*canonical));
                prop_assert!(canonical.len() <= MAX_BYTES);
            }
            Err(rejection) => {
                prop_assert_eq!(rejection.code, "usage.metadata_too_large");
                prop_assert!(canonical.len() > MAX_BYTES);
            }
        }
    }
}
