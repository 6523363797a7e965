//! People who are invited, sign up, join, and leave again.

use serde_json::{Value, json};

use super::{
    super::{
        books::{Fate, Thing},
        client::{Client, Outcome, Request},
    },
    made::{self, INVITATIONS, Made},
};
use crate::api::{Answer, Api, Caller};

const PASSWORD: &str = "correct horse battery staple";

/// Invites one person after the other, each of whom joins and is removed some time later.
pub(super) async fn join_and_leave(mut client: Client, apis: [Api; 2]) {
    let mut members: Vec<(String, String)> = Vec::new();
    while client.goes_on() {
        let invited = made::make(&mut client, &INVITATIONS).await;
        let full = invited.is_none();
        if let Some(invited) = invited {
            members.extend(join(&mut client, &apis, invited).await);
        }
        if (full || client.random.one_in(2))
            && let Some(index) = client.random.index(members.len())
        {
            let (email, id) = members.swap_remove(index);
            let path = format!("/v1/members/{id}");
            client
                .remove("member removed", &path, (Thing::Member, &email))
                .await;
        }
        client.rest(200, 800).await;
    }
}

/// Signs up and accepts. Gives the address and the id of the new member.
async fn join(client: &mut Client, apis: &[Api; 2], invited: Made) -> Option<(String, String)> {
    let email = invited.name.clone();
    let token = invited.body.get("token").and_then(Value::as_str);
    // The answer of a replay or of a list shows no token: nobody can join with it.
    let Some(token) = token.map(str::to_owned) else {
        made::end(client, &INVITATIONS, invited).await;
        return None;
    };
    let anybody = apis.each_ref().map(Api::anybody);
    let account = json!({ "email": email, "password": PASSWORD });
    let request =
        Request::post("/v1/auth/register", account.clone()).once(format!("register-{email}"));
    if let Outcome::Answer(answer) = client.until_answered_as(&anybody, "sign-up", request).await
        && answer.status != 201
    {
        client.surprised(&answer);
        return None;
    }
    let login = Request::post("/v1/auth/login", account);
    let session = told(client, &anybody, "log-in", login).await?;
    let bearer = session.text("/access_token").ok()?;
    let person = apis.each_ref().map(|api| api.bearer(&bearer));
    let me = told(client, &person, "me", Request::get("/v1/me")).await?;
    let accept = Request::post("/v1/invitations/accept", json!({ "token": token }));
    let accept = accept.once(format!("accept-{email}"));
    if let Outcome::Answer(answer) = client
        .until_answered_as(&person, "invitation accepted", accept)
        .await
        && answer.status != 200
    {
        client.surprised(&answer);
    }
    let mut books = client.books().open();
    books.note(Thing::Invitation, &email, Fate::Ended);
    books.note(Thing::Member, &email, Fate::Made);
    drop(books);
    Some((email, me.text("/user/id").ok()?))
}

/// An answer 200; anything else is noted.
async fn told(
    client: &mut Client,
    callers: &[Caller; 2],
    kind: &'static str,
    request: Request<'_>,
) -> Option<Answer> {
    match client.until_answered_as(callers, kind, request).await {
        Outcome::Answer(answer) if answer.status == 200 => Some(answer),
        Outcome::Answer(answer) => {
            client.surprised(&answer);
            None
        }
        Outcome::Unknown => None,
    }
}
