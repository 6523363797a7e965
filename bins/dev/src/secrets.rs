//! What is drawn once and kept: passwords, the pepper of API keys, the operators' key, and the key that signs tokens.

use std::{fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use kernel::id::random_bytes;

use crate::{
    env_file,
    failure::{Failure, While},
    home::Home,
};

/// The secrets of one folder.
pub(crate) struct Secrets {
    pub(crate) app_password: String,
    pub(crate) worker_password: String,
    pub(crate) owner_password: String,
    pub(crate) pepper: String,
    pub(crate) platform_key: String,
    pub(crate) demo_password: String,
    /// An Ed25519 private key as PKCS#8 PEM.
    pub(crate) signing_key_file: PathBuf,
}

/// What PKCS#8 puts before the 32 bytes of an Ed25519 private key (RFC 8410, section 7).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

impl Secrets {
    /// The secrets of a folder, drawn on the first run.
    pub(crate) fn of(home: &Home) -> Result<Self, Failure> {
        let path = home.path("secrets.env");
        let mut values = env_file::read(&path).while_(format!("reading {}", path.display()))?;
        let mut secret = |key: &str, prefix: &str| {
            let drawn = || format!("{prefix}{}", random_hex());
            values.entry(key.to_owned()).or_insert_with(drawn).clone()
        };
        let secrets = Self {
            app_password: secret("APP_PASSWORD", ""),
            worker_password: secret("WORKER_PASSWORD", ""),
            owner_password: secret("OWNER_PASSWORD", ""),
            pepper: secret("API_KEY_PEPPER", ""),
            platform_key: secret("PLATFORM_KEY", "plp_"),
            demo_password: secret("DEMO_PASSWORD", ""),
            signing_key_file: signing_key(home)?,
        };
        let pairs = values.iter().map(|(key, value)| (&**key, &**value));
        env_file::write(&path, pairs).while_(format!("writing {}", path.display()))?;
        Ok(secrets)
    }
}

/// 192 random bits, as text that neither a URL nor a shell needs quotes for.
fn random_hex() -> String {
    base16ct::lower::encode_string(&random_bytes::<24>())
}

fn signing_key(home: &Home) -> Result<PathBuf, Failure> {
    let path = home.path("signing-key.pem");
    if !fs::exists(&path).while_("looking for the signing key")? {
        let key = [&ED25519_PKCS8[..], &random_bytes::<32>()].concat();
        let key = BASE64.encode(key);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
        env_file::write_private(&path, &pem).while_(format!("writing {}", path.display()))?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_drawn_once_and_differ() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::take(folder.path()).unwrap();
        let first = Secrets::of(&home).unwrap();
        let second = Secrets::of(&home).unwrap();
        assert_eq!(first.pepper, second.pepper);
        assert_ne!(first.app_password, first.worker_password);
        assert!(first.pepper.len() >= 32);
        assert!(first.platform_key.starts_with("plp_"));
        let pem = fs::read_to_string(first.signing_key_file).unwrap();
        assert_eq!(
            pem.lines()
                .nth(1)
                .map(|key| BASE64.decode(key).unwrap().len()),
            Some(48)
        );
    }
}
