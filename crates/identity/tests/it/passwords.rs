use plinth_identity::Password;
use proptest::prelude::*;
use secrecy::SecretString;

use crate::matching;

proptest! {
    #[test]
    fn length_in_characters_is_all_that_is_demanded(
        letter in any::<char>(), length in prop_oneof![0_usize..20, 250_usize..260], rest in matching(".{0,6}"),
    ) {
        let text = format!("{}{rest}", letter.to_string().repeat(length));
        let characters = text.chars().count();
        let expected = match characters {
            0..10 => Err("too_short"),
            257.. => Err("too_long"),
            _ if text.contains('\0') => Err("control_character"),
            _ => Ok(text.clone()),
        };
        let new = Password::new("password", SecretString::from(text.clone()));
        prop_assert_eq!(new.map(|it| it.expose().to_owned()).map_err(|it| it.code), expected.clone());
        // Whatever may be set can be offered, unchanged.
        let offered = Password::offered(SecretString::from(text.clone()));
        prop_assert!(expected.is_err() || offered.expose() == text);
        prop_assert!(offered.expose().is_empty() || offered.expose() == text);
    }

    #[test]
    fn a_password_is_never_shown(text in matching("[a-z]{20,40}")) {
        let password = Password::new("password", SecretString::from(text.clone())).unwrap();
        let shown = format!("{password:?}");
        prop_assert!(!shown.contains(&text[..10]));
    }
}
