//! What the free plan refuses.

use serde_json::json;

use super::{Story, heading, people::email, proved};
use crate::{api::Answer, failure::Failure, terminal::Progress};

/// Three seats: Ada, Ben, and one invitation.
pub(super) async fn seats(story: &Story) -> Result<(), Failure> {
    heading("The free plan has three seats and ten agents");
    let invite = |name| json!({ "email": email(name), "role": "member" });
    story
        .owner
        .post("/v1/invitations", invite("cem"))
        .await?
        .expect(&[201])?;
    let refused = story.owner.post("/v1/invitations", invite("dan")).await?;
    limit_reached(&refused.expect(&[402])?, "max_members", 3)?;
    proved("an invitation that is pending takes the third seat, and the fourth is refused: 402");
    Ok(())
}

/// Ten agents, and one too many.
pub(super) async fn resources(story: &Story) -> Result<(), Failure> {
    let mut progress = Progress::through("adding agents", 10);
    for number in 1..=10_u64 {
        let path = format!("/v1/resources/agents/agent-{number}");
        story.owner.put(&path, json!({})).await?.expect(&[201])?;
        progress.step(number, "");
    }
    drop(progress);
    let refused = story
        .owner
        .put("/v1/resources/agents/agent-11", json!({}))
        .await?;
    limit_reached(&refused.expect(&[402])?, "max_agents", 10)?;
    story
        .owner
        .put("/v1/resources/agents/agent-1", json!({}))
        .await?
        .expect(&[200])?;
    proved(
        "ten agents are in, the eleventh is refused, and naming a known one again costs nothing",
    );
    let question = json!({ "key": "max_agents", "quantity": 1 });
    let may = story
        .owner
        .post("/v1/entitlements/check", question)
        .await?
        .expect(&[200])?;
    may.has("/allowed", false)?;
    proved("a product can ask before it tries");
    Ok(())
}

fn limit_reached(answer: &Answer, limit: &str, max: i64) -> Result<(), Failure> {
    answer.has("/code", "billing.limit_reached")?;
    answer.has("/limit", limit)?;
    answer.has("/max", max)?;
    answer.has("/used", max)?;
    answer.has("/plan", "free")
}
