//! Who may depend on whom, as a table. A crate that is not in the table fails, so that nobody adds one without deciding where it stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::LazyLock,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

const DOMAINS: &[&str] = &["audit", "tenancy", "identity", "usage", "billing"];
/// What every domain may stand on.
const BELOW: &[&str] = &["kernel", "audit"];

/// What must never be reachable from a domain, through however many crates.
const TECHNOLOGY: &[&str] = &[
    "diesel",
    "diesel_migrations",
    "deadpool",
    "deadpool-diesel",
    "pq-sys",
    "actix-web",
    "axum",
    "hyper",
    "reqwest",
    "lettre",
    "tokio",
    "utoipa",
    "validator",
    "figment",
    "tracing-subscriber",
];

/// A crate of ours, and what it may depend on in production. `@domains` and `@everything` stand for lists.
const RULES: &[(&str, &[&str], &str)] = &[
    ("kernel", &[], "the kernel stands on nothing of ours"),
    (
        "audit",
        &["kernel"],
        "audit stands on the kernel alone: every other domain stands on it",
    ),
    ("tenancy", BELOW, DOMAIN_RULE),
    ("identity", BELOW, DOMAIN_RULE),
    ("usage", BELOW, DOMAIN_RULE),
    ("billing", BELOW, DOMAIN_RULE),
    (
        "app",
        &["kernel", "@domains"],
        "app composes domains and knows no adapter",
    ),
    ("rest", &["kernel", "@domains", "app"], INBOUND_RULE),
    ("jobs", &["kernel", "@domains", "app"], INBOUND_RULE),
    (
        "pg",
        &["kernel", "@domains", "app", "pg-schema"],
        "pg implements ports; of the adapters it knows pg-schema alone",
    ),
    ("pg-schema", &[], "pg-schema is the schema and nothing else"),
    ("idp", &["kernel", "@domains", "app"], OUTBOUND_RULE),
    ("gateways", &["kernel", "@domains", "app"], OUTBOUND_RULE),
    (
        "config",
        &["kernel"],
        "configuration is read by the binaries and handed on as values",
    ),
    (
        "local-pg",
        &[],
        "local-pg runs PostgreSQL and knows nothing of Plinth",
    ),
    (
        "testkit",
        &["kernel", "@domains", "app", "idp", "pg", "local-pg"],
        "testkit knows what tests need, and no inbound crate",
    ),
    (
        "fuzz-targets",
        &["kernel", "@domains"],
        "fuzz targets hold properties of pure code, and build without any technology",
    ),
    ("api", &["@everything"], WIRING_RULE),
    ("worker", &["@everything"], WIRING_RULE),
    (
        "migrate",
        &["kernel", "usage", "pg"],
        "migrate changes the schema, and brings usage in by the rules of its domain",
    ),
    (
        "dev",
        &["kernel", "pg", "local-pg"],
        "dev drives the other binaries from outside, as an operator would",
    ),
];

const DOMAIN_RULE: &str = "domains never depend on each other: declare a port, or consume an event";
const INBOUND_RULE: &str = "inbound crates know domains and app, never an adapter or each other";
const OUTBOUND_RULE: &str = "adapters implement ports and never depend on each other";
const WIRING_RULE: &str = "a server binary wires everything but the tools for development";

/// What no production crate may depend on, `dev` and `testkit` excepted.
const TOOLS: &[&str] = &["testkit", "local-pg", "fuzz-targets"];

fn allowed(names: &[&'static str]) -> BTreeSet<&'static str> {
    let everything = || {
        RULES
            .iter()
            .map(|(name, ..)| *name)
            .filter(|name| !TOOLS.contains(name))
    };
    names
        .iter()
        .flat_map(|name| match *name {
            "@domains" => DOMAINS.to_vec(),
            "@everything" => everything().collect(),
            name => vec![name],
        })
        .collect()
}

/// What cargo knows of the workspace, asked once. Of this machine's platform only: crates for others may not have been downloaded.
fn metadata() -> &'static Metadata {
    static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
        let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap();
        MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
            .other_options(["--offline", "--filter-platform", host].map(ToOwned::to_owned))
            .exec()
            .unwrap()
    });
    &METADATA
}

