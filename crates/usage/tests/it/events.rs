use bigdecimal::BigDecimal;
use plinth_usage::{Form, Item, NewEvent};
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::matching;

/// Text with everything that separates, quotes or escapes.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        matching("[a-z0-9]{1,12}"),
        matching("[:/|,\"\\\\ ]{1,4}"),
        matching("[\\PC&&[^\u{7f}-\u{9f}]]{1,20}")
    ]
}

/// What a sender means.
#[derive(Debug, Clone)]
struct Meant {
    id: String,
    metric: String,
    source: Option<String>,
    /// In units of 10^-12.
    units: Option<i64>,
    occurred_at: Option<OffsetDateTime>,
    user_id: Option<String>,
    model: Option<String>,
    project_id: Option<u128>,
    metadata: Option<String>,
}

fn meant() -> impl Strategy<Value = Meant> {
    let time = (0_i64..4_102_444_800, 0_i64..1_000_000).prop_map(|(second, micro)| {
        OffsetDateTime::from_unix_timestamp(second).unwrap() + Duration::microseconds(micro)
    });
    let maybe = prop::option::of::<BoxedStrategy<String>>;
    (
        texts(),
        texts(),
        maybe(texts().boxed()),
        any::<Option<i64>>(),
        prop::option::of(time),
        maybe(texts().boxed()),
        maybe(texts().boxed()),
        any::<Option<u128>>(),
        maybe(texts().boxed()),
    )
        .prop_map(
            |(id, metric, source, units, occurred_at, user_id, model, project_id, metadata)| {
                Meant {
                    id,
                    metric,
                    source,
                    units,
                    occurred_at,
                    user_id,
                    model,
                    project_id,
                    metadata,
                }
            },
        )
}

/// How it is spelled: none of this may matter.
#[derive(Debug, Clone)]
struct Spelling {
    /// Quarters of an hour.
    offset: i32,
    number_as_text: bool,
    trailing_zeros: usize,
    nulls: bool,
    escaped: bool,
    order: Vec<usize>,
}

fn spellings() -> impl Strategy<Value = Spelling> {
    let order = Just((0..9).collect::<Vec<usize>>()).prop_shuffle();
    (
        -48_i32..=56,
        any::<bool>(),
        0_usize..6,
        any::<bool>(),
        any::<bool>(),
        order,
    )
        .prop_map(
            |(offset, number_as_text, trailing_zeros, nulls, escaped, order)| Spelling {
                offset,
                number_as_text,
                trailing_zeros,
                nulls,
                escaped,
                order,
            },
        )
}

impl Spelling {
    fn text(&self, text: &str) -> String {
        if !self.escaped {
            return json!(text).to_string();
        }
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", units.collect::<String>())
    }

    fn quantity(&self, units: i64) -> String {
        let digits = BigDecimal::new(units.into(), 12).to_plain_string();
        let digits = format!("{digits}{}", "0".repeat(self.trailing_zeros));
        if self.number_as_text {
            format!("\"{digits}\"")
        } else {
            digits
        }
    }

    fn time(&self, at: OffsetDateTime) -> String {
        let offset = UtcOffset::from_whole_seconds(self.offset * 900).unwrap();
        self.text(&at.to_offset(offset).format(&Rfc3339).unwrap())
    }

    /// An object with these fields, in the order of the spelling; those without a value are left out or null.
    fn object(&self, fields: &[(&str, Option<String>)]) -> String {
        let mut fields: Vec<(usize, &(&str, Option<String>))> =
            self.order.iter().copied().zip(fields).collect();
        fields.sort_by_key(|(place, _)| *place);
        let written = fields.into_iter().filter_map(|(_, (name, value))| {
            let value = value
                .clone()
                .or_else(|| self.nulls.then(|| "null".to_owned()))?;
            Some(format!("{}: {value}", self.text(name)))
        });
        format!("{{ {} }}", written.collect::<Vec<_>>().join(" , "))
    }
}

