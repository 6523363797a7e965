use plinth_tenancy::{Slug, slug::RESERVED};
use proptest::prelude::*;

use crate::matching;

/// The grammar, letter by letter. `least` is the fewest letters.
fn is_slug(text: &str, least: usize) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let plain = |letter: &char| matches!(letter, 'a'..='z' | '0'..='9');
    let dashes_join = letters.iter().enumerate().all(|(at, letter)| {
        plain(letter)
            || *letter == '-'
                && at > 0
                && plain(&letters[at - 1])
                && letters.get(at + 1).is_some_and(plain)
    });
    let hexadecimal = |letter: &char| letter.is_ascii_hexdigit();
    let like_an_id = match letters.len() {
        32 => letters.iter().all(hexadecimal),
        36 => letters.iter().enumerate().all(|(at, letter)| {
            if [8, 13, 18, 23].contains(&at) {
                *letter == '-'
            } else {
                hexadecimal(letter)
            }
        }),
        _ => false,
    };
    (least..=40).contains(&letters.len()) && dashes_join && !like_an_id && !RESERVED.contains(&text)
}

/// Text near the grammar: mostly slugs, and what breaks one rule.
fn near_slugs() -> impl Strategy<Value = String> {
    prop_oneof![
        matching("[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,5}"),
        matching("[a-z0-9-]{0,45}"),
        matching("[a-zA-Z0-9_. -]{0,12}"),
        matching("[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        prop::sample::select(&RESERVED[..]).prop_map(str::to_owned),
        matching("\\PC{0,45}"),
    ]
}

proptest! {
    #[test]
    fn exactly_the_slugs_of_the_grammar_are_taken(text in near_slugs()) {
        for (read, least) in [(Slug::parse(&text), 3), (Slug::parse_project(&text), 2)] {
            prop_assert_eq!(read.is_ok(), is_slug(&text, least), "{}", text);
            if let Ok(slug) = read {
                prop_assert_eq!(slug.as_str(), &text);
            }
        }
    }

    #[test]
    fn every_text_has_a_suggestion(text in prop_oneof![near_slugs(), matching("[\\PC\\s]{0,60}"), matching("[ÄÖÜßﬀİıſK１]{0,20}")]) {
        let (plain, another) = (Slug::suggest(&text, None), Slug::suggest_another(&text));
        for slug in [&plain, &another] {
            prop_assert!(is_slug(slug.as_str(), 3), "{:?} gave {}", text, slug);
        }
        prop_assert_eq!(Slug::suggest(&text, None), plain);
    }

    #[test]
    fn a_short_slug_is_its_own_suggestion(text in matching("[a-z0-9]{3,8}(-[a-z0-9]{1,8}){0,2}")) {
        prop_assume!(!RESERVED.contains(&&*text));
        let shouted = text.to_uppercase().replace('-', " & ");
        prop_assert_eq!(Slug::suggest(&shouted, None), Slug::parse(&text).unwrap());
    }

    #[test]
    fn what_is_reserved_is_never_suggested(word in prop::sample::select(&RESERVED[..]), space in matching("[ ._-]{0,2}")) {
        let slug = Slug::suggest(&format!("{space}{}{space}", word.to_uppercase()), None);
        prop_assert!(!RESERVED.contains(&slug.as_str()));
        prop_assert!(slug.as_str().starts_with(word));
    }
}
