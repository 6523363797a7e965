//! Answers, and what two of them differ in.

use std::collections::BTreeMap;

use reqwest::Response;
use serde_json::Value;

/// Headers that say nothing of what was asked: of the moment, of the caller, and of the connection, which ends when a body was not read.
const OF_THE_MOMENT: [&str; 5] = [
    "date",
    "x-request-id",
    "ratelimit",
    "ratelimit-policy",
    "connection",
];

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, Vec<String>>,
    pub(super) text: String,
}

impl Answer {
    pub(super) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in response.headers() {
            let values = headers.entry(name.to_string()).or_default();
            values.push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
        let text = response.text().await.unwrap();
        Self {
            status,
            headers,
            text,
        }
    }

    /// The body; null when it is no JSON.
    pub(super) fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub(super) fn code(&self) -> String {
        self.body()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The answer with `echoed` taken out, for what was asked may be repeated.
    pub(super) fn without(&self, echoed: &str) -> Self {
        let blank = |text: &str| text.replace(echoed, "…");
        Self {
            status: self.status,
            headers: self
                .headers
                .iter()
                .map(|(name, values)| {
                    (
                        name.clone(),
                        values.iter().map(|value| blank(value)).collect(),
                    )
                })
                .collect(),
            text: blank(&self.text),
        }
    }

    /// What this answer and another differ in: refusals in anything, successes in status, headers and shape.
    pub(super) fn differs(&self, other: &Self) -> Option<String> {
        if self.status != other.status {
            return Some(format!(
                "{} {} / {} {}",
                self.status, self.text, other.status, other.text
            ));
        }
        let (own, others) = (self.lasting(), other.lasting());
        if own != others {
            return Some(format!("{own:?} / {others:?}"));
        }
        let (own, others) = (self.told(), other.told());
        (own != others).then(|| format!("{own} / {others}"))
    }

    /// The headers that should not differ. What a success made has a length and a version of its own: there the names alone count.
    fn lasting(&self) -> BTreeMap<&str, Option<&Vec<String>>> {
        let own = |name: &str| self.status < 400 && ["content-length", "etag"].contains(&name);
        let headers = self.headers.iter();
        headers
            .map(|(name, values)| (name.as_str(), Some(values).filter(|_| !own(name))))
            .filter(|(name, _)| !OF_THE_MOMENT.contains(name))
            .collect()
    }

    /// The body as far as it should not differ.
    fn told(&self) -> Value {
        let mut body = self.body();
        if self.status < 400 {
            return shape(&body);
        }
        if let Some(id) = body.get_mut("request_id") {
            *id = Value::Null;
        }
        body
    }

    /// Which of `secrets` stands anywhere in the answer.
    pub(super) fn shows<'a>(&self, secrets: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
        let headers = self.headers.values().flatten();
        let texts: Vec<&String> = headers.chain([&self.text]).collect();
        let shown = |secret: &&String| texts.iter().any(|text| text.contains(secret.as_str()));
        secrets
            .into_iter()
            .filter(shown)
            .map(String::as_str)
            .collect()
    }
}

/// Names and types, without values: a list is as its first row.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(rows) => rows.iter().take(1).map(shape).collect(),
        Value::Null => "null".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = BTreeMap::from([
            ("date".to_owned(), vec![status.to_string()]),
            (
                "content-length".to_owned(),
                vec![body.to_string().len().to_string()],
            ),
        ]);
        for (name, value) in headers {
            all.insert((*name).to_owned(), vec![(*value).to_owned()]);
        }
        Answer {
            status,
            headers: all,
            text: body.to_string(),
        }
    }

    #[test]
    fn two_refusals_differ_in_status_header_and_every_word() {
        let told = |detail: &str| json!({ "code": "x.not_found", "request_id": detail.len(), "detail": detail });
        let one = answer(404, &[], &told("none"));
        assert_eq!(
            one.differs(&answer(404, &[("date", "other")], &told("none"))),
            None
        );
        assert!(one.differs(&answer(403, &[], &told("none"))).is_some());
        assert!(one.differs(&answer(404, &[], &told("nine"))).is_some());
        assert!(
            one.differs(&answer(404, &[("etag", "\"7\"")], &told("none")))
                .is_some()
        );
        assert!(
            one.differs(&answer(404, &[], &told("none of them")))
                .is_some()
        );
    }

    #[test]
    fn two_successes_differ_in_shape() {
        let one = answer(200, &[], &json!({ "data": [{ "id": "a" }], "next": null }));
        let differs = |body: Value| one.differs(&answer(200, &[], &body)).is_some();
        assert!(!differs(
            json!({ "data": [{ "id": "bcd" }, { "id": "e" }], "next": null })
        ));
        assert!(differs(json!({ "data": [], "next": null })));
        assert!(differs(
            json!({ "data": [{ "id": "a", "of": "b" }], "next": null })
        ));
        assert!(differs(json!({ "data": [{ "id": 7 }], "next": null })));
        assert!(differs(json!({ "data": [{ "id": "a" }], "next": "b" })));
    }

    #[test]
    fn what_was_asked_may_be_repeated_and_nothing_else_may_be_shown() {
        let one = answer(
            404,
            &[("location", "/v1/things/0a-7")],
            &json!({ "id": "0a-7", "of": "0b-8" }),
        );
        let secrets = ["0a-7".to_owned(), "0b-8".to_owned()];
        assert_eq!(one.shows(&secrets), ["0a-7", "0b-8"]);
        assert_eq!(one.without("0a-7").shows(&secrets), ["0b-8"]);
        let header = answer(200, &[("location", "/v1/things/0a-7")], &json!({}));
        assert_eq!(header.shows(&secrets), ["0a-7"]);
    }
}
