//! The layers, one over the other.

use std::path::PathBuf;

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use crate::{
    Config, ConfigError, DEFAULTS, Service,
    check::check,
    keys::{first_unknown, is_secret, nearest},
    variables::{self, Setting, Variables},
};

/// The variable that names the file.
const FILE: &str = "PLINTH_CONFIG";

impl Config {
    /// Reads the environment, and the file that it names.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load() -> Result<Self, ConfigError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::from_variables(variables)
    }

    /// As [`Config::load`], and everything that `service` needs must be there.
    ///
    /// # Errors
    /// See [`ConfigError`]; [`ConfigError::Missing`] names all that is missing at once.
    pub fn load_for(service: Service) -> Result<Self, ConfigError> {
        let config = Self::load()?;
        config.require(service)?;
        Ok(config)
    }

    /// Reads the given variables, and the file that they name.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let variables: Variables = variables
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let defaults = parse(DEFAULTS, PathBuf::from("defaults.toml"))?;
        let mut figment = Figment::from(Layer::new("the defaults", defaults.clone()));
        if let Some(path) = variables.get(FILE) {
            figment = figment.merge(Layer::new(path, read_file(path, &defaults)?));
        }
        for setting in variables::settings(&variables, &defaults)? {
            figment = figment.merge(Layer::of(setting));
        }
        let mut config: Self = figment.extract().map_err(|error| explain(&error))?;
        for issuer in variables::issuers(&variables)? {
            if config
                .identity
                .issuers
                .iter()
                .all(|listed| listed.issuer != issuer.issuer)
            {
                config.identity.issuers.push(issuer);
            }
        }
        check(&config)?;
        Ok(config)
    }

    /// Demands everything that `service` needs.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] with all that is missing.
    pub fn require(&self, service: Service) -> Result<(), ConfigError> {
        let demands = match service {
            Service::Api => vec![
                self.database.app_url().map(drop),
                self.identity.peppers().map(drop),
                self.identity.local.key().map(drop),
            ],
            Service::Worker => vec![
                self.database.worker_url().map(drop),
                self.identity.peppers().map(drop),
                self.mail.transport().map(drop),
            ],

            Service::Migrate => vec![self.database.owner_url().map(drop)],
        };
        let mut missing = Vec::new();
        for demand in demands {
            match demand {
                Err(ConfigError::Missing(more)) => missing.extend(more),
                other => other?,
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Missing(missing))
        }
    }
}

/// One source of values.
struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    fn new(name: impl Into<String>, values: Dict) -> Self {
        Self {
            name: name.into(),
            values,
        }
    }

    fn of(setting: Setting) -> Self {
        let value = setting.key.rsplit('.').fold(setting.value, |value, name| {
            Value::from(Dict::from([(name.to_owned(), value)]))
        });
        Self::new(setting.variable, value.into_dict().unwrap_or_default())
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

fn parse(text: &str, path: PathBuf) -> Result<Dict, ConfigError> {
    Toml::from_str(text).map_err(|error| {
        // The parser's own text quotes the line, which may hold a secret.
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        ConfigError::Syntax {
            path,
            line,
            why: error.message().to_owned(),
        }
    })
}

fn read_file(path: &str, known: &Dict) -> Result<Dict, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        named_by: FILE.to_owned(),
        path: PathBuf::from(path),
        why: error.to_string(),
    })?;
    let values = parse(&text, PathBuf::from(path))?;
    match first_unknown(&values, known) {
        None => Ok(values),
        Some(name) => Err(ConfigError::Unknown {
            suggestion: nearest(&name, known),
            name,
            source_name: path.to_owned(),
        }),
    }
}

/// Turns figment's error into ours, without the value when that is a secret.
fn explain(error: &figment::Error) -> ConfigError {
    let key = error.path.join(".");
    let why = if is_secret(&key) || error.path.iter().any(|name| name.contains("pepper")) {
        "must be text".to_owned()
    } else {
        error.kind.to_string()
    };
    let source = error
        .metadata
        .as_ref()
        .map(|metadata| metadata.name.clone().into_owned());
    ConfigError::Invalid {
        key,
        source_name: source.unwrap_or_default(),
        why,
    }
}
