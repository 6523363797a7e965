//! Starts real clusters, as whoever runs the tests: root steps down to another user, everybody else stays.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::{
    collections::HashSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use plinth_local_pg::{
    Binaries, Cluster, ClusterError, Durability, Options, SharedCluster, process,
};

fn quiet(_: &str) {}

fn options(folder: &Path, durability: Durability) -> Options {
    Options {
        folder: folder.join("pg"),
        port: 0,
        durability,
    }
}

fn start(folder: &Path, durability: Durability) -> Cluster {
    let binaries = Binaries::find().unwrap();
    Cluster::start(&binaries, &options(folder, durability), &quiet).unwrap()
}

/// A folder that every user can reach, so that nothing here needs a stand-in.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The first byte that the server answers to a start-up message: `R` asks for, or waives, a password; the next four say which.
fn authentication(port: u16) -> u32 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], body].concat()).unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).unwrap();
    let [kind, _, _, _, _, method @ ..] = answer;
    assert_eq!(kind, b'R');
    u32::from_be_bytes(method)
}

const WAIVED: u32 = 0;
const SCRAM: u32 = 10;

fn server_pid(cluster: &Cluster) -> u32 {
    let file = cluster.folder().join("data/postmaster.pid");
    fs::read_to_string(file)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_durable_cluster_asks_for_its_password_and_keeps_its_data_port_and_password() {
    let folder = open_folder();
    let first = start(folder.path(), Durability::Durable);
    assert_eq!(authentication(first.port()), SCRAM);
    let url = first.superuser_url("postgres");
    let secret = first.folder().join("superuser.password");
    assert_eq!(
        fs::metadata(&secret).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let system = first.folder().join("data/global/pg_control");
    let identifier = fs::read(&system).unwrap().get(..8).unwrap().to_vec();
    let pid = server_pid(&first);
    first.stop();
    assert!(!process::runs(pid), "the server is gone when stop returns");

    let second = start(folder.path(), Durability::Durable);
    assert_eq!(second.superuser_url("postgres"), url);
    assert_eq!(fs::read(&system).unwrap().get(..8).unwrap(), identifier);
    second.stop();

    fs::remove_file(&secret).unwrap();
    let binaries = Binaries::find().unwrap();
    let failed = Cluster::start(
        &binaries,
        &options(folder.path(), Durability::Durable),
        &quiet,
    )
    .unwrap_err();
    assert!(
        matches!(failed, ClusterError::PasswordLost { .. }),
        "{failed}"
    );
}

#[test]
fn removing_the_folder_that_is_known_removes_data_that_had_to_be_kept_elsewhere() {
    // Closed to everybody but its owner: a server that root starts cannot get there, anybody else's can.
    let folder = open_folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let first = start(folder.path(), Durability::Durable);
    let (url, place) = (first.superuser_url("postgres"), first.folder().to_owned());
    first.stop();
    let again = start(folder.path(), Durability::Durable);
    assert_eq!(
        again.superuser_url("postgres"),
        url,
        "a second start finds the data again"
    );
    again.stop();
    fs::remove_dir_all(folder.path().join("pg")).unwrap();
    let anew = start(folder.path(), Durability::Durable);
    assert_eq!(anew.folder(), place);
    let password = |url: &str| url.split('@').next().unwrap().to_owned();
    assert_ne!(password(&anew.superuser_url("postgres")), password(&url));
    anew.stop();
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn a_throw_away_cluster_asks_nobody_and_stops_when_it_is_dropped() {
    let folder = open_folder();
    let cluster = start(folder.path(), Durability::ThrowAway);
    assert_eq!(authentication(cluster.port()), WAIVED);
    let pid = server_pid(&cluster);
    drop(cluster);
    assert!(!process::runs(pid));
}

#[test]
fn a_server_that_was_left_behind_is_replaced() {
    let folder = open_folder();
    let left_behind = start(folder.path(), Durability::Durable);
    let pid = server_pid(&left_behind);
    std::mem::forget(left_behind);
    let next = start(folder.path(), Durability::Durable);
    assert_ne!(server_pid(&next), pid);
    assert_eq!(authentication(next.port()), SCRAM);
}

#[test]
fn a_server_that_was_killed_outright_recovers() {
    let folder = open_folder();
    let killed = start(folder.path(), Durability::Durable);
    let killed_pid = server_pid(&killed);
    Command::new("kill")
        .args(["-9", &killed_pid.to_string()])
        .status()
        .unwrap();
    std::mem::forget(killed);
    let next = start(folder.path(), Durability::Durable);
    assert_eq!(authentication(next.port()), SCRAM);
}

#[test]
fn a_stale_pid_file_that_names_another_process_does_not_cost_that_process_its_life() {
    let folder = open_folder();
    start(folder.path(), Durability::ThrowAway).stop();
    let mut bystander = Command::new("sleep").arg("62.5").spawn().unwrap();
    let stale = format!(
        "{}\n/elsewhere\n1\n1\n\n127.0.0.1\n0 0\nready\n",
        bystander.id()
    );
    fs::write(folder.path().join("pg/data/postmaster.pid"), stale).unwrap();
    start(folder.path(), Durability::ThrowAway).stop();
    assert!(process::runs(bystander.id()));
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn data_of_another_version_are_refused_by_name() {
    let folder = open_folder();
    start(folder.path(), Durability::ThrowAway).stop();
    fs::write(folder.path().join("pg/data/PG_VERSION"), "9\n").unwrap();
    let binaries = Binaries::find().unwrap();
    let failed = Cluster::start(
        &binaries,
        &options(folder.path(), Durability::ThrowAway),
        &quiet,
    )
    .unwrap_err()
    .to_string();
    assert!(failed.contains("written by PostgreSQL 9"), "{failed}");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_so() {
    let folder = open_folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let binaries = Binaries::find().unwrap();
    let options = Options {
        port,
        ..options(folder.path(), Durability::ThrowAway)
    };
    let failed = Cluster::start(&binaries, &options, &quiet)
        .unwrap_err()
        .to_string();
    assert!(failed.contains("Address already in use"), "{failed}");
}

#[test]
fn a_shared_cluster_is_started_once_and_stops_when_nobody_needs_it() {
    let folder = open_folder();
    let wanted = folder.path().join("shared");
    let binaries = Binaries::find().unwrap();
    let joined: Vec<SharedCluster> = std::thread::scope(|scope| {
        let joins: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| SharedCluster::join(&binaries, &wanted, &quiet).unwrap()))
            .collect();
        joins.into_iter().map(|join| join.join().unwrap()).collect()
    });
    let ports: HashSet<u16> = joined.iter().map(SharedCluster::port).collect();
    assert_eq!(ports.len(), 1, "{ports:?}");
    let file = wanted.join("data/postmaster.pid");
    let pid: u32 = fs::read_to_string(file)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(process::runs(pid));
    drop(joined);
    let mut touch = Command::new("touch");
    touch
        .args(["-t", "202001010000"])
        .arg(wanted.join("heartbeat"))
        .status()
        .unwrap();
    let start = Instant::now();
    while process::runs(pid) && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!process::runs(pid), "the watcher stops the server");
}
