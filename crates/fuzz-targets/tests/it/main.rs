//! The targets of `fuzz/`, replayed over their seeds and over seeds with a few bytes changed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use plinth_fuzz_targets::TARGETS;
use proptest::{prelude::*, sample::Index};

fn fuzz() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz"))
}

/// Names of what lies in a folder of `fuzz/`, without extensions.
fn names(folder: &str) -> BTreeSet<String> {
    fs::read_dir(fuzz().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(fuzz().join("seeds").join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}

#[test]
fn every_target_has_a_fuzzer_and_seeds() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("seeds"), targets);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let bins: BTreeSet<String> = manifest
        .split("[[bin]]\nname = \"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert_eq!(bins, targets);
    for (name, _) in TARGETS {
        let wrapper = fuzz().join("fuzz_targets").join(format!("{name}.rs"));
        let text = fs::read_to_string(wrapper).unwrap();
        assert!(text.contains(&format!("::{name}(data)")), "{text}");
        assert!((2..=20).contains(&seeds(name).len()), "{name}");
    }
}

#[test]
fn the_seeds_hold() {
    for (name, target) in TARGETS {
        // Shown when the test fails.
        eprintln!("{name}");
        for seed in seeds(name) {
            target(&seed);
        }
    }
}

/// What happens to one byte of a seed.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<Index>;
    let byte = || {
        prop_oneof![
            any::<u8>(),
            prop::sample::select(&b"019-+.eE{}[]\",:_ \n"[..])
        ]
    };
    let change = prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        at().prop_map(Change::Remove),
        (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ];
    prop::collection::vec(change, 0..6)
}

fn apply(seed: &mut Vec<u8>, change: &Change) {
    let length = seed.len();
    match change {
        Change::Insert(at, byte) => seed.insert(at.index(length + 1), *byte),
        _ if length == 0 => {}
        Change::Set(at, byte) => *seed.get_mut(at.index(length)).unwrap() = *byte,
        Change::Remove(at) => drop(seed.remove(at.index(length))),
        Change::Repeat(a, b) => {
            let (a, b) = (a.index(length), b.index(length));
            let part = seed.get(a.min(b)..a.max(b)).unwrap().to_vec();
            seed.extend(part);
        }
    }
}

proptest! {
    #[test]
    fn what_is_near_a_seed_holds_too(
        target in prop::sample::select(TARGETS), seed in any::<Index>(), changes in changes(),
    ) {
        let (name, target) = target;
        let mut seeds = seeds(name);
        let mut data = seeds.swap_remove(seed.index(seeds.len()));
        changes.iter().for_each(|change| apply(&mut data, change));
        target(&data);
    }
}