fn plain(meant: &Meant, spelling: &Spelling) -> String {
    let text = |value: &Option<String>| value.as_deref().map(|value| spelling.text(value));
    let metadata = |value: &String| spelling.object(&[("note", Some(spelling.text(value)))]);
    spelling.object(&[
        ("id", Some(spelling.text(&meant.id))),
        ("metric", Some(spelling.text(&meant.metric))),
        ("source", text(&meant.source)),
        (
            "quantity",
            meant.units.map(|units| spelling.quantity(units)),
        ),
        ("occurred_at", meant.occurred_at.map(|at| spelling.time(at))),
        ("user_id", text(&meant.user_id)),
        ("model", text(&meant.model)),
        (
            "project_id",
            meant
                .project_id
                .map(|id| spelling.text(&uuid::Uuid::from_u128(id).to_string())),
        ),
        ("metadata", meant.metadata.as_ref().map(metadata)),
    ])
}

fn cloud(meant: &Meant, spelling: &Spelling) -> String {
    let text = |value: &Option<String>| value.as_deref().map(|value| spelling.text(value));
    let mut data = vec![
        (
            "quantity",
            meant.units.map(|units| spelling.quantity(units)),
        ),
        ("user_id", text(&meant.user_id)),
        ("model", text(&meant.model)),
        (
            "project_id",
            meant
                .project_id
                .map(|id| spelling.text(&uuid::Uuid::from_u128(id).to_string())),
        ),
    ];
    if meant.metadata.is_some() {
        data.push(("note", text(&meant.metadata)));
    }
    spelling.object(&[
        ("specversion", Some(spelling.text("1.0"))),
        ("id", Some(spelling.text(&meant.id))),
        ("type", Some(spelling.text(&meant.metric))),
        (
            "source",
            Some(spelling.text(meant.source.as_deref().unwrap_or("plinth"))),
        ),
        ("time", meant.occurred_at.map(|at| spelling.time(at))),
        ("data", Some(spelling.object(&data))),
        ("traceparent", Some("\"x\"".to_owned())),
    ])
}

fn is_meant(event: &NewEvent, meant: &Meant) -> TestCaseResult {
    let units = BigDecimal::new(meant.units.unwrap_or(1_000_000_000_000).into(), 12);
    prop_assert_eq!(&event.id, &meant.id);
    prop_assert_eq!(&event.metric, &meant.metric);
    prop_assert_eq!(&event.source, meant.source.as_deref().unwrap_or("plinth"));
    prop_assert_eq!(event.quantity.as_decimal(), &units);
    prop_assert_eq!(event.occurred_at, meant.occurred_at);
    prop_assert_eq!(&event.user_id, &meant.user_id);
    prop_assert_eq!(&event.model, &meant.model);
    prop_assert_eq!(
        event.project_id.map(|id| id.as_uuid().as_u128()),
        meant.project_id
    );
    let metadata = event
        .metadata
        .as_json()
        .map(|text| serde_json::from_str::<Value>(text).unwrap());
    prop_assert_eq!(
        metadata,
        meant.metadata.as_ref().map(|note| json!({ "note": note }))
    );
    Ok(())
}

