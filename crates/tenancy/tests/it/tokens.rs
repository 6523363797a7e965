use kernel::InvitationId;
use plinth_tenancy::InvitationTokens;
use proptest::{prelude::*, sample::Index};
use uuid::Uuid;

use crate::matching;

fn invitations() -> impl Strategy<Value = (InvitationId, i32)> {
    (any::<u128>(), any::<i32>()).prop_map(|(id, sends)| (Uuid::from_u128(id).into(), sends))
}

fn tokens(secrets: &[Vec<u8>]) -> InvitationTokens {
    InvitationTokens::derive(&secrets.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn secrets() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..60)
}

proptest! {
    #[test]
    fn a_token_opens_with_any_listed_key_and_no_other((id, sends) in invitations(), old in secrets(), new in secrets()) {
        prop_assume!(old != new);
        let token = tokens(std::slice::from_ref(&old)).issue(id, sends);
        prop_assert_eq!(tokens(&[new.clone(), old]).open(&token), Some((id, sends)));
        prop_assert_eq!(tokens(&[new]).open(&token), None);
        prop_assert_eq!(tokens(&[]).open(&token), None);
    }

    #[test]
    fn another_send_is_another_token((id, sends) in invitations(), other in any::<i32>(), secret in secrets()) {
        let tokens = tokens(&[secret]);
        prop_assert_eq!(tokens.issue(id, sends) == tokens.issue(id, other), sends == other);
    }

    #[test]
    fn one_wrong_character_opens_nothing(
        (id, sends) in invitations(), at in any::<Index>(), letter in matching("[A-Za-z0-9_-]|\\PC"), what in 0_u8..4,
    ) {
        let tokens = tokens(&[b"a secret".to_vec()]);
        let token = tokens.issue(id, sends);
        let at = at.index(token.len());
        let mut wrong = token.clone();
        match what {
            0 => wrong.replace_range(at..=at, &letter),
            1 => wrong.insert_str(at, &letter),
            2 => drop(wrong.remove(at)),
            _ => wrong.truncate(at),
        }
        prop_assert_eq!(tokens.open(&wrong).is_some(), wrong == token);
    }

    #[test]
    fn nothing_else_opens(text in matching("(pli_)?[A-Za-z0-9_-]{0,80}|\\PC{0,80}")) {
        prop_assert_eq!(tokens(&[b"a secret".to_vec()]).open(&text), None);
    }
}
