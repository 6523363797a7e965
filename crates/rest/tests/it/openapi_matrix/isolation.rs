//! What is another tenant's answers as what does not exist, and is neither shown nor changed.

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use identity::{KeyMode, KeyText};
use kernel::id::random_bytes;
use uuid::Uuid;

use super::{
    answer::Answer,
    contract::{Kind, Operation, Slot},
    rows,
    stage::{Stage, probe},
    world::Credential,
};

/// An id that nobody has, of the same length as `like`.
fn nobodys(kind: Kind, like: &str) -> String {
    if kind == Kind::KeyText {
        return KeyText::generate(KeyMode::Test).reveal().to_owned();
    }
    if Uuid::try_parse(like).is_ok() {
        return Uuid::from_bytes(random_bytes()).to_string();
    }
    // Letters for letters, so that it is written as the other is.
    let mut bytes = random_bytes::<256>().into_iter();
    let mut letter = || char::from(b'a' + bytes.next().unwrap_or_default() % 26);
    let local = like.split('@').next().unwrap_or_default().len();
    like.char_indices()
        .map(|(at, other)| {
            if at < local && other.is_ascii_alphabetic() {
                letter()
            } else {
                other
            }
        })
        .collect()
}

/// Somebody of Ann's, and what they show.
type Principal<'a> = (&'a str, &'a Credential);

impl Stage {
    /// Asks with `id` in `slot`, and looks for anything of Bob's in the answer. What was asked may be repeated in it.
    async fn probe(
        &self,
        by: Principal<'_>,
        operation: &Operation,
        slot: &Slot,
        id: &str,
    ) -> Answer {
        let draft = operation.draft(Some(slot), probe(&self.ann, slot, id));
        let answer = self.ask(by.1, operation, &draft).await.without(id);
        self.search(&operation.id, by.0, &answer);
        answer
    }

    fn search(&self, operation: &str, by: &str, answer: &Answer) {
        let shown = answer.shows(&self.marks);
        if !shown.is_empty() {
            self.found(format!("{operation} as {by} shows {shown:?}"));
        }
    }

    /// Every operation with every id replaced by Bob's and by nobody's: the answers must be the same. Returns how many were compared.
    async fn probe_everything(&self, principals: &[Principal<'_>]) -> usize {
        let mut compared = 0;
        let mut operations: Vec<&Operation> = self.operations.iter().collect();
        // What is made under another tenant's name comes last: from then on that name is Ann's as well.
        operations.sort_by_key(|operation| operation.method == "PUT" || operation.method == "POST");
        for operation in operations {
            for (slot, kind) in operation.ids() {
                let bobs = &self.bob.ids[&kind];
                let nobodys = nobodys(kind, bobs);
                for by in principals {
                    let one = self.probe(*by, operation, slot, bobs).await;
                    if kind == Kind::Cursor {
                        // A place in a list is nobody's own. It leads to Ann's rows, or nowhere.
                        continue;
                    }
                    let other = self.probe(*by, operation, slot, &nobodys).await;
                    compared += 1;
                    if let Some(difference) = one.differs(&other) {
                        let Slot { place, name, .. } = slot;
                        self.found(format!(
                            "{} {place:?} {name} as {}: {difference}",
                            operation.id, by.0
                        ));
                    }
                }
            }
        }
        compared
    }

    /// Every page of every read. Returns how many there were.
    async fn read_everything(&self, principals: &[Principal<'_>]) -> usize {
        let mut read = 0;
        for (by, credential) in principals {
            for (operation, answer) in self.reads(&self.ann, credential).await {
                self.search(&operation, by, &answer);
                read += 1;
            }
        }
        read
    }
}

#[actix_web::test]
async fn no_read_and_no_page_of_a_list_shows_anything_of_another_tenant() {
    let stage = Stage::set().await;
    // The search is worth something: what is searched for stands in what Bob reads.
    let own = stage.reads(&stage.bob, &stage.bob.owner).await;
    let shown = own
        .iter()
        .flat_map(|(_, answer)| answer.shows(&stage.marks))
        .count();
    assert!(
        stage.marks.len() > 40 && shown > 40,
        "{shown} of {:#?}",
        stage.marks
    );
    let read = stage.read_everything(&stage.ann.principals()).await;
    assert!(read > 100, "{read}");
    assert_eq!(stage.findings(), [].into());
}

#[actix_web::test]
async fn another_tenants_id_answers_as_one_that_does_not_exist_and_changes_nothing() {
    let stage = Stage::set().await;
    let before = rows::of(&stage.app, &stage.bob);
    let mut principals = stage.ann.principals();
    principals.push(("nobody", &Credential::Nobody));
    let compared = stage.probe_everything(&principals).await;
    assert!(compared > 400, "{compared}");
    assert_eq!(stage.findings(), [].into());
    let after = rows::of(&stage.app, &stage.bob);
    for (table, rows) in &before {
        assert_eq!(rows, &after[table], "{table}");
    }
    assert_eq!(before.len(), after.len());
}

/// Puts in the place of a table one in which everybody's rows are the asking tenant's own: no statement and no policy can help there.
fn share(stage: &Stage, table: &str) {
    let sql = format!(
        "alter table {table} rename to {table}_of_all;
         create view {table} as select shared.* from {table}_of_all t,
             lateral jsonb_populate_record(t, jsonb_build_object('tenant_id', app.current_tenant_id())) shared;
         grant select on {table} to plinth_app"
    );
    let mut conn = PgConnection::establish(&stage.app.db.superuser_url()).unwrap();
    conn.batch_execute(&sql).unwrap();
}

#[actix_web::test]
async fn the_matrix_finds_a_leak() {
    let stage = Stage::set().await;
    let principals = [("the owner", &stage.ann.owner)];
    for table in ["invoices", "invoice_lines", "resources"] {
        share(&stage, table);
    }
    stage.read_everything(&principals).await;
    stage.probe_everything(&principals).await;
    let found = stage.findings();
    for leak in [
        "invoices_list as the owner shows",
        "invoices_read as the owner shows",
        "invoices_read Path id as the owner: 200",
        "invoices_lines Path id as the owner: 200",
        "resources_list as the owner shows",
    ] {
        assert!(
            found.iter().any(|finding| finding.starts_with(leak)),
            "{leak}: {found:#?}"
        );
    }
}

#[actix_web::test]
async fn the_comparison_of_rows_finds_a_change() {
    let stage = Stage::set().await;
    let before = rows::of(&stage.app, &stage.bob);
    let mut conn = PgConnection::establish(&stage.app.db.superuser_url()).unwrap();
    let tenant = &stage.bob.ids[&Kind::Tenant];
    conn.batch_execute(&format!(
        "update resources set created_at = created_at + interval '1 s' where tenant_id = '{tenant}'"
    ))
    .unwrap();
    let after = rows::of(&stage.app, &stage.bob);
    let changed: Vec<_> = before
        .iter()
        .filter(|(table, rows)| after[*table] != **rows)
        .collect();
    assert_eq!(changed.len(), 1, "{changed:#?}");
}
