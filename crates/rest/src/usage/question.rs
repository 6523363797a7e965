//! The query string of `GET /v1/usage`, whose `metric` and `filter[…]` may be there more than once.

use std::future::{Ready, ready};

use ::usage::{Filter, Granularity, GroupBy, UsageRequest};
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use kernel::{FieldError, PageRequest, Zone};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{Problem, body::in_utc};

/// A question, and the page of its answer that is wanted.
pub(super) struct Question {
    pub(super) request: UsageRequest,
    pub(super) page: PageRequest,
}

impl FromRequest for Question {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::parse(request.query_string()).map_err(Problem::from))
    }
}

impl Question {
    fn parse(query: &str) -> Result<Self, FieldError> {
        let mut request = UsageRequest {
            metrics: Vec::new(),
            from: None,
            to: None,
            granularity: Granularity::Day,
            group_by: GroupBy::default(),
            filter: Filter::default(),
            timezone: None,
        };
        let (mut limit, mut cursor, mut dimensions) = (None, None, Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "metric" => request.metrics.extend(words(&value)),
                "from" => request.from = Some(instant("from", &value)?),
                "to" => request.to = Some(instant("to", &value)?),
                "granularity" => request.granularity = Granularity::parse(&value)?,
                "group_by" => dimensions.extend(words(&value)),
                "timezone" => request.timezone = Some(Zone::parse("timezone", &value)?),
                "limit" => limit = Some(number(&value)?),
                "cursor" => cursor = Some(value.into_owned()),
                name => match narrowed(name) {
                    Some(dimension) => request.filter.add(dimension, &value)?,
                    None => {
                        let name = name.to_owned();
                        return Err(FieldError::new(name, "unknown_field", "is not a parameter"));
                    }
                },
            }
        }
        request.group_by = GroupBy::parse(dimensions.iter().map(String::as_str))?;
        request.metrics.sort();
        request.metrics.dedup();
        Ok(Self {
            request,
            page: PageRequest::parse(limit, cursor.as_deref())?,
        })
    }
}

/// The dimension that `filter[…]` narrows down.
fn narrowed(name: &str) -> Option<&str> {
    name.strip_prefix("filter[")?.strip_suffix(']')
}

pub(super) fn words(value: &str) -> impl Iterator<Item = String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(ToOwned::to_owned)
}

pub(super) fn number(value: &str) -> Result<u32, FieldError> {
    value
        .parse()
        .map_err(|_| FieldError::new("limit", "wrong_type", "must be a number"))
}

/// A `+` in a query string is a space unless the client escapes it, and few do.
pub(super) fn instant(field: &'static str, value: &str) -> Result<OffsetDateTime, FieldError> {
    OffsetDateTime::parse(&value.replace(' ', "+"), &Rfc3339)
        .ok()
        .and_then(in_utc)
        .ok_or_else(|| {
            FieldError::new(
                field,
                "invalid_time",
                "must be an RFC 3339 time with its offset",
            )
        })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn metrics_come_one_by_one_or_in_a_list() {
        let question = Question::parse("metric=b&metric=a,c&group_by=user,model&limit=7").unwrap();
        assert_eq!(question.request.metrics, ["a", "b", "c"]);
        assert!(question.request.group_by.user && question.request.group_by.model);
        assert_eq!(question.page.limit, 7);
    }

    #[test]
    fn a_filter_holds_alternatives_of_dimensions() {
        let query = "filter[region]=eu&filter%5Bregion%5D=a,b&filter[user]=&group_by=region,tier";
        let request = Question::parse(query).unwrap().request;
        assert!(request.filter.dimensions["region"].iter().eq(["a,b", "eu"]));
        assert!(request.filter.users.contains(""));
        assert!(request.group_by.dimensions.iter().eq(["region", "tier"]));
    }

    #[test]
    fn an_unescaped_offset_is_understood() {
        let question = Question::parse("from=2026-11-01T00:00:00+05:45").unwrap();
        assert_eq!(question.request.from, Some(datetime!(2026-10-31 18:15 UTC)));
    }

    #[test]
    fn a_bad_parameter_is_named() {
        for (query, field) in [
            ("from=yesterday", "from"),
            ("to=2026-11-01", "to"),
            ("to=9999-12-31T23:59:59-12:00", "to"),
            ("granularity=week", "granularity"),
            ("group_by=the%20colour", "group_by"),
            ("group_by=a,b,c,d,e", "group_by"),
            ("filter[project]=x", "filter[project]"),
            ("filter[the%20colour]=red", "filter[the colour]"),
            ("filter=red", "filter"),
            ("timezone=Mars/Olympus", "timezone"),
            ("limit=x", "limit"),
            ("limit=0", "limit"),
            ("cursor=zz", "cursor"),
            ("granularty=day", "granularty"),
        ] {
            assert_eq!(Question::parse(query).err().unwrap().field, field);
        }
    }
}
