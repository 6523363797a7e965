//! The pages about security name the tests that prove what they say, and each of those is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const PAGES: [&str; 2] = ["docs/threat-model.md", "docs/isolation.md"];

/// Names between backticks that are written like tests here: sentences of four words or more.
fn named(page: &str) -> Vec<&str> {
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.matches('_').count() >= 3)
        .filter(|name| {
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_a_page_names_exists() {
    let mut files = Vec::new();
    for folder in ["crates", "bins"] {
        sources(&Path::new(ROOT).join(folder), &mut files);
    }
    let code: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    for page in PAGES {
        let text = fs::read_to_string(Path::new(ROOT).join(page)).unwrap();
        let names = named(&text);
        assert!(names.len() > 20, "{page} names {} tests", names.len());
        let missing: Vec<&str> = names
            .into_iter()
            .filter(|name| !code.contains(&format!("fn {name}(")))
            .collect();
        assert_eq!(missing, Vec::<&str>::new(), "{page}");
    }
}
