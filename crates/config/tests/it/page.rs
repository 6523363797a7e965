//! `docs/configuration.md` is made of the defaults: `UPDATE_DOCS=1 cargo test -p plinth-config`.

use std::path::Path;

const HEAD: &str = "\
# Configuration

`plinth-api` and `plinth-worker` read one configuration. Below is every key with its default: the file itself, as it is compiled into the
programs. Give them another file with `PLINTH_CONFIG=/etc/plinth.toml`, which holds only what differs, or set variables.

| you want | you write |
|---|---|
| a key in a file | `[http]`, and below it `port = 9000` |
| the same in the environment | `PLINTH__HTTP__PORT=9000` |
| a list in the environment | `PLINTH__HTTP__TRUSTED_PROXIES='[\"10.0.0.0/8\"]'` |
| a secret from a file | `DATABASE_URL_FILE=/run/secrets/database_url`, `PLINTH__PLATFORM__KEY_FILE=…` |

A misspelt key or variable, a missing secret and a value of the wrong kind stop the start, with the name of what to mend.

```toml
";

#[test]
fn the_page_is_made_of_the_defaults() {
    let wanted = format!("{HEAD}{}```\n", config::DEFAULTS);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == wanted,
        "docs/configuration.md has drifted: UPDATE_DOCS=1 cargo test -p plinth-config"
    );
}
