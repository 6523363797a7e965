//! What happens at a limit: it is held, only told, or held after a grace.

use time::{Duration, OffsetDateTime};

/// What happens at a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Nothing is taken beyond it.
    #[default]
    Hard,
    /// Everything is taken, and whoever takes is told.
    Soft,
    /// As [`Enforcement::Soft`] for some way or some time, and then as [`Enforcement::Hard`].
    Grace(Grace),
}

/// How far and how long a limit may be exceeded. With neither it would be [`Enforcement::Soft`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// Percent of the limit that may be used on top of it; `None` has no bound.
    pub percent: Option<u16>,
    /// How long, from when the limit was first crossed; `None` has no end.
    pub lasts: Option<Duration>,
}

impl Enforcement {
    /// The enforcement as stores and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Grace(_) => "grace",
        }
    }

    /// Reads the text of [`Enforcement::as_str`] and what belongs to a grace. `None` for another text, a grace that grants nothing, and
    /// terms of a grace without one.
    #[must_use]
    pub fn parse(text: &str, percent: Option<u16>, lasts: Option<Duration>) -> Option<Self> {
        match (text, percent.is_some() || lasts.is_some()) {
            ("hard", false) => Some(Self::Hard),
            ("soft", false) => Some(Self::Soft),
            ("grace", true) => Some(Self::Grace(Grace { percent, lasts })),
            _ => None,
        }
    }

    /// The terms of the grace.
    #[must_use]
    pub const fn grace(self) -> Option<Grace> {
        match self {
            Self::Grace(grace) => Some(grace),
            Self::Hard | Self::Soft => None,
        }
    }

    /// When the grace ends that started at `crossed_at`; `None` when it has not started, or has no end.
    #[must_use]
    pub fn grace_ends_at(self, crossed_at: Option<OffsetDateTime>) -> Option<OffsetDateTime> {
        let lasts = self.grace()?.lasts?;
        crossed_at?.checked_add(lasts)
    }

    /// The most that may be used at `at` where the limit is `maximum` and was first crossed at `crossed_at`; `None` has no bound.
    #[must_use]
    pub fn ceiling(
        self,
        maximum: i64,
        crossed_at: Option<OffsetDateTime>,
        at: OffsetDateTime,
    ) -> Option<i64> {
        match self {
            Self::Hard => Some(maximum),
            Self::Soft => None,
            Self::Grace(_) if self.grace_ends_at(crossed_at).is_some_and(|end| end <= at) => {
                Some(maximum)
            }
            Self::Grace(grace) => grace.percent.map(|percent| {
                let on_top = i128::from(maximum) * i128::from(percent) / 100;
                maximum.saturating_add(i64::try_from(on_top).unwrap_or(i64::MAX))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-01 0:00 UTC);

    fn grace(percent: Option<u16>, lasts: Option<Duration>) -> Enforcement {
        Enforcement::Grace(Grace { percent, lasts })
    }

    #[test]
    fn a_hard_limit_is_a_ceiling_and_a_soft_one_is_none() {
        assert_eq!(Enforcement::Hard.ceiling(10, None, NOW), Some(10));
        assert_eq!(Enforcement::Soft.ceiling(10, Some(NOW), NOW), None);
    }

    #[test]
    fn grace_reaches_so_far_and_half_a_thing_is_none() {
        let by = |percent| grace(Some(percent), None);
        assert_eq!(by(20).ceiling(10, None, NOW), Some(12));
        assert_eq!(by(20).ceiling(4, None, NOW), Some(4));
        assert_eq!(by(20).ceiling(0, None, NOW), Some(0));
        assert_eq!(by(1000).ceiling(i64::MAX, None, NOW), Some(i64::MAX));
    }

    #[test]
    fn grace_lasts_from_the_first_crossing_and_not_an_instant_longer() {
        let hour = grace(None, Some(Duration::hours(1)));
        let after = |seconds| hour.ceiling(10, Some(NOW), NOW + Duration::seconds(seconds));
        assert_eq!(hour.ceiling(10, None, NOW), None);
        assert_eq!((after(3599), after(3600)), (None, Some(10)));
        let both = grace(Some(50), Some(Duration::hours(1)));
        assert_eq!(both.ceiling(10, Some(NOW), NOW), Some(15));
        assert_eq!(
            both.grace_ends_at(Some(NOW)),
            Some(NOW + Duration::hours(1))
        );
        assert_eq!(
            both.ceiling(10, Some(NOW), NOW + Duration::hours(1)),
            Some(10)
        );
    }

    #[test]
    fn only_a_grace_has_terms() {
        assert_eq!(
            Enforcement::parse("hard", None, None),
            Some(Enforcement::Hard)
        );
        assert_eq!(Enforcement::parse("soft", Some(5), None), None);
        assert_eq!(Enforcement::parse("grace", None, None), None);
        assert_eq!(
            Enforcement::parse("grace", Some(5), None),
            Some(grace(Some(5), None))
        );
        assert_eq!(Enforcement::parse("firm", None, None), None);
    }
}
