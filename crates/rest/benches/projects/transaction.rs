//! What one request says to PostgreSQL, heard in the server's log: so the ceiling cannot drift away from what it bounds.

use std::{fmt, thread, time::Duration};

use crate::stage::Database;

/// The messages of one request, each for one round trip.
pub(crate) struct Transaction(Vec<Message>);

enum Message {
    /// Statements that travel together.
    Batch(Vec<String>),
    /// A statement that was prepared before, and its values.
    Prepared(String, Vec<String>),
}

impl Transaction {
    /// Listens to what `request` causes. The key of the request must be known to the API by then, so it is tried until one is.
    pub(crate) fn of(database: &Database, request: impl Fn()) -> Self {
        database.administer(&[
            "alter system set log_statement = 'all'",
            "select pg_reload_conf()",
        ]);
        let mut found = None;
        for _ in 0..50 {
            thread::sleep(Duration::from_millis(50));
            request();
            let before = database.log().len();
            request();
            let log = database.log();
            let messages = read(log.get(before..).unwrap_or_default());
            if begins(&messages) == 1 {
                found = Some(messages);
                break;
            }
        }
        database.administer(&[
            "alter system reset log_statement",
            "select pg_reload_conf()",
        ]);
        Self(found.unwrap_or_else(|| panic!("no request kept to one transaction")))
    }

    /// As a script of pgbench: a pipeline for what travels together.
    pub(crate) fn script(&self) -> String {
        let mut script = String::new();
        for (at, message) in self.0.iter().enumerate() {
            match message {
                Message::Batch(statements) if statements.len() > 1 => {
                    let statements = statements.join(";\n");
                    script.push_str(&format!("\\startpipeline\n{statements};\n\\endpipeline\n"));
                }
                Message::Batch(statements) => {
                    script.push_str(&format!("{};\n", statements.concat()));
                }
                Message::Prepared(statement, values) => {
                    // From the last one, so that $1 does not match in $10.
                    let bound = (1..=values.len()).rev();
                    let statement = bound.fold(statement.clone(), |statement, number| {
                        statement.replace(&format!("${number}"), &format!(":{}", name(at, number)))
                    });
                    script.push_str(&format!("{statement};\n"));
                }
            }
        }
        script
    }

    /// The values of the script's variables, as `name=value`.
    pub(crate) fn variables(&self) -> Vec<String> {
        let mut variables = Vec::new();
        for (at, message) in self.0.iter().enumerate() {
            if let Message::Prepared(_, values) = message {
                let named = values.iter().zip(1..);
                variables
                    .extend(named.map(|(value, number)| format!("{}={value}", name(at, number))));
            }
        }
        variables
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, message) in (1..).zip(&self.0) {
            match message {
                Message::Batch(statements) => writeln!(f, "  {number}. {}", statements.join("; "))?,
                Message::Prepared(statement, values) => {
                    writeln!(f, "  {number}. {statement}\n     {values:?}")?;
                }
            }
        }
        Ok(())
    }
}

fn name(message: usize, value: usize) -> String {
    format!("m{message}v{value}")
}

fn begins(messages: &[Message]) -> usize {
    let begins = |message: &&Message| match message {
        Message::Batch(statements) => statements.iter().any(|statement| statement == "BEGIN"),
        Message::Prepared(..) => false,
    };
    messages.iter().filter(begins).count()
}

fn read(log: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    for line in log.lines() {
        if let Some((_, sql)) = line.split_once("LOG:  statement: ") {
            let statements = sql.split(';').map(|statement| statement.trim().to_owned());
            messages.push(Message::Batch(statements.collect()));
        } else if let Some((_, executed)) = line.split_once("LOG:  execute ") {
            let (_, sql) = executed.split_once(": ").unwrap();
            messages.push(Message::Prepared(sql.to_owned(), Vec::new()));
        } else if let Some((_, bound)) = line.split_once("DETAIL:  parameters: ")
            && let Some(Message::Prepared(_, values)) = messages.last_mut()
        {
            *values = values_of(bound);
        }
    }
    messages
}

/// The values in `$1 = 'active', $2 = '51'`.
fn values_of(bound: &str) -> Vec<String> {
    let value = |assignment: &str| {
        let (_, quoted) = assignment.split_once(" = ").unwrap();
        quoted.trim_matches('\'').to_owned()
    };
    bound.split(", $").map(value).collect()
}
