//! The same choices from the same seed.

/// SplitMix64, which is enough to choose by, and the same on every machine.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub(super) const fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(super) const fn one_in(&mut self, times: u64) -> bool {
        self.within(1, times) == 1
    }

    /// Where to look in a list of this length; none when it is empty.
    pub(super) fn index(&mut self, length: usize) -> Option<usize> {
        let last = u64::try_from(length).ok()?.checked_sub(1)?;
        usize::try_from(self.within(0, last)).ok()
    }

    /// Another sequence, which depends on this one alone.
    pub(super) const fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_numbers_of_splitmix64() {
        let mut random = Random::seeded(1_234_567);
        let drawn = [random.next(), random.next(), random.next()];
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
        assert!((0..1000).all(|_| (3..=5).contains(&random.within(3, 5))));
        assert_eq!(random.index(0), None);
        assert_eq!(random.index(1), Some(0));
    }
}
