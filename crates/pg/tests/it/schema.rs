//! `pg-schema` is what the migrations make.

use std::{fs, path::Path};

use testkit::TestDb;

#[tokio::test]
async fn schema_rs_is_what_the_migrations_make() {
    let db = TestDb::create().await;
    let wanted = pg::schema_file::render(&db.owner_url()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pg-schema/src/schema.rs");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == wanted,
        "schema.rs has drifted: run `just schema` and commit it"
    );
}
