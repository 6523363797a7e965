//! Up, down, and up again.

use pg::migrate::Migrator;
use testkit::TestDb;

#[tokio::test]
async fn down_leaves_nothing_and_up_again_gives_the_same_schema() {
    let db = TestDb::create().await;
    let before = pg::schema_file::render(&db.owner_url()).unwrap();
    let mut migrator = Migrator::connect(&db.owner_url()).unwrap();
    assert!(!migrator.down_all().unwrap().is_empty());
    assert_eq!(migrator.version().unwrap(), None);
    let empty = pg::schema_file::render(&db.owner_url()).unwrap();
    assert!(
        !empty.contains("table!"),
        "down left tables behind:\n{empty}"
    );
    migrator.up().unwrap();
    assert_eq!(pg::schema_file::render(&db.owner_url()).unwrap(), before);
    assert!(
        migrator.up().unwrap().is_empty(),
        "a second up has nothing to do"
    );
}

#[tokio::test]
async fn each_version_goes_down_and_up_alone() {
    let db = TestDb::create().await;
    let mut migrator = Migrator::connect(&db.owner_url()).unwrap();
    let newest = migrator.version().unwrap();
    while migrator.down().unwrap().is_some() {}
    migrator.up().unwrap();
    assert_eq!(migrator.version().unwrap(), newest);
    assert!(migrator.status().unwrap().iter().all(|(_, ran)| *ran));
}

#[tokio::test]
async fn force_rewrites_the_record_and_nothing_else() {
    let db = TestDb::create().await;
    let mut migrator = Migrator::connect(&db.owner_url()).unwrap();
    let (first, _) = migrator.status().unwrap().first().cloned().unwrap();
    migrator.force(&first).unwrap();
    assert_eq!(
        migrator
            .status()
            .unwrap()
            .iter()
            .filter(|(_, ran)| *ran)
            .count(),
        1
    );
    assert!(migrator.force("1999-01-01-000000").is_err());
}
