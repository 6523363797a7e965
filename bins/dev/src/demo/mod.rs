//! `cargo demo`: a customer's story, a step at a time. Each step says what it proves; the first that is off ends the run.
//!
//! | file | what happens in it |
//! |---|---|
//! | `stage` | where the story plays: the running server, or a private one |
//! | `people` | sign-up, invitation, acceptance, a stranger, an API key |
//! | `events` | 10 000 events, some of them twice |
//! | `limits` | what the free plan refuses |
//! | `day` | yesterday's books are closed |
//! | `invoice` | another plan, and what it will cost |
//! | `trail` | who did what, and that nobody can undo it |

mod day;
mod events;
mod invoice;
mod limits;
mod people;
mod stage;
mod trail;

use crate::{
    api::{Api, Caller},
    failure::Failure,
    terminal::say,
    up::told_to_stop,
};

use self::stage::Stage;

/// What later steps need of earlier ones.
struct Story {
    api: Api,
    /// Ada, who signed up, speaking for her tenant.
    owner: Caller,
    owner_email: String,
    tenant_id: String,
}

/// The story, from sign-up to audit trail.
pub(crate) async fn run() -> Result<(), Failure> {
    let stage = tokio::select! {
        stage = Stage::set() => stage?,
        stopped = told_to_stop() => {
            stopped?;
            return Err(Failure::new("stopped before it began"));
        }
    };
    let told = tokio::select! {
        told = tell(&stage) => told,
        stopped = told_to_stop() => stopped.and(Err(Failure::new("stopped half-way"))),
    };
    stage.leave().await;
    told?;
    say("\nEverything is as it should be.");
    Ok(())
}

async fn tell(stage: &Stage) -> Result<(), Failure> {
    let story = people::sign_up(Api::at(&stage.url)?).await?;
    people::invite_and_accept(&story).await?;
    people::a_stranger_sees_nothing(&story).await?;
    let key = people::make_a_key(&story).await?;
    let sent = events::send(&story, &key).await?;
    events::compare(&story, &sent).await?;
    limits::seats(&story).await?;
    limits::resources(&story).await?;
    day::closes(stage, &story, &sent).await?;
    invoice::change_plan(&story).await?;
    invoice::upcoming(&story).await?;
    trail::tells_what_happened(&story).await?;
    trail::cannot_be_changed(stage).await?;
    trail::one_tenant_at_a_time(stage, &story).await
}

/// A new part of the story.
fn heading(what: &str) {
    say(&format!("\n{what}"));
}

/// A step that did what it should, and what that proves.
fn proved(what: &str) {
    say(&format!("  ✓ {what}"));
}
