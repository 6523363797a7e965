use std::collections::BTreeSet;

use plinth_kernel::{Permission, PermissionSet};
use proptest::prelude::*;

use crate::matching;

/// The last of each is in no code that is generated: it stands for all that only a wildcard reaches.
const RESOURCES: [&str; 4] = ["tenant", "project", "api_key", "unnamed"];
const ACTIONS: [&str; 6] = ["read", "write", "create", "delete", "invite", "unnamed"];

/// Everything that can be allowed.
fn universe() -> impl Iterator<Item = (&'static str, &'static str)> {
    RESOURCES
        .into_iter()
        .flat_map(|resource| ACTIONS.into_iter().map(move |action| (resource, action)))
}

/// What a code allows, one by one.
fn meaning(code: &Permission) -> BTreeSet<(&'static str, &'static str)> {
    let (resource, action) = code.as_str().split_once('.').unwrap_or(("*", "*"));
    let allowed = |(r, a): &(&str, &str)| {
        let writes = resource == "*" && action == "write" && ["create", "delete"].contains(a);
        (resource == "*" || resource == *r) && (action == "*" || action == *a || writes)
    };
    universe().filter(allowed).collect()
}

fn meaning_of_all(set: &PermissionSet) -> BTreeSet<(&'static str, &'static str)> {
    set.iter().flat_map(meaning).collect()
}

/// One of the universe as a code.
fn exactly((resource, action): (&str, &str)) -> Permission {
    Permission::parse(&format!("{resource}.{action}")).unwrap()
}

fn codes() -> impl Strategy<Value = Permission> {
    let resource = prop::sample::select(&["*", "tenant", "project", "api_key"][..]);
    let action = prop::sample::select(&["*", "read", "write", "create", "delete", "invite"][..]);
    (resource, action).prop_map(exactly)
}

fn sets() -> impl Strategy<Value = PermissionSet> {
    prop::collection::vec(codes(), 0..5).prop_map(|codes| codes.into_iter().collect())
}

proptest! {
    #[test]
    fn a_code_covers_another_when_it_allows_all_that_the_other_does(a in codes(), b in codes(), c in codes()) {
        prop_assert_eq!(a.covers(&b), meaning(&b).is_subset(&meaning(&a)), "{} and {}", a, b);
        prop_assert!(a.covers(&a));
        prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c));
        prop_assert!(!(a.covers(&b) && b.covers(&a)) || a == b);
        prop_assert_eq!(a.is_read(), meaning(&a).iter().all(|(_, action)| *action == "read"));
    }

    #[test]
    fn a_set_allows_what_one_of_its_codes_does(set in sets(), more in codes()) {
        let larger: PermissionSet = set.iter().cloned().chain([more]).collect();
        for one in universe() {
            let (allowed, code) = (set.allows(&exactly(one)), exactly(one));
            prop_assert_eq!(allowed, meaning_of_all(&set).contains(&one));
            prop_assert!(!allowed || larger.allows(&code));
        }
        prop_assert_eq!(larger.first_missing(&set), None);
        prop_assert_eq!(set.is_empty(), meaning_of_all(&set).is_empty());
    }

    #[test]
    fn a_key_has_what_its_scopes_and_its_creator_share_and_no_more(scopes in sets(), creator in sets()) {
        let both = scopes.intersection(&creator);
        let expected: BTreeSet<_> =
            meaning_of_all(&scopes).intersection(&meaning_of_all(&creator)).copied().collect();
        prop_assert_eq!(meaning_of_all(&both), expected);
        // No wildcard of it is wider than one that each side holds.
        prop_assert_eq!(scopes.first_missing(&both), None);
        prop_assert_eq!(creator.first_missing(&both), None);
        prop_assert_eq!(creator.intersection(&scopes), both);
        prop_assert_eq!(meaning_of_all(&scopes.intersection(&scopes)), meaning_of_all(&scopes));
    }

    #[test]
    fn what_is_missing_is_not_allowed(held in sets(), wanted in sets()) {
        match held.first_missing(&wanted) {
            Some(code) => prop_assert!(!held.allows(code) && wanted.iter().any(|it| it == code)),
            None => prop_assert!(meaning_of_all(&wanted).is_subset(&meaning_of_all(&held))),
        }
    }

    #[test]
    fn a_code_has_one_spelling(code in codes(), colon in any::<bool>(), upper in any::<bool>(), space in matching(" {0,2}")) {
        let mut text = code.as_str().to_owned();
        if text.starts_with("tenant.") && colon {
            text = text.replacen("tenant", "org", 1);
        }
        if colon {
            text = text.replace('.', ":");
        }
        if upper {
            text = text.to_ascii_uppercase();
        }
        prop_assert_eq!(Permission::parse(&format!("{space}{text}{space}")), Some(code));
    }

    #[test]
    fn only_two_words_are_a_code(text in matching("[a-z_.:* ]{0,12}|\\PC{0,60}")) {
        let word = |word: &str| word == "*" || !word.is_empty() && word.chars().all(|c| c == '_' || c.is_ascii_lowercase());
        if let Some(code) = Permission::parse(&text) {
            prop_assert_eq!(Permission::parse(code.as_str()), Some(code.clone()));
            let words: Vec<&str> = code.as_str().split('.').collect();
            prop_assert!(words == ["*"] || words.len() == 2 && words.iter().all(|it| word(it)));
            prop_assert!(words != ["*", "*"] && words[0] != "org");
        }
    }
}
