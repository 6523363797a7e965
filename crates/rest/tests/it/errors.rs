//! Every public code stands in `docs/errors.md`, and nothing else does.

use std::{collections::BTreeSet, fs, path::Path};

/// Codes as the sources write them: `"domain.reason"` where a problem is made.
fn codes_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = |text: &str| {
                let (domain, reason) = text.split_once('.')?;
                let word = |part: &str| {
                    !part.is_empty()
                        && part
                            .bytes()
                            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                };
                let domains = [
                    "request",
                    "idempotency",
                    "tenancy",
                    "identity",
                    "usage",
                    "billing",
                    "audit",
                ];
                (domains.contains(&domain) && word(reason)).then(|| text.to_owned())
            };
            // Every part, not every second one: a quote in a character literal would turn inside and outside round.
            found.extend(text.split('"').filter_map(code));
        }
    }
}

/// What looks like a code and is a permission or a fact.
const NO_CODES: [&str; 9] = [
    "usage.read",
    "usage.write",
    "usage.backfill",
    "billing.read",
    "billing.write",
    "audit.read",
    "usage.day_closed",
    "usage.imported",
    "tenancy.invitation_sent",
];

#[test]
fn every_code_is_documented_and_every_documented_code_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut used = BTreeSet::from(["internal".to_owned(), "unavailable".to_owned()]);
    codes_in(&root.join("src"), &mut used);
    codes_in(&root.join("../usage/src"), &mut used);
    codes_in(&root.join("../billing/src"), &mut used);
    used.retain(|code| !NO_CODES.contains(&code.as_str()));
    let page = fs::read_to_string(root.join("../../docs/errors.md")).unwrap();
    let documented: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split('`').next())
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = used.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&used).collect();
    assert!(missing.is_empty(), "not in docs/errors.md: {missing:?}");
    assert!(
        unknown.is_empty(),
        "in docs/errors.md, and nowhere else: {unknown:?}"
    );
}
