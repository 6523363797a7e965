use plinth_kernel::{Email, Name, TenantId};
use proptest::prelude::*;
use time::{Duration, OffsetDateTime};

use crate::matching;

proptest! {
    #[test]
    fn an_address_has_one_spelling(
        local in matching("[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\\.[a-z0-9]{1,10}){0,3}"),
        domain in matching("([a-z0-9]|[a-z0-9][a-z0-9-]{0,20}[a-z0-9])(\\.[a-z]{1,10}){1,3}"),
        upper in any::<u64>(), space in matching("[ \t]{0,3}"),
    ) {
        let address = format!("{local}@{domain}");
        let cased: String = address
            .chars()
            .enumerate()
            .map(|(at, letter)| if upper >> (at % 64) & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
            .collect();
        let email = Email::parse("email", &format!("{space}{cased}{space}")).unwrap();
        prop_assert_eq!(email.as_str(), &address);
        prop_assert_eq!(email.local_part(), &local);
    }

    #[test]
    fn what_breaks_one_rule_is_no_address(
        local in matching("[a-z]{1,5}"), domain in matching("[a-z]{1,5}\\.[a-z]{1,5}"), bad in matching("[^A-Za-z0-9!#$%&'*+/=?^_`{|}~@.-]"), at in 1_usize..4,
    ) {
        let address = format!("{local}@{domain}");
        let mut broken = address.clone();
        broken.insert_str(at.min(local.len()), &bad);
        prop_assert!(Email::parse("email", &broken).is_err() || broken.trim() == address);
        for text in [
            format!("{local}{domain}"), format!("{local}@@{domain}"), format!(".{address}"), format!("{local}.@{domain}"),
            format!("{address}."), format!("{address}-"), format!("{local}@-{domain}"),
            format!("{}@{domain}", local.repeat(65)), format!("{local}@{}.com", "a".repeat(64)),
        ] {
            prop_assert!(Email::parse("email", &text).is_err(), "{}", text);
        }
    }

    #[test]
    fn a_name_is_kept_but_for_the_space_around_it(text in matching("\\PC{0,300}"), control in prop::char::range('\0', '\u{1f}')) {
        match Name::parse("name", &text) {
            Ok(name) => {
                prop_assert_eq!(name.as_str(), text.trim());
                prop_assert!((1..=255).contains(&name.as_str().chars().count()));
            }
            Err(error) if text.trim().is_empty() => prop_assert_eq!(error.code, "required"),
            Err(error) => {
                prop_assert_eq!(error.code, "too_long");
                prop_assert!(text.trim().chars().count() > 255);
            }
        }
        let controlled = format!("a{control}{text}z");
        prop_assert!(Name::parse("name", &controlled).is_err());
    }

    #[test]
    fn ids_sort_by_time_and_survive_being_printed(early in 0_i64..4_102_444_800_000, later in 1_i64..1000) {
        let at = |millis| OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(millis);
        let (first, second) = (TenantId::new(at(early)), TenantId::new(at(early + later)));
        prop_assert!(first < second && first.to_string() < second.to_string());
        prop_assert_eq!(first.to_string().parse::<TenantId>().unwrap(), first);
        let (seconds, _) = first.as_uuid().get_timestamp().unwrap().to_unix();
        prop_assert_eq!(seconds, u64::try_from(early / 1000).unwrap());
    }
}
