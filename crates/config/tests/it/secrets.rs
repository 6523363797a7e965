//! Secrets come from files too, and are never shown.

use secrecy::ExposeSecret;

use crate::{load, load_file};

fn file_of(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_secret_is_read_from_a_file_and_trimmed() {
    let file = file_of("  postgres://from-a-file\n");
    let path = file.path().to_str().unwrap();
    for variable in ["DATABASE_URL_FILE", "PLINTH__DATABASE__URL_FILE"] {
        let config = load(&[(variable, path)]).unwrap();
        assert_eq!(
            config.database.url.unwrap().expose_secret(),
            "postgres://from-a-file"
        );
    }
}

#[test]
fn a_secret_that_is_said_twice_or_cannot_be_read_is_refused() {
    let said = load(&[("SMTP_URL", "smtp://a"), ("SMTP_URL_FILE", "/b")])
        .unwrap_err()
        .to_string();
    assert_eq!(
        said,
        "SMTP_URL and SMTP_URL_FILE are both set: set one of them"
    );
    let said = load(&[("SMTP_URL_FILE", "/nowhere/smtp")])
        .unwrap_err()
        .to_string();
    assert!(
        said.starts_with("SMTP_URL_FILE names the file /nowhere/smtp"),
        "{said}"
    );
}

#[test]
fn peppers_have_numbers_and_a_least_length() {
    let (old, new) = ("o".repeat(32), "n".repeat(40));
    let previous = format!(r#"["1:{old}"]"#);
    let with = |version: &str| {
        load(&[
            ("PLINTH__IDENTITY__API_KEY_PEPPER", &new),
            ("PLINTH__IDENTITY__API_KEY_PEPPER_VERSION", version),
            ("PLINTH__IDENTITY__PREVIOUS_API_KEY_PEPPERS", &previous),
        ])
    };
    let peppers = with("2").unwrap().identity.peppers().unwrap();
    assert_eq!(
        peppers
            .iter()
            .map(|(number, _)| *number)
            .collect::<Vec<_>>(),
        [2, 1]
    );
    assert_eq!(peppers[1].1.expose_secret(), old);
    assert!(
        with("1")
            .unwrap_err()
            .to_string()
            .contains("two peppers have one number")
    );
    assert!(
        with("0")
            .unwrap_err()
            .to_string()
            .contains("highest number")
    );
    let short = load(&[("PLINTH__IDENTITY__API_KEY_PEPPER", "short")])
        .unwrap_err()
        .to_string();
    assert!(short.contains("at least 32 bytes"), "{short}");
}

#[test]
fn no_secret_is_ever_shown() {
    const PLANTED: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";
    let url = format!("postgres://plinth:{PLANTED}@db/plinth");
    let list = format!(r#"["1:{PLANTED}"]"#);
    let config = load(&[
        ("DATABASE_URL", &url),
        ("SMTP_URL", &url),
        ("PLINTH__IDENTITY__API_KEY_PEPPER", PLANTED),
        ("PLINTH__IDENTITY__API_KEY_PEPPER_VERSION", "2"),
        ("PLINTH__IDENTITY__PREVIOUS_API_KEY_PEPPERS", &list),
        ("PLINTH__IDENTITY__LOCAL__SIGNING_KEY", PLANTED),
        ("PLINTH__PLATFORM__KEY", PLANTED),
        ("STRIPE_SECRET_KEY", PLANTED),
        ("CLERK_SECRET_KEY", PLANTED),
        ("CLERK_WEBHOOK_SIGNING_SECRET", PLANTED),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));

    for broken in [
        format!("[database]\nurl = {PLANTED}\n"),
        format!("[database]\nurl = [\"{PLANTED}\"]\n"),
        format!("[identity]\nprevious_api_key_peppers = \"{PLANTED}\"\n"),
        format!("[identity]\nprevious_api_key_peppers = [[\"{PLANTED}\"]]\n"),
        format!(
            "[identity]\napi_key_pepper = \"{PLANTED}\"\nprevious_api_key_peppers = [\"x{PLANTED}\"]\n"
        ),
        format!("[platform]\nkey = \"{PLANTED}\n"),
    ] {
        let said = load_file(&broken, &[]).unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{said}");
    }
}
