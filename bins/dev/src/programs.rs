//! `plinth-api` and `plinth-worker`: built, found, and told where things are.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::{
    database::Database,
    environment,
    failure::{Failure, While},
    home::Home,
    secrets::Secrets,
    terminal::say,
};

/// A program and the variables it runs with.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// Builds both programs when cargo runs us, and finds them beside ourselves.
pub(crate) async fn build() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().while_("finding our own program")?;
    let folder = own.parent().unwrap_or(Path::new(".")).to_owned();
    if let Some(cargo) = environment::cargo() {
        say("Building plinth-api and plinth-worker …");
        let mut build = Command::new(cargo);
        build.args([
            "build",
            "--package",
            "plinth-api",
            "--package",
            "plinth-worker",
        ]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let built = build
            .current_dir(workspace)
            .kill_on_drop(true)
            .status()
            .await;
        if !built.while_("starting cargo")?.success() {
            return Err(Failure::new("the build failed: see above"));
        }
    }
    for name in ["plinth-api", "plinth-worker"] {
        if !folder.join(name).is_file() {
            let folder = folder.display();
            return Err(Failure(format!(
                "{folder} holds no {name}: start this by `cargo dev`"
            )));
        }
    }
    Ok(folder)
}

/// Both programs, told where everything is. What they do not need to know, they are not told: neither gets the owner's URL.
pub(crate) fn programs(
    folder: &Path,
    home: &Home,
    port: u16,
    database: &Database,
    secrets: &Secrets,
) -> [Program; 2] {
    let url = format!("http://127.0.0.1:{port}");
    let common = [
        ("PLINTH__ENVIRONMENT", "dev".to_owned()),
        ("PLINTH__LOG__FORMAT", "pretty".to_owned()),
        (
            "PLINTH__MAIL__FILE",
            home.path("mail").display().to_string(),
        ),
        ("PLINTH__MAIL__LINK_BASE", url.clone()),
        // The API keeps keys under it; both make the tokens of invitations with it.
        ("PLINTH__IDENTITY__API_KEY_PEPPER", secrets.pepper.clone()),
    ];
    let api = [
        ("DATABASE_URL", database.app_url.clone()),
        ("PLINTH__HTTP__BIND", "127.0.0.1".to_owned()),
        ("PLINTH__HTTP__PORT", port.to_string()),
        ("PLINTH__HTTP__SHUTDOWN_SECONDS", "2".to_owned()),
        // Whoever tries things out should not be told to slow down.
        ("PLINTH__RATE_LIMIT__REQUESTS_PER_SECOND", "0".to_owned()),
        (
            "PLINTH__RATE_LIMIT__SIGN_IN_PER_MINUTE",
            "100000".to_owned(),
        ),
        ("PLINTH__IDENTITY__LOCAL__ISSUER", url),
        (
            "PLINTH__IDENTITY__LOCAL__SIGNING_KEY_FILE",
            secrets.signing_key_file.display().to_string(),
        ),
        ("PLINTH__PLATFORM__KEY", secrets.platform_key.clone()),
    ];
    let worker = [("WORKER_DATABASE_URL", database.worker_url.clone())];
    let program = |name, own: &[(&'static str, String)]| Program {
        name,
        path: folder.join(name),
        variables: common.iter().chain(own).cloned().collect(),
    };
    [
        program("plinth-api", &api),
        program("plinth-worker", &worker),
    ]
}
