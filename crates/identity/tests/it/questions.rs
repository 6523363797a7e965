use kernel::{Permission, PermissionSet};
use plinth_identity::PermissionQuery;
use proptest::prelude::*;

use crate::matching;

/// Codes that a question asks for and that somebody holds.
const CODES: [&str; 5] = ["a.read", "b.write", "c.create", "c.*", "*"];

/// A question as somebody means it.
#[derive(Debug, Clone)]
enum Meant {
    Code(usize),
    And(Vec<Meant>),
    Or(Vec<Meant>),
}

fn meant() -> impl Strategy<Value = Meant> {
    let leaf = (0..CODES.len()).prop_map(Meant::Code);
    leaf.prop_recursive(4, 20, 4, |inner| {
        let parts = prop::collection::vec(inner, 2..4);
        prop_oneof![
            parts.clone().prop_map(Meant::And),
            parts.prop_map(Meant::Or)
        ]
    })
}

impl Meant {
    fn is_true(&self, holds: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Code(code) => holds(CODES[*code]),
            Self::And(parts) => parts.iter().all(|part| part.is_true(holds)),
            Self::Or(parts) => parts.iter().any(|part| part.is_true(holds)),
        }
    }

    /// Written with as few parentheses as can be, or with more: none of that may matter.
    fn write(&self, noise: &mut impl Iterator<Item = u8>, within_and: bool) -> String {
        let (parts, word) = match self {
            Self::Code(code) if noise.next() == Some(7) => return format!("({})", CODES[*code]),
            Self::Code(code) => return noisy(CODES[*code], noise),
            Self::And(parts) => (parts, noisy("and", noise)),
            Self::Or(parts) => (parts, noisy("or", noise)),
        };
        let joins_and = matches!(self, Self::And(_));
        let parts: Vec<String> = parts
            .iter()
            .map(|part| part.write(noise, joins_and))
            .collect();
        let text = parts.join(&format!(" {word} "));
        if within_and && !joins_and || noise.next().is_some_and(|it| it % 3 == 0) {
            format!("({text})")
        } else {
            text
        }
    }
}

fn noisy(text: &str, noise: &mut impl Iterator<Item = u8>) -> String {
    match noise.next().unwrap_or(0) % 4 {
        0 => text.to_ascii_lowercase(),
        1 => format!(" {text} "),
        2 => text.to_ascii_uppercase(),
        _ => format!("{text}\n"),
    }
}

fn holds(held: &[&str], wanted: &str) -> bool {
    let covers = |code: &&str| match *code {
        "*" => true,
        "c.*" => wanted.starts_with("c."),
        code => code == wanted,
    };
    held.iter().any(covers)
}

proptest! {
    #[test]
    fn a_question_is_answered_as_its_truth_table_says(meant in meant(), noise in prop::collection::vec(any::<u8>(), 60)) {
        let text = meant.write(&mut noise.into_iter().chain(std::iter::repeat(1)), false);
        prop_assume!(text.len() <= 1000);
        let query = PermissionQuery::parse("permissions", &text).unwrap();
        for row in 0_u32..1 << CODES.len() {
            let held: Vec<&str> = (0..CODES.len()).filter(|at| row >> at & 1 == 1).map(|at| CODES[at]).collect();
            let set: PermissionSet = held.iter().map(|code| Permission::parse(code).unwrap()).collect();
            prop_assert_eq!(query.allows(&set), meant.is_true(&|wanted| holds(&held, wanted)), "{} of {:?}", text, held);
        }
    }

    #[test]
    fn depth_and_size_are_bounded(depth in 0_usize..40, length in 990_usize..1010) {
        let deep = format!("{}a.read{}", "(".repeat(depth), ")".repeat(depth));
        let error = PermissionQuery::parse("permissions", &deep).err().map(|error| error.code);
        prop_assert_eq!(error, (depth > 15).then_some("too_deep"));
        let long = format!("a.read{}", " ".repeat(length - 6));
        let error = PermissionQuery::parse("permissions", &long).err().map(|error| error.code);
        prop_assert_eq!(error, (length > 1000).then_some("too_long"));
    }

    #[test]
    fn no_question_does_harm(text in matching("(\\(|\\)| |and|or|AND|a\\.read|\\*|read|a){0,40}|\\PC{0,60}")) {
        match PermissionQuery::parse("permissions", &text) {
            Ok(query) => {
                let all: PermissionSet = [Permission::of("*")].into_iter().collect();
                prop_assert!(query.allows(&all) && !query.allows(&PermissionSet::default()));
                prop_assert_eq!(text.matches('(').count(), text.matches(')').count());
            }
            Err(error) => prop_assert!(["invalid_expression", "too_deep", "too_long"].contains(&error.code)),
        }
    }
}
