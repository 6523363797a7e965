//! What a request shows to prove who makes it.

use actix_web::http::{
    StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderName},
};
use identity::KeyText;
use secrecy::SecretString;

use super::unauthenticated;
use crate::Problem;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What the operators' key begins with.
const OPERATOR_PREFIX: &str = "plp_";
/// What an API key begins with.
const KEY_PREFIX: &str = "plk_";

/// A credential, by its kind. Not checked yet.
#[derive(Debug)]
pub enum Credential {
    /// A token of some issuer.
    Token(SecretString),
    /// An API key whose checksum is right.
    Key(KeyText),
    /// Something that looks like the operators' key.
    Operator(SecretString),
}

/// Reads `Authorization: Bearer` and `X-API-Key`. `None` when the request shows neither.
///
/// # Errors
/// 400 `identity.ambiguous_credentials` for two that differ; 401 for what cannot be a credential.
pub fn read(headers: &HeaderMap) -> Result<Option<Credential>, Problem> {
    let bearers = headers.get_all(AUTHORIZATION).map(|value| {
        let text = value.to_str().map_err(|_| unauthenticated())?;
        let (scheme, rest) = text.split_once(' ').ok_or_else(unauthenticated)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            Ok(rest.trim())
        } else {
            Err(unauthenticated())
        }
    });
    let keys = headers
        .get_all(API_KEY)
        .map(|value| value.to_str().map(str::trim).map_err(|_| unauthenticated()));
    let shown = bearers
        .chain(keys)
        .collect::<Result<Vec<&str>, Problem>>()?;
    let Some((first, rest)) = shown.split_first() else {
        return Ok(None);
    };
    if rest.iter().any(|other| other != first) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "identity.ambiguous_credentials",
            "The request shows two different credentials.",
        ));
    }
    let is_bearer = headers.contains_key(AUTHORIZATION);
    if first.starts_with(KEY_PREFIX) {
        return KeyText::parse(first)
            .map(|key| Some(Credential::Key(key)))
            .ok_or_else(unauthenticated);
    }
    match *first {
        text if text.is_empty() || !is_bearer => Err(unauthenticated()),
        text if text.starts_with(OPERATOR_PREFIX) => Ok(Some(Credential::Operator(text.into()))),
        text => Ok(Some(Credential::Token(text.into()))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::{ResponseError, test::TestRequest};
    use identity::KeyMode;
    use proptest::prelude::*;

    use super::*;

    fn reading(headers: &[(&'static str, &str)]) -> Result<Option<Credential>, u16> {
        let mut request = TestRequest::default();
        for (name, value) in headers {
            request = request.append_header((*name, (*value).to_owned()));
        }
        read(request.to_http_request().headers()).map_err(|problem| problem.status_code().as_u16())
    }

    #[test]
    fn each_kind_is_known_by_its_prefix() {
        let key = KeyText::generate(KeyMode::Live);
        let bearer = format!("bearer {}", key.reveal());
        assert!(matches!(
            reading(&[("authorization", &bearer)]),
            Ok(Some(Credential::Key(_)))
        ));
        assert!(matches!(
            reading(&[("x-api-key", key.reveal())]),
            Ok(Some(Credential::Key(_)))
        ));
        assert!(matches!(
            reading(&[("authorization", "Bearer a.b.c")]),
            Ok(Some(Credential::Token(_)))
        ));
        assert!(matches!(
            reading(&[("authorization", "Bearer plp_x")]),
            Ok(Some(Credential::Operator(_)))
        ));
        assert!(matches!(reading(&[]), Ok(None)));
    }

    #[test]
    fn two_that_differ_are_ambiguous_and_two_that_agree_are_one() {
        let (key, other) = (
            KeyText::generate(KeyMode::Live),
            KeyText::generate(KeyMode::Live),
        );
        let bearer = format!("Bearer {}", key.reveal());
        let both = |second: &str| reading(&[("authorization", &bearer), ("x-api-key", second)]);
        assert!(matches!(both(key.reveal()), Ok(Some(Credential::Key(_)))));
        assert_eq!(both(other.reveal()).unwrap_err(), 400);
        assert_eq!(
            reading(&[("authorization", &bearer), ("authorization", "Bearer x")]).unwrap_err(),
            400
        );
    }

    /// The kind that is read, or the status: said again by the words of the rules.
    fn expected(bearers: &[(&str, &str)], keys: &[&str], key: &str) -> Result<&'static str, u16> {
        if bearers.iter().any(|(scheme, _)| *scheme == "Basic") {
            return Err(401);
        }
        let shown = bearers.iter().map(|(_, shown)| shown).chain(keys);
        let different: BTreeSet<&str> = shown.copied().collect();
        match different.into_iter().collect::<Vec<_>>().as_slice() {
            [] => Ok("none"),
            [one] if *one == key => Ok("key"),
            ["plp_operator"] if !bearers.is_empty() => Ok("operator"),
            ["a.b.c"] if !bearers.is_empty() => Ok("token"),
            [_] => Err(401),
            _ => Err(400),
        }
    }

    proptest! {
        #[test]
        fn headers_in_any_number_are_one_credential_or_none(
            bearers in prop::collection::vec((0_usize..4, 0_usize..5, " {0,2}"), 0..3), keys in prop::collection::vec(0_usize..5, 0..3),
        ) {
            let key = KeyText::generate(KeyMode::Test);
            let shown = [key.reveal(), "plk_test_x", "plp_operator", "a.b.c", ""];
            let scheme = ["Bearer", "bearer", "BEARER", "Basic"];
            let values: Vec<String> = bearers
                .iter()
                .map(|(s, at, space)| format!("{} {space}{}{space}", scheme[*s], shown[*at]))
                .collect();
            let headers: Vec<(&'static str, &str)> = values
                .iter()
                .map(|value| ("authorization", value.as_str()))
                .chain(keys.iter().map(|at| ("x-api-key", shown[*at])))
                .collect();
            let kind = reading(&headers).map(|read| match read {
                None => "none",
                Some(Credential::Token(_)) => "token",
                Some(Credential::Key(_)) => "key",
                Some(Credential::Operator(_)) => "operator",
            });
            let bearers: Vec<(&str, &str)> = bearers.iter().map(|(s, at, _)| (scheme[*s], shown[*at])).collect();
            let keys: Vec<&str> = keys.iter().map(|at| shown[*at]).collect();
            prop_assert_eq!(kind, expected(&bearers, &keys, key.reveal()));
        }
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused_without_asking_anybody() {
        for value in [
            "Bearer",
            "Bearer ",
            "Basic YTpi",
            "plk_live_x",
            "Bearer plk_live_garbage",
        ] {
            assert_eq!(
                reading(&[("authorization", value)]).unwrap_err(),
                401,
                "{value}"
            );
        }
        for value in ["", "garbage", "a.b.c", "plp_operator"] {
            assert_eq!(
                reading(&[("x-api-key", value)]).unwrap_err(),
                401,
                "{value}"
            );
        }
    }
}
