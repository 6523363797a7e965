use std::collections::BTreeSet;

use plinth_kernel::{Cursor, Page, PageRequest, page::MAX_LIMIT};
use proptest::prelude::*;
use uuid::Uuid;

use crate::matching;

/// A sort key like that of the longest list.
type Key = (String, i64, Uuid, String);

fn keys() -> impl Strategy<Value = Key> {
    (
        matching("\\PC{0,40}"),
        any::<i64>(),
        any::<u128>(),
        matching("[a-c]{0,2}"),
    )
        .prop_map(|(name, at, id, model)| (name, at, Uuid::from_u128(id), model))
}

/// What a store does: the rows behind the key, one more than the page holds.
fn rows(list: &BTreeSet<(u8, String)>, request: &PageRequest) -> Vec<(u8, String)> {
    let after: Option<(u8, String)> = request.key().unwrap();
    list.iter()
        .filter(|row| after.as_ref().is_none_or(|after| *row > after))
        .take(usize::try_from(request.limit).unwrap() + 1)
        .cloned()
        .collect()
}

proptest! {
    #[test]
    fn walking_a_list_meets_every_row_once(
        list in prop::collection::btree_set((0_u8..4, matching("[a-z]{0,6}")), 0..120), limit in 1..=MAX_LIMIT,
    ) {
        let mut walked = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..=list.len() {
            let request = PageRequest::parse(Some(limit), cursor.as_deref()).unwrap();
            let page = Page::from_rows(rows(&list, &request), limit, Clone::clone);
            prop_assert!(page.data.len() <= usize::try_from(limit).unwrap());
            prop_assert!(!page.data.is_empty() || list.is_empty());
            walked.extend(page.data);
            cursor = page.next_cursor.map(|next| next.as_str().to_owned());
            if cursor.is_none() {
                break;
            }
        }
        prop_assert_eq!(cursor, None);
        prop_assert_eq!(walked, list.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_key_comes_back_whole_or_not_at_all(key in keys(), cut in any::<prop::sample::Index>()) {
        let cursor = Cursor::after(&key);
        prop_assert_eq!(&Cursor::parse(cursor.as_str()).unwrap().key::<Key>().unwrap(), &key);
        let part = &cursor.as_str()[..cut.index(cursor.as_str().len())];
        let read = Cursor::parse(part).and_then(|part| part.key::<Key>());
        prop_assert_eq!(read.unwrap_err().code, "invalid_cursor");
    }

    #[test]
    fn what_is_not_in_hexadecimal_is_no_cursor(
        key in keys(), at in any::<prop::sample::Index>(), other in matching("[^0-9a-fA-F]"),
    ) {
        let mut text = Cursor::after(&key).as_str().to_owned();
        let at = at.index(text.len());
        text.replace_range(at..=at, &other);
        prop_assert_eq!(Cursor::parse(&text).unwrap_err().code, "invalid_cursor");
    }

    #[test]
    fn no_cursor_does_harm(text in matching("([0-9a-f]{2}){0,60}|\\PC{0,60}"), limit in any::<Option<u32>>()) {
        if let Ok(request) = PageRequest::parse(limit, Some(&text)) {
            prop_assert!((1..=MAX_LIMIT).contains(&request.limit));
            if let Ok(Some(key)) = request.key::<Key>() {
                prop_assert_eq!(Cursor::after(&key).key::<Key>().unwrap(), key);
            }
        }
    }
}
