use plinth_gateways::mail::FileMailer;
use tenancy::Mailer;

use crate::message;

#[tokio::test]
async fn a_mail_becomes_one_file_and_a_second_sending_the_same_one() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("mails");
    let mailer = FileMailer::new(&folder, "no-reply@plinth.example").unwrap();
    mailer.send(message("0195/1")).await.unwrap();
    mailer.send(message("0195/1")).await.unwrap();
    let names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["0195.1.eml"]);
    let text = std::fs::read_to_string(folder.join("0195.1.eml")).unwrap();
    assert!(
        text.contains("To: ann@example.com") && text.contains("Hello Ann,"),
        "{text}"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_said_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = FileMailer::new(file.path().join("mails"), "a@b.example")
        .map(drop)
        .unwrap_err();
    assert!(
        refused.to_string().starts_with("mail.file is no folder"),
        "{refused}"
    );
}
