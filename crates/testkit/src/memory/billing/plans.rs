//! Plans in memory.

use std::collections::BTreeMap;

use billing::{Catalogue, Grant, Plan, PlanRef};
use kernel::StoreError;

use super::catalogue;
use crate::memory::MemoryTx;

/// Every version that was published, and which of them is sold.
#[derive(Clone)]
pub(super) struct Plans {
    versions: BTreeMap<PlanRef, Published>,
    /// In the order of the catalogue.
    on_sale: Vec<PlanRef>,
    aliases: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Published {
    /// Which catalogue brought it.
    catalogue: &'static str,
    plan: Plan,
}

impl Default for Plans {
    /// What a migrated database sells.
    fn default() -> Self {
        let mut plans = Self {
            versions: BTreeMap::new(),
            on_sale: Vec::new(),
            aliases: BTreeMap::new(),
        };
        plans.load(catalogue::named("default"));
        plans
    }
}

impl Plans {
    /// Sells a catalogue instead of what is sold now. A version that it published before is sold again.
    pub(super) fn load(&mut self, wanted: &catalogue::Catalogue) {
        let sheets = wanted.plans.iter();
        self.on_sale = sheets
            .map(|sheet| {
                self.published_by(wanted.name, sheet.code)
                    .unwrap_or_else(|| self.publish(wanted.name, sheet))
            })
            .collect();
        let aliases = wanted.aliases.iter();
        self.aliases = aliases
            .map(|(alias, code)| ((*alias).to_owned(), (*code).to_owned()))
            .collect();
    }

    fn versions_of<'a>(&'a self, code: &'a str) -> impl DoubleEndedIterator<Item = &'a Published> {
        let published = self.versions.values();
        published.filter(move |published| published.plan.code == code)
    }

    fn published_by(&self, catalogue: &str, code: &str) -> Option<PlanRef> {
        let newest_first = self.versions_of(code).rev();
        newest_first
            .filter(|published| published.catalogue == catalogue)
            .map(|published| published.plan.reference())
            .next()
    }

    fn publish(&mut self, catalogue: &'static str, sheet: &catalogue::Sheet) -> PlanRef {
        let newest = self.versions_of(sheet.code).next_back();
        let version = newest.map_or(1, |published| published.plan.version + 1);
        let plan = sheet.published(version);
        let reference = plan.reference();
        self.versions
            .insert(reference.clone(), Published { catalogue, plan });
        reference
    }

    pub(super) fn version(&self, plan: &PlanRef) -> Option<&Plan> {
        self.versions.get(plan).map(|published| &published.plan)
    }

    pub(super) fn sold_as(&self, code: &str) -> Option<&Plan> {
        let sold = self.on_sale.iter().find(|plan| plan.code == code)?;
        self.version(sold)
    }

    /// Whether any version of any plan grants something like this.
    pub(super) fn grant_something(&self, like: impl Fn(&Grant) -> bool) -> bool {
        let grants = self.versions.values().flat_map(|one| &one.plan.grants);
        grants.into_iter().any(like)
    }

    /// What a version of a plan grants: all of it, or what it says about one key.
    pub(super) fn grants(&self, plan: &PlanRef, key: Option<&str>) -> Vec<Grant> {
        let grants = self.version(plan).map(|plan| plan.grants.iter());
        let about = |grant: &&Grant| key.is_none_or(|key| grant.key == key);
        grants
            .into_iter()
            .flatten()
            .filter(about)
            .cloned()
            .collect()
    }
}

impl Catalogue for MemoryTx {
    fn plans_on_sale(&mut self) -> Result<Vec<Plan>, StoreError> {
        let plans = &self.tables.billing.plans;
        let sold = plans.on_sale.iter();
        Ok(sold
            .filter_map(|plan| plans.version(plan).cloned())
            .collect())
    }

    fn plan_on_sale(&mut self, code: &str) -> Result<Option<Plan>, StoreError> {
        let plans = &self.tables.billing.plans;
        let by_alias = || plans.sold_as(plans.aliases.get(code)?);
        Ok(plans.sold_as(code).or_else(by_alias).cloned())
    }

    fn plan(&mut self, plan: &PlanRef) -> Result<Plan, StoreError> {
        let version = self.tables.billing.plans.version(plan);
        let missing = || StoreError::Unexpected("there is no such version of a plan".to_owned());
        version.cloned().ok_or_else(missing)
    }
}
