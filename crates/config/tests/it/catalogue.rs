//! The defaults file and the struct have the same keys. The struct's are asked from serde: a derived `Deserialize` says which fields it
//! would take, whether or not they may be left out.

use std::{cell::RefCell, collections::BTreeSet};

use config::{Config, DEFAULTS};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor},
    forward_to_deserialize_any,
};
use serde_json::Value;

/// Hands out the defaults, and notes the fields that are asked for.
struct Probe<'a> {
    value: Value,
    path: String,
    seen: &'a RefCell<BTreeSet<String>>,
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = serde_json::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let prefix = if self.path.is_empty() {
            String::new()
        } else {
            format!("{}.", self.path)
        };
        self.seen.borrow_mut().remove(&self.path);
        self.seen
            .borrow_mut()
            .extend(fields.iter().map(|field| format!("{prefix}{field}")));
        let Value::Object(object) = self.value else {
            return Err(Error::custom(format!("{} is no section", self.path)));
        };
        visitor.visit_map(Fields {
            rest: object.into_iter(),
            value: None,
            prefix,
            seen: self.seen,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.value.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Fields<'a> {
    rest: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
    prefix: String,
    seen: &'a RefCell<BTreeSet<String>>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        self.value = self.rest.next();
        match &self.value {
            Some((name, _)) => seed.deserialize(name.clone().into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let (name, value) = self.value.take().unwrap();
        let path = format!("{}{name}", self.prefix);
        seed.deserialize(Probe {
            value,
            path,
            seen: self.seen,
        })
    }
}

fn leaves(prefix: &str, value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let dot = if prefix.is_empty() { "" } else { "." };
                leaves(&format!("{prefix}{dot}{name}"), value, keys);
            }
        }
        _ => {
            keys.insert(prefix.to_owned());
        }
    }
}

fn defaults() -> Value {
    use figment::providers::Format;
    figment::providers::Toml::from_str(DEFAULTS).unwrap()
}

#[test]
fn the_defaults_name_every_field_and_nothing_else() {
    let seen = RefCell::new(BTreeSet::new());
    Config::deserialize(Probe {
        value: defaults(),
        path: String::new(),
        seen: &seen,
    })
    .unwrap();
    let mut documented = BTreeSet::new();
    leaves("", &defaults(), &mut documented);
    assert_eq!(seen.into_inner(), documented);
}

#[test]
fn every_key_of_the_defaults_stands_below_a_comment() {
    let mut explained = false;
    for line in DEFAULTS.lines() {
        match line.trim() {
            "" => explained = false,
            text if text.starts_with('#') => explained = true,
            text if text.starts_with('[') => {}
            // Neighbours whose names say the rest share the comment above them.
            text => assert!(explained, "{text} has no comment above it"),
        }
    }
}
