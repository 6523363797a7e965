//! Another plan, and what it will cost.

use serde_json::{Value, json};

use super::{Story, heading, people::email, proved};
use crate::{api::Answer, failure::Failure, terminal::say};

/// Ada moves to the starter plan, and what was refused works.
pub(super) async fn change_plan(story: &Story) -> Result<(), Failure> {
    heading("Ada moves to the starter plan");
    let starter = json!({ "plan": "starter", "when": "now" });
    story
        .owner
        .post("/v1/subscription/change", starter)
        .await?
        .expect(&[200, 201])?;
    let invitation = json!({ "email": email("dan"), "role": "member" });
    story
        .owner
        .post("/v1/invitations", invitation)
        .await?
        .expect(&[201])?;
    story
        .owner
        .put("/v1/resources/agents/agent-11", json!({}))
        .await?
        .expect(&[201])?;
    proved("what the free plan refused works at once: limits are read where they are enforced");
    Ok(())
}

/// 2 500 tool calls: the first 1 000 are free, the others cost 0.001 each.
pub(super) async fn upcoming(story: &Story) -> Result<(), Failure> {
    let event = |id: &str, metric: &str, quantity: u64| {
        let id = format!("{}-{id}", story.tenant_id);
        json!({ "id": id, "metric": metric, "quantity": quantity })
    };
    let events = json!([
        event("tools", "tool_call", 2_500),
        event("tokens", "llm_tokens_input", 1_200_000)
    ]);
    story
        .owner
        .post("/v1/events", events)
        .await?
        .expect(&[200])?
        .has("/accepted", 2)?;
    let invoice = story
        .owner
        .get("/v1/invoices/upcoming")
        .await?
        .expect(&[200])?;
    print(&invoice)?;
    line_costs(&invoice, "tool_call", 150)?;
    proved("2 500 tool calls: 1 000 are free and 1 500 cost 0.001 each, 1.50 to the cent");
    line_costs(&invoice, "llm_tokens_input", 100)?;
    proved("1.2 million tokens are two started millions at 0.50");
    let amount = |line: &Value| line.get("amount").and_then(Value::as_i64);
    let sum: i64 = invoice.list("/lines")?.iter().filter_map(amount).sum();
    invoice.has("/subtotal", sum)?;
    let discount = invoice.number("/discount_total")?;
    let tax = invoice.number("/tax_total")?;
    invoice.has("/total", sum - discount + tax)?;
    invoice.has("/currency", "USD")?;
    proved("the lines add up to the total, in whole cents");
    Ok(())
}

fn print(invoice: &Answer) -> Result<(), Failure> {
    let text = |line: &Value, key: &str| match line.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    say("");
    for line in invoice.list("/lines")? {
        say(&format!(
            "    {:<48} {:>10} {:>8}",
            text(line, "description"),
            text(line, "quantity"),
            cents(
                line.get("amount")
                    .and_then(Value::as_i64)
                    .unwrap_or_default()
            )
        ));
    }
    say(&format!(
        "    {:<48} {:>10} {:>8}\n",
        "Total",
        "",
        cents(invoice.number("/total")?)
    ));
    Ok(())
}

/// Fails unless one line of this metric costs this many cents.
fn line_costs(invoice: &Answer, metric: &str, wanted: i64) -> Result<(), Failure> {
    let of_metric = |line: &&Value| line.get("metric").and_then(Value::as_str) == Some(metric);
    let amount = invoice
        .list("/lines")?
        .iter()
        .filter(of_metric)
        .filter_map(|line| line.get("amount")?.as_i64())
        .reduce(|a, b| a + b);
    if amount == Some(wanted) {
        return Ok(());
    }
    Err(invoice.wrong(&format!(
        "expected {metric} to cost {wanted} cents, not {amount:?}"
    )))
}

fn cents(amount: i64) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    format!("{sign}{}.{:02}", amount / 100, amount % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_are_written_as_money() {
        for (amount, text) in [(0, "0.00"), (5, "0.05"), (-2900, "-29.00"), (-1, "-0.01")] {
            assert_eq!(cents(amount), text);
        }
    }
}
