use std::collections::BTreeSet;

use plinth_identity::{KeyHash, KeyMatch, KeyMode, KeyText, Pepper, PepperError, Peppers};
use proptest::prelude::*;

/// Peppers of different versions, each with bytes of its own.
fn lists() -> impl Strategy<Value = Vec<Pepper>> {
    prop::collection::btree_set(any::<i16>(), 1..6)
        .prop_map(|versions| versions.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
        .prop_map(|versions| {
            versions
                .into_iter()
                .map(|version| pepper(version, 32))
                .collect()
        })
}

fn pepper(version: i16, length: usize) -> Pepper {
    let bytes = version.to_be_bytes().into_iter().cycle().take(length);
    Pepper {
        version,
        key: bytes.collect::<Vec<u8>>().into(),
    }
}

fn version(hash: &KeyHash) -> i16 {
    match hash {
        KeyHash::Hmac { version, .. } => *version,
        KeyHash::Argon2id(_) => unreachable!("no pepper makes one"),
    }
}

proptest! {
    #[test]
    fn the_newest_pepper_signs_and_every_listed_one_verifies(list in lists()) {
        let (key, other) = (KeyText::generate(KeyMode::Live), KeyText::generate(KeyMode::Live));
        let newest = list.iter().map(|pepper| pepper.version).max().unwrap();
        let peppers = Peppers::new(list.clone()).unwrap();
        prop_assert_eq!(version(&peppers.hash(&key)), newest);
        for signer in &list {
            let kept = Peppers::new(vec![signer.clone()]).unwrap().hash(&key);
            let expected = if signer.version == newest { KeyMatch::Yes } else { KeyMatch::Outdated };
            prop_assert_eq!(peppers.compare(&key, &kept), expected);
            prop_assert_eq!(peppers.compare(&other, &kept), KeyMatch::No);
            let rest: Vec<Pepper> = list.iter().filter(|it| it.version != signer.version).cloned().collect();
            if let Ok(without) = Peppers::new(rest) {
                prop_assert_eq!(without.compare(&key, &kept), KeyMatch::No);
            }
        }
    }

    #[test]
    fn a_list_is_refused_for_what_is_wrong_with_it(versions in prop::collection::vec(0_i16..6, 0..6), short in prop::option::of(0_usize..6)) {
        let different: BTreeSet<i16> = versions.iter().copied().collect();
        let mut list: Vec<Pepper> = versions.iter().map(|version| pepper(*version, 32)).collect();
        let at = short.filter(|at| *at < list.len());
        if let Some(at) = at {
            list[at] = pepper(versions[at], 31);
        }
        match Peppers::new(list).err() {
            Some(PepperError::Missing) => prop_assert!(versions.is_empty()),
            Some(PepperError::Repeated(twice)) => prop_assert!(versions.iter().filter(|it| **it == twice).count() > 1),
            Some(PepperError::TooShort(version)) => prop_assert_eq!(at.map(|at| versions[at]), Some(version)),
            None => prop_assert!(different.len() == versions.len() && at.is_none() && !versions.is_empty()),
        }
    }
}
