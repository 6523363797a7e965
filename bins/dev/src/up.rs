//! `cargo dev`.

use local_pg::Durability;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    environment,
    failure::{Failure, While},
    stack::Stack,
    terminal::say,
};

/// Starts everything, says what runs, and stops everything at Ctrl-C or SIGTERM.
pub(crate) async fn run() -> Result<(), Failure> {
    let folder = environment::home();
    let start = Stack::start(&folder, environment::port()?, Durability::Durable);
    let stack = tokio::select! {
        started = start => started?,
        stopped = told_to_stop() => return stopped,
    };
    say(&banner(&stack));
    told_to_stop().await?;
    say("\nStopping …");
    stack.stop().await;
    say("Everything is stopped. The data are kept.");
    Ok(())
}

/// Waits for Ctrl-C, SIGTERM, or the end of the terminal.
pub(crate) async fn told_to_stop() -> Result<(), Failure> {
    let listen = |kind| signal(kind).while_("listening for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

fn banner(stack: &Stack) -> String {
    let url = &stack.url;
    let key = &stack.tenant.api_key;
    let env = stack.home().dev_env();
    let log = stack.home().log("plinth-api");
    let mail = stack.home().path("mail");
    format!(
        "
Plinth is running.

  API        {url}
  Reference  {url}/docs
  Demo key   {key}
  Settings   {env}
  Logs       {log}, and plinth-worker.log beside it
  Mail       {mail}

Who am I?

  curl -s {url}/v1/me -H 'Authorization: Bearer {key}'

Record usage, twice: the second time it is a duplicate.

  curl -s {url}/v1/events -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -d '{{\"id\": \"first\", \"metric\": \"llm_tokens_input\", \"quantity\": 1200}}'

Next: `cargo demo` in another terminal plays a customer's whole story. Ctrl-C stops everything; the data stay.
",
        env = env.display(),
        log = log.display(),
        mail = mail.display(),
    )
}