proptest! {
    #[test]
    fn an_event_is_what_its_sender_means_however_it_is_spelled(
        meant in meant(), one in spellings(), other in spellings(),
    ) {
        let first = Item::parse_plain(&plain(&meant, &one));
        prop_assert_eq!(first.id.as_ref(), Some(&meant.id));
        let first = first.event.unwrap();
        is_meant(&first, &meant)?;
        let second = Item::parse_plain(&plain(&meant, &other)).event.unwrap();
        let third = Item::parse_cloud_event(&cloud(&meant, &other)).event.unwrap();
        is_meant(&third, &meant)?;
        for again in [second, third] {
            prop_assert_eq!(again.dedup(), first.dedup());
            prop_assert_eq!(again.payload_hash(), first.payload_hash());
        }
    }

    #[test]
    fn two_events_are_one_when_source_and_id_are_the_same_and_not_else(
        meant in meant(), spelling in spellings(),
        (source, id) in (matching("[ab:|/]{1,3}"), matching("[ab:|/]{1,3}")), (other_source, other_id) in (matching("[ab:|/]{1,3}"), matching("[ab:|/]{1,3}")),
    ) {
        let dedup = |source: &str, id: &str| {
            let meant = Meant { source: Some(source.to_owned()), id: id.to_owned(), ..meant.clone() };
            Item::parse_plain(&plain(&meant, &spelling)).event.unwrap().dedup()
        };
        let same = source == other_source && id == other_id;
        prop_assert_eq!(dedup(&source, &id) == dedup(&other_source, &other_id), same);
        // Where one text ends and the next begins is part of it.
        let (short, long) = (format!("{source}{id}"), format!("{id}{other_id}"));
        prop_assert_ne!(dedup(&short, &other_id), dedup(&source, &long));
    }

    #[test]
    fn another_fact_under_one_id_is_told_from_a_replay(
        a in meant(), b in meant(), spelling in spellings(), field in 0_u8..8,
    ) {
        let mut meant = a.clone();
        match field {
            0 => meant.metric = b.metric,
            1 => meant.units = b.units,
            2 => meant.occurred_at = b.occurred_at,
            3 => meant.user_id = b.user_id,
            4 => meant.model = b.model,
            5 => meant.project_id = b.project_id,
            6 => meant.metadata = b.metadata,
            _ => {}
        }
        let b = meant;
        let event = |meant| Item::parse_plain(&plain(meant, &spelling)).event.unwrap();
        let (first, second) = (event(&a), event(&b));
        prop_assert_eq!(first.dedup(), second.dedup());
        prop_assert_eq!(first.payload_hash() == second.payload_hash(), first == second);
    }

    #[test]
    fn a_line_an_item_and_an_event_alone_are_read_alike(
        all in prop::collection::vec((meant(), spellings(), any::<bool>()), 0..6),
    ) {
        let texts: Vec<String> = all
            .iter()
            .map(|(meant, spelling, sound)| if *sound { plain(meant, spelling) } else { "7".to_owned() })
            .collect();
        let expected: Vec<Item> = texts.iter().map(|text| Item::parse_plain(text)).collect();
        prop_assert_eq!(Form::Lines.items(&texts.join("\n\r\n")), Ok(expected.clone()));
        let array = format!("[{}]", texts.join(","));
        prop_assert_eq!(Form::Json.items(&array), Ok(expected.clone()));
        let wrapped = format!("{{\"events\":{array}}}");
        prop_assert_eq!(Form::Json.items(&wrapped), Ok(expected));
    }

    #[test]
    fn whatever_is_wrong_has_a_code_and_a_field(
        meant in meant(), spelling in spellings(), control in prop::char::range('\u{1}', '\u{1f}'),
    ) {
        // A number would pass through serde_json's float here.
        let spelling = Spelling { number_as_text: true, ..spelling };
        let broken = |name: &str, value: Value| {
            let mut event: Value = serde_json::from_str(&plain(&meant, &spelling)).unwrap();
            event[name] = value;
            Item::parse_plain(&event.to_string()).event.unwrap_err()
        };
        let (long, controlled) = ("é".repeat(128), format!("a{control}"));
        for (name, value, code) in [
            ("id", json!(""), "usage.missing_id"), ("id", json!(long), "usage.id_too_long"),
            ("id", json!(controlled), "usage.invalid_id"), ("id", json!([1]), "usage.invalid_id"),
            ("metric", json!(null), "usage.unknown_metric"), ("metric", json!(long), "usage.invalid_field"),
            ("quantity", json!("1,5"), "usage.invalid_quantity"), ("quantity", json!(true), "usage.invalid_quantity"),
            ("quantity", json!("0.0000000000001"), "usage.quantity_too_precise"),
            ("occurred_at", json!("2026-02-30T00:00:00Z"), "usage.invalid_time"),
            ("project_id", json!("x"), "usage.unknown_project"), ("user_id", json!(controlled), "usage.invalid_field"),
            ("metadata", json!([]), "usage.invalid_field"), ("surprise", json!(1), "usage.invalid_field"),
        ] {
            let rejection = broken(name, value);
            prop_assert_eq!((rejection.code, &*rejection.field), (code, name));
        }
    }
}