/// The name of one of our packages, as the rules write it.
fn short(package: &str) -> Option<&str> {
    package.strip_prefix("plinth-")
}

fn ours(metadata: &Metadata) -> Vec<&Package> {
    metadata.workspace_packages()
}

#[test]
fn every_crate_depends_only_on_what_its_rule_allows() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in ours(metadata) {
        let name = short(&package.name).unwrap();
        let Some((_, may, why)) = RULES.iter().find(|(rule, ..)| *rule == name) else {
            broken.push(format!(
                "`{name}` is in no rule: add a line that says where it stands"
            ));
            continue;
        };
        let may = allowed(may);
        for dependency in &package.dependencies {
            let production = dependency.kind != DependencyKind::Development;
            if let Some(on) = short(&dependency.name)
                && production
                && !may.contains(on)
            {
                broken.push(format!("`{name}` must not depend on `{on}`: {why}"));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_rule_is_about_a_crate_that_exists() {
    let metadata = metadata();
    let names: BTreeSet<_> = ours(metadata)
        .iter()
        .filter_map(|it| short(&it.name))
        .collect();
    let rules: BTreeSet<_> = RULES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(rules, names);
}

#[test]
fn no_path_leads_from_a_domain_to_a_technology() {
    let metadata = metadata();
    let edges = production_edges(metadata);
    let mut broken = Vec::new();
    for name in ["kernel"].iter().chain(DOMAINS).chain(&["app"]) {
        let start = metadata
            .packages
            .iter()
            .find(|it| short(&it.name) == Some(name))
            .unwrap();
        for (found, path) in reachable(&edges, &start.id) {
            let found = &metadata[found].name;
            if TECHNOLOGY.contains(&found.as_str()) {
                let path: Vec<_> = path.iter().map(|id| metadata[*id].name.as_str()).collect();
                broken.push(format!(
                    "`{name}` reaches `{found}` ({}): rules compile without any technology",
                    path.join(" → ")
                ));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// Who needs whom to be built for production: what cargo resolved, without development dependencies.
fn production_edges(metadata: &Metadata) -> BTreeMap<&PackageId, Vec<&PackageId>> {
    let resolved = metadata.resolve.as_ref().unwrap();
    let edges = resolved.nodes.iter().map(|node| {
        let needed = node.deps.iter().filter(|dependency| {
            dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal)
        });
        (&node.id, needed.map(|dependency| &dependency.pkg).collect())
    });
    edges.collect()
}

/// Everything behind `start`, each with one path that leads there.
fn reachable<'m>(
    edges: &BTreeMap<&'m PackageId, Vec<&'m PackageId>>,
    start: &'m PackageId,
) -> BTreeMap<&'m PackageId, Vec<&'m PackageId>> {
    let mut paths = BTreeMap::from([(start, vec![start])]);
    let mut open = vec![start];
    while let Some(from) = open.pop() {
        let so_far = paths.get(from).cloned().unwrap_or_default();
        for &to in edges.get(from).into_iter().flatten() {
            paths.entry(to).or_insert_with(|| {
                open.push(to);
                so_far.iter().copied().chain([to]).collect()
            });
        }
    }
    paths
}

#[test]
fn the_search_for_paths_finds_technology_where_it_is() {
    let metadata = metadata();
    let edges = production_edges(metadata);
    let pg = metadata
        .packages
        .iter()
        .find(|it| short(&it.name) == Some("pg"))
        .unwrap();
    let found: BTreeSet<_> = reachable(&edges, &pg.id)
        .into_keys()
        .map(|id| metadata[id].name.as_str())
        .collect();
    for expected in ["diesel", "deadpool-diesel", "tokio"] {
        assert!(found.contains(expected), "pg is built on {expected}");
    }
}
