//! Lists the replaceable SQL for `migrate.rs`, digests every script, and makes cargo notice when one is added or changed.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let migrations = fs::canonicalize("../../migrations")?;
    println!("cargo::rerun-if-changed={}", migrations.display());

    let mut digest = DefaultHasher::new();
    for script in scripts(&migrations)? {
        script
            .strip_prefix(&migrations)
            .unwrap_or(&script)
            .hash(&mut digest);
        fs::read(&script)?.hash(&mut digest);
        println!("cargo::rerun-if-changed={}", script.display());
    }
    println!(
        "cargo::rustc-env=PLINTH_MIGRATIONS_DIGEST={:016x}",
        digest.finish()
    );

    let rows: String = scripts(&migrations.join("replaceable"))?
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            format!(
                "    ({name:?}, include_str!({:?})),\n",
                path.display().to_string()
            )
        })
        .collect();
    let out = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("replaceable.rs");
    fs::write(
        out,
        format!("const REPLACEABLE: &[(&str, &str)] = &[\n{rows}];\n"),
    )
}

/// Every SQL file below `folder`, sorted.
fn scripts(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(scripts(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
