//! Slugs, addresses, permissions, cursors and zones.

use identity::PermissionQuery;
use kernel::{Cursor, Email, Permission, Zone};
use tenancy::{Slug, slug::RESERVED};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{take, utf8};

/// Exactly the slugs of the grammar are taken, and every text has a suggestion that is one.
pub fn slug(data: &[u8]) {
    let text = utf8(data);
    for (parse, least) in [
        (Slug::parse as fn(&str) -> _, 3),
        (Slug::parse_project as fn(&str) -> _, 2),
    ] {
        let read: Result<Slug, _> = parse(text);
        assert_eq!(read.is_ok(), is_slug(text, least), "{text:?}");
        assert!(read.is_ok_and(|slug| slug.as_str() == text) || !is_slug(text, least));
    }
    let suggested = Slug::suggest(text, None);
    assert!(
        is_slug(suggested.as_str(), 3),
        "{text:?} gave {suggested:?}"
    );
    let another = Slug::suggest_another(text);
    assert!(is_slug(another.as_str(), 3), "{text:?} gave {another:?}");
}

/// Words of lower-case letters and digits with one dash between two of them.
fn is_slug(text: &str, least: usize) -> bool {
    let word = |word: &str| {
        let plain = |letter: char| matches!(letter, 'a'..='z' | '0'..='9');
        !word.is_empty() && word.chars().all(plain)
    };
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let hexadecimal = text
        .chars()
        .all(|letter| letter == '-' || letter.is_ascii_hexdigit());
    let like_an_id = hexadecimal && (groups == [32] || groups == [8, 4, 4, 4, 12]);
    (least..=40).contains(&text.len())
        && text.split('-').all(word)
        && !like_an_id
        && !RESERVED.contains(&text)
}

/// An address is what SMTP carries, in one spelling.
pub fn email(data: &[u8]) {
    let text = utf8(data);
    let Ok(email) = Email::parse("email", text) else {
        return;
    };
    let address = email.as_str();
    assert!(
        address
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
    );
    assert!(address.len() <= 254 && email.local_part().len() <= 64);
    let (local, domain) = address.split_once('@').unwrap();
    assert!(!domain.contains('@') && domain.contains('.'));
    assert_eq!(local, email.local_part());
    assert!(text.trim().eq_ignore_ascii_case(address));
    assert_eq!(Email::parse("email", address).as_ref(), Ok(&email));
}

/// A code has one spelling, and covering is an order: whatever a covered code covers, the covering one does.
pub fn permission_code(data: &[u8]) {
    let text = utf8(data);
    let codes: Vec<Permission> = text.lines().take(8).filter_map(Permission::parse).collect();
    for code in &codes {
        assert_eq!(Permission::parse(code.as_str()).as_ref(), Some(code));
        assert!(code.covers(code) && Permission::of("*").covers(code));
        assert!(code.as_str() == "*" || code.as_str().split('.').count() == 2);
        assert!(code.as_str().len() <= 81);
        for (covered, further) in codes.iter().flat_map(|b| codes.iter().map(move |c| (b, c))) {
            if code.covers(covered) && covered.covers(further) {
                assert!(code.covers(further), "{code} {covered} {further}");
            }
            if code.covers(covered) && covered.covers(code) {
                assert_eq!(code, covered);
            }
        }
    }
}

/// A question that was understood means the same when it is written down again.
pub fn permission_query(data: &[u8]) {
    let Ok(query) = PermissionQuery::parse("permissions", utf8(data)) else {
        return;
    };
    assert!(parentheses(&query) <= 16);
    let written = write(&query);
    // A canonical code may be longer than its alias.
    if written.len() <= 1000 {
        assert_eq!(
            PermissionQuery::parse("permissions", &written).as_ref(),
            Ok(&query),
            "{written}"
        );
    }
}

fn parentheses(query: &PermissionQuery) -> usize {
    match query {
        PermissionQuery::Code(_) => 0,
        PermissionQuery::All(parts) | PermissionQuery::Any(parts) => {
            assert!(parts.len() > 1);
            // `AND` within `OR` needs none.
            parts.iter().map(parentheses).max().unwrap_or(0)
                + usize::from(matches!(query, PermissionQuery::Any(_)))
        }
    }
}

fn write(query: &PermissionQuery) -> String {
    let each = |parts: &[PermissionQuery], word: &str| {
        let parts: Vec<String> = parts
            .iter()
            .map(|part| match (query, part) {
                (_, PermissionQuery::Code(_))
                | (PermissionQuery::Any(_), PermissionQuery::All(_)) => write(part),
                _ => format!("({})", write(part)),
            })
            .collect();
        parts.join(word)
    };
    match query {
        PermissionQuery::Code(code) => code.to_string(),
        PermissionQuery::All(parts) => each(parts, " AND "),
        PermissionQuery::Any(parts) => each(parts, " or "),
    }
}

/// A cursor that can be read is the one that its key makes; a key comes back whole, and never out of a part of its cursor.
pub fn cursor(data: &[u8]) {
    let text = utf8(data);
    if let Ok(cursor) = Cursor::parse(text) {
        assert_eq!(cursor.as_str(), text);
        the_key_makes_it::<String>(&cursor);
        the_key_makes_it::<Uuid>(&cursor);
        the_key_makes_it::<(i128, Uuid)>(&cursor);
        the_key_makes_it::<usage::query::After>(&cursor);
    }
    let key = (
        text.to_owned(),
        i64::from_be_bytes(take(&mut { data })),
        Uuid::from_u128(1),
    );
    let cursor = Cursor::after(&key);
    if cursor.as_str().len() <= 8192 {
        let back = Cursor::parse(cursor.as_str()).unwrap();
        assert_eq!(back.key().as_ref(), Ok(&key));
        let part = cursor.as_str().get(..2 * (data.len() % 40)).unwrap();
        let part = Cursor::parse(part).unwrap();
        assert!(part.key::<(String, i64, Uuid)>().is_err());
    }
}

fn the_key_makes_it<K>(cursor: &Cursor)
where
    K: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    if let Ok(key) = cursor.key::<K>() {
        assert_eq!(Cursor::after(&key).key().as_ref(), Ok(&key));
    }
}

/// Seconds from the first instant that is drawn to 1970, and from 1970 to the last that there is.
const HALF_OF_TIME: i64 = 253_402_300_800;

/// A zone has one name, its days and months tile time, and none of its instants does harm.
pub fn zone(mut data: &[u8]) {
    let drawn = i64::from_be_bytes(take(&mut data));
    let name = utf8(data);
    let Ok(zone) = Zone::parse("timezone", name) else {
        return;
    };
    assert!(zone.name().eq_ignore_ascii_case(name));
    assert_eq!(Zone::parse("timezone", zone.name()).as_ref(), Ok(&zone));
    let seconds = drawn.rem_euclid(2 * HALF_OF_TIME) - HALF_OF_TIME;
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    assert_eq!(zone.localise(at), at);
    let (day, (from, to)) = (zone.day_of(at), zone.month_of(at));
    let start = zone.start_of_day(day);
    if (1970..9999).contains(&at.year()) {
        let end = zone.start_of_day(day.next_day().unwrap());
        assert!(start <= at && at < end, "{name} {at}");
        assert!(from <= at && at < to, "{name} {at}");
    }
}
