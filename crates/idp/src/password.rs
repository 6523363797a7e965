//! argon2id, away from the threads that serve requests.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc},
};
use identity::{HasherError, Password, PasswordHash, PasswordHasher};
use kernel::BoxFuture;
use tokio::sync::Semaphore;

/// How many run at once. Each takes 19 MiB and a core for some 20 ms.
const RUNNING: usize = 2;
/// How many wait at most: more than that would wait for longer than a client does.
const WAITING: usize = 64;
/// The most that an imported hash may ask for, in KiB.
const MAX_MEMORY: u32 = 256 * 1024;
/// The most rounds that an imported hash may ask for.
const MAX_ROUNDS: u32 = 16;

/// [`PasswordHasher`] with OWASP's parameters for argon2id: 19 MiB, two rounds, one lane.
pub struct Argon2Hasher {
    permits: Semaphore,
    queued: AtomicUsize,
    /// What an unknown user's password is compared with.
    dummy: PasswordHash,
}

impl Argon2Hasher {
    /// A hasher. Hashes once, to have something that unknown users' passwords are compared with.
    ///
    /// # Errors
    /// [`HasherError::Failed`] when the parameters are refused.
    pub fn new() -> Result<Arc<Self>, HasherError> {
        Ok(Arc::new(Self {
            permits: Semaphore::new(RUNNING),
            queued: AtomicUsize::new(0),
            dummy: hash("nobody has this password")?,
        }))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HasherError> + Send + 'static,
    ) -> Result<T, HasherError> {
        let _place = Place::take(&self.queued).ok_or(HasherError::Busy)?;
        let _permit = self.permits.acquire().await.map_err(failed)?;
        tokio::task::spawn_blocking(work).await.map_err(failed)?
    }
}

/// A place in the queue; given back also when the client goes away.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(queued: &'a AtomicUsize) -> Option<Self> {
        let place = Self(queued);
        (queued.fetch_add(1, Ordering::Relaxed) < RUNNING + WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PasswordHasher for Argon2Hasher {
    fn hash(&self, password: Password) -> BoxFuture<'_, Result<PasswordHash, HasherError>> {
        Box::pin(self.run(move || hash(password.expose())))
    }

    fn verify(
        &self,
        password: Password,
        kept: Option<PasswordHash>,
    ) -> BoxFuture<'_, Result<bool, HasherError>> {
        let known = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.dummy.clone());
        Box::pin(self.run(move || Ok(verify(password.expose(), &kept)? && known)))
    }
}

fn argon2() -> Result<Argon2<'static>, HasherError> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<PasswordHash, HasherError> {
    let hash = argon2()?
        .hash_password(password.as_bytes())
        .map_err(failed)?;
    Ok(PasswordHash::stored(hash.to_string()))
}

fn verify(password: &str, kept: &PasswordHash) -> Result<bool, HasherError> {
    let kept = phc::PasswordHash::new(kept.as_str()).map_err(failed)?;
    let params = Params::try_from(&kept).map_err(failed)?;
    if params.m_cost() > MAX_MEMORY || params.t_cost() > MAX_ROUNDS {
        return Err(HasherError::Failed(
            "the stored hash asks for too much".to_owned(),
        ));
    }
    // The parameters of the stored hash are the ones that count.
    Ok(argon2()?
        .verify_password(password.as_bytes(), &kept)
        .is_ok())
}

fn failed(error: impl std::fmt::Display) -> HasherError {
    HasherError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(text: &str) -> Password {
        Password::offered(text.into())
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_and_nobody_matches_none() {
        let hasher = Argon2Hasher::new().unwrap();
        let hash = hasher.hash(offered("correct horse")).await.unwrap();
        assert!(
            hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hash.as_str()
        );
        assert!(
            hasher
                .verify(offered("correct horse"), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(offered("wrong horse"), Some(hash))
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(offered("nobody has this password"), None)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn a_flood_is_turned_away_and_leaves_no_trace() {
        let hasher = Argon2Hasher::new().unwrap();
        let places: Vec<_> = (0..RUNNING + WAITING)
            .map(|_| Place::take(&hasher.queued).unwrap())
            .collect();
        assert_eq!(
            hasher.verify(offered("x"), None).await,
            Err(HasherError::Busy)
        );
        drop(places);
        assert_eq!(hasher.verify(offered("x"), None).await, Ok(false));
        assert_eq!(hasher.queued.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_hash_that_asks_for_too_much_is_refused() {
        let greedy = "$argon2id$v=19$m=1048576,t=2,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ";
        assert!(verify("x", &PasswordHash::stored(greedy.to_owned())).is_err());
    }
}
