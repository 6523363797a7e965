//! PostgreSQL and the stores in memory keep the same promises.

use std::collections::BTreeSet;

use plinth_testkit::{Memory, contract::Postgres};

mod on_postgres {
    use super::Postgres;

    plinth_testkit::contract_tests!(Postgres::start().await);
}

mod in_memory {
    use super::Memory;

    plinth_testkit::contract_tests!(Memory::default());
}

/// A promise that no test makes proves nothing.
#[test]
fn every_promise_has_a_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/contract");
    let listed = std::fs::read_to_string(format!("{folder}/tests.rs")).unwrap();
    let listed: BTreeSet<&str> = listed.split_whitespace().collect();
    let mut missing = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let promises = text.lines().filter_map(|line| {
            let name = line.strip_prefix("pub async fn ")?;
            name.split_once("(backend: &impl Backend)")
        });
        missing.extend(
            promises
                .filter(|(name, _)| !listed.contains(name))
                .map(|(name, _)| format!("{}: {name}", path.display())),
        );
    }
    assert_eq!(missing, Vec::<String>::new());
}
