//! Which variable means which key.

use std::{collections::BTreeMap, path::PathBuf};

use figment::value::{Dict, Num, Value};

use crate::{
    ConfigError, Issuer, IssuerKind,
    keys::{WELL_KNOWN, find, is_secret, nearest},
};

/// Variables by name. An empty one counts as not set.
pub(crate) type Variables = BTreeMap<String, String>;

/// A key that a variable sets.
pub(crate) struct Setting {
    /// The variable.
    pub(crate) variable: String,
    /// The key, dotted.
    pub(crate) key: String,
    /// What to.
    pub(crate) value: Value,
}

const PREFIX: &str = "PLINTH__";

/// What the variables set, in the order in which later ones win.
pub(crate) fn settings(variables: &Variables, known: &Dict) -> Result<Vec<Setting>, ConfigError> {
    let mut settings = Vec::new();
    for (variable, key) in WELL_KNOWN {
        if let Some(text) = read(variables, variable, is_secret(key))? {
            settings.push(setting(variable, key, text, known)?);
        }
    }
    for variable in variables.keys().filter(|name| name.starts_with(PREFIX)) {
        let (variable, key) = key_of(variable, known)?;
        if let Some(text) = read(variables, &variable, is_secret(&key))? {
            settings.push(setting(&variable, &key, text, known)?);
        }
    }
    Ok(settings)
}

/// The key that `PLINTH__SECTION__KEY` sets, and the variable without `_FILE`.
fn key_of(variable: &str, known: &Dict) -> Result<(String, String), ConfigError> {
    let key = variable
        .trim_start_matches(PREFIX)
        .to_lowercase()
        .replace("__", ".");
    if let Some(secret) = key.strip_suffix("_file").filter(|key| is_secret(key)) {
        let plain = variable
            .get(..variable.len() - "_FILE".len())
            .unwrap_or(variable);
        return Ok((plain.to_owned(), secret.to_owned()));
    }
    match find(known, &key) {
        Some(value) if !matches!(value, Value::Dict(..)) => Ok((variable.to_owned(), key)),
        _ => Err(ConfigError::Unknown {
            name: variable.to_owned(),
            suggestion: nearest(&key, known).map(|key| variable_of(&key)),
            source_name: "the environment".to_owned(),
        }),
    }
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// The text of a variable, or of the file that it names with `_FILE` when it is a secret.
fn read(
    variables: &Variables,
    variable: &str,
    secret: bool,
) -> Result<Option<String>, ConfigError> {
    let file_variable = format!("{variable}_FILE");
    let path = variables.get(&file_variable).filter(|_| secret);
    match (variables.get(variable), path) {
        (Some(_), Some(_)) => Err(ConfigError::Ambiguous(variable.to_owned(), file_variable)),
        (Some(text), None) => Ok(Some(text.clone())),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err(ConfigError::Unreadable {
                named_by: file_variable,
                path: PathBuf::from(path),
                why: error.to_string(),
            }),
        },
        (None, None) => Ok(None),
    }
}

/// Reads the text as what the default is: a number, a truth, a list, or text.
fn setting(variable: &str, key: &str, text: String, known: &Dict) -> Result<Setting, ConfigError> {
    let value = match find(known, key) {
        Some(Value::Num(..)) => text
            .parse()
            .ok()
            .map(|number: i64| Value::from(Num::I64(number))),
        Some(Value::Bool(..)) => text.parse().ok().map(|truth: bool| Value::from(truth)),
        Some(Value::Array(..)) => serde_json::from_str(&text)
            .ok()
            .filter(|list: &Value| matches!(list, Value::Array(..))),
        _ => Some(Value::from(text)),
    };
    let wanted = match find(known, key) {
        Some(Value::Num(..)) => "must be a whole number",
        Some(Value::Bool(..)) => "must be true or false",
        _ => "must be a list, written as JSON",
    };
    let value = value.ok_or_else(|| ConfigError::Invalid {
        key: key.to_owned(),
        source_name: variable.to_owned(),
        why: wanted.to_owned(),
    })?;
    Ok(Setting {
        variable: variable.to_owned(),
        key: key.to_owned(),
        value,
    })
}

/// The issuers that well-known variables name.
pub(crate) fn issuers(variables: &Variables) -> Result<Vec<Issuer>, ConfigError> {
    let mut issuers = Vec::new();
    match variables.get("CLERK_ISSUER") {
        Some(issuer) => {
            let mut clerk = Issuer::new(IssuerKind::Clerk, issuer.clone());
            clerk.jwks_url = variables.get("CLERK_JWKS_URL").cloned();
            let audience = variables
                .get("CLERK_AUDIENCE")
                .map(String::as_str)
                .unwrap_or_default();
            let names = audience
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty());
            clerk.audience = names.map(ToOwned::to_owned).collect();
            issuers.push(clerk);
        }
        None => {
            // Half of a configuration believes nobody, silently: say so instead.
            if let Some(variable) = ["CLERK_JWKS_URL", "CLERK_AUDIENCE"]
                .into_iter()
                .find(|v| variables.contains_key(*v))
            {
                return Err(ConfigError::Invalid {
                    key: "identity.issuers".to_owned(),
                    source_name: variable.to_owned(),
                    why: "CLERK_ISSUER must be set as well".to_owned(),
                });
            }
        }
    }
    if let Some(issuer) = variables.get("KEYCLOAK_ISSUER") {
        issuers.push(Issuer::new(IssuerKind::Keycloak, issuer.clone()));
    }
    Ok(issuers)
}
