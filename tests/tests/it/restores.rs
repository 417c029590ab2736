//! Data dirs that are made of snapshots, beside those that etcd's own tool makes, and under etcd of each version.

use std::path::Path;
use std::process::Command;

use etcdsh_core::format::bolt::Image;
use etcdsh_core::format::check::check;
use etcdsh_core::format::hashkv::hashkv;
use etcdsh_core::format::wal;
use etcdsh_core::restore::{Restored, Spec, restore};
use etcdsh_core::version::Version;
use etcdsh_tests::{Running, Seat, Started, Tools, etcd, lone, program, run};
use rstest::rstest;
use serde_json::Value as Json;

use crate::formats::{filled, saved, status};

/// By how much revisions are raised here.
const BUMP: u64 = 1000;
const WAL: &str = "0000000000000000-0000000000000000.wal";

/// Returns the same with these members, of which the first is the one whose data dir is made.
fn with(spec: Spec, members: &[(&str, &str)]) -> Spec {
    let pair = |(name, url): &(&str, &str)| ((*name).to_owned(), (*url).to_owned());
    let name = members[0].0.to_owned();
    let own = members.iter().filter(|(member, _)| *member == name).map(|(_, url)| (*url).to_owned()).collect();
    Spec { name, initial_cluster: members.iter().map(pair).collect(), initial_advertise_peer_urls: own, ..spec }
}

fn made(source: &Path, spec: &Spec) -> Restored {
    restore(&Image::open(source).unwrap(), spec).unwrap()
}

/// Does the same with etcd's own tool.
fn made_by_etcdutl(tools: &Tools, source: &Path, spec: &Spec) {
    let list = |(name, url): &(String, String)| format!("{name}={url}");
    let cluster: Vec<_> = spec.initial_cluster.iter().map(list).collect();
    let mut command = Command::new(tools.program("etcdutl"));
    command.args(["snapshot", "restore", "--name", &spec.name, "--initial-cluster", &cluster.join(",")]);
    command.args(["--initial-cluster-token", &spec.initial_cluster_token, "--initial-advertise-peer-urls"]);
    command.arg(spec.initial_advertise_peer_urls.join(",")).arg("--data-dir").arg(&spec.data_dir).arg(source);
    if let Some(bump) = spec.bump_revision {
        command.args(["--bump-revision", &bump.to_string(), "--mark-compacted"]);
    }
    if spec.skip_hash_check {
        command.arg("--skip-hash-check");
    }
    run(&mut command, "").unwrap();
}

/// Makes data dirs of one source by both, and compares them.
fn assert_same(cluster: &Running, tools: &Tools, source: &Path, wanted: &[(&str, Spec)]) {
    let version = tools.version.as_str();
    let hash = |file: &Path| status(cluster, file).unwrap()["hash"].clone();
    for (what, spec) in wanted {
        let theirs = Spec { data_dir: spec.data_dir.with_extension("theirs"), ..spec.clone() };
        made_by_etcdutl(tools, source, &theirs);
        let ours = made(source, spec);
        assert_eq!(hash(&ours.db), hash(&theirs.data_dir.join("member/snap/db")), "{version}, {what}");
        let same = |file: &str| {
            let read = |spec: &Spec| std::fs::read(spec.data_dir.join("member").join(file)).unwrap();
            read(spec) == read(&theirs)
        };
        let snap = format!("snap/0000000000000001-{:016x}.snap", ours.members.len());
        // From 3.6 on the old store has the members in no order, and from 3.7 on numbers that are zero are left out.
        if version.starts_with("3.5") || version.starts_with("3.6") {
            assert!(same(&format!("wal/{WAL}")), "{version}, {what}: the log is another one");
        }
        if version.starts_with("3.5") {
            assert!(same(&snap), "{version}, {what}: the .snap file is another one");
        }
    }
}

#[rstest]
fn data_dirs_are_those_that_etcdutl_makes(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some((cluster, _)) = filled(version) else { return };
    let source = saved(&cluster, "source.db");
    cluster.kill(&["infra1"]);
    let stopped = cluster.member("infra1").data_dir().join("member/snap/db");
    let tools = if version == "3.4" { etcd("3.5").unwrap() } else { cluster.tools.clone() };
    let home = cluster.home().join("made");
    let spec = |name: &str| lone(&home.join(name), None);
    let three = [("m2", "http://b:2380"), ("m1", "http://a:2380"), ("m2", "https://b:2381"), ("m3", "unix://c:23")];
    let one = [("a<b>&c", "http://localhost:2380")];
    let wanted = [
        ("one member", with(spec("one"), &[("default", "http://localhost:2380")])),
        ("a name that JSON escapes, written anew", Spec { rewrite: true, ..with(spec("name"), &one) }),
        ("two members", Spec { initial_cluster_token: "t".to_owned(), ..with(spec("two"), &three[..2]) }),
        ("three members", with(spec("three"), &three)),
        ("a bump", Spec { bump_revision: Some(BUMP), mark_compacted: true, ..with(spec("bump"), &one) }),
        (
            "a bump, written anew",
            Spec { bump_revision: Some(BUMP), mark_compacted: true, rewrite: true, ..with(spec("anew"), &three) },
        ),
    ];
    assert_same(&cluster, &tools, &source, &wanted);
    let skipping = Spec { skip_hash_check: true, ..with(spec("stopped"), &three) };
    let wanted = [
        ("a member's own database", skipping.clone()),
        ("written anew", Spec { rewrite: true, data_dir: home.join("again"), ..skipping }),
    ];
    assert_same(&cluster, &tools, &stopped, &wanted);
}

/// A way to make data dirs, and the etcd that starts with them.
struct Case {
    target: &'static str,
    members: usize,
    rewrite: bool,
    bump: bool,
    made_for: Option<Version>,
}

/// Makes a data dir for each member, and returns what was made.
fn made_for(source: &Path, seats: &[Seat], case: &Case) -> Vec<Restored> {
    let list: Vec<(&str, &str)> = seats.iter().map(|seat| (seat.name.as_str(), seat.peer_url.as_str())).collect();
    let of = |own: usize| {
        let mut list = list.clone();
        list.rotate_left(own);
        let seat = &seats[own];
        let spec = Spec {
            bump_revision: case.bump.then_some(BUMP),
            mark_compacted: case.bump,
            target_version: case.made_for,
            rewrite: case.rewrite,
            ..with(lone(&seat.data_dir, seat.wal_dir.as_deref()), &list)
        };
        made(source, &spec)
    };
    (0..seats.len()).map(of).collect()
}

/// Starts etcd with data dirs that are made for it, and looks whether everything is there and goes on.
fn assert_lives(home: &Path, source: &Path, revision: i64, case: &Case) {
    let Some(tools) = etcd(case.target) else { return };
    let what = format!("{}, {} members, anew {}, bump {}", case.target, case.members, case.rewrite, case.bump);
    let folder = home.join(&what);
    std::fs::create_dir_all(&folder).unwrap();
    let seats = Seat::some(case.members, &folder, case.members > 1 && case.bump);
    let restored = made_for(source, &seats, case);
    let now = restored[0].revision;
    assert_eq!((restored[0].revision_before, now), (revision, if case.bump { revision + 1000 } else { revision }));
    let ours = hashkv(&Image::open(&restored[0].db).unwrap(), None, None).unwrap();

    let cluster = Started::all(&seats, &tools);
    let printed = cluster.etcdctl(&["endpoint", "hashkv", "-w", "json"]).unwrap();
    let hashes: Vec<Json> = serde_json::from_str(&printed).unwrap();
    let hashes: Vec<_> = hashes.iter().map(|row| row["HashKV"]["hash"].clone()).collect();
    assert_eq!(hashes, vec![Json::from(ours.hash); case.members], "{what}");
    let told = |cluster: &Started, args: &[&str]| cluster.first(args).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(told(&cluster, &["member", "list"]).lines().count(), case.members);
    assert_eq!(told(&cluster, &["get", "k/019", "--print-value-only"]), "value 2\n");
    assert_eq!(told(&cluster, &["user", "list"]), "bob\n");
    assert!(told(&cluster, &["lease", "list"]).starts_with("found 1 leases"));
    let old = cluster.first(&["get", "k/019", "--rev", &(revision - 1).to_string()]);
    assert_eq!(old.is_err_and(|error| error.contains("has been compacted")), case.bump, "{what}");
    told(&cluster, &["put", "after", "the restore"]);

    let cluster = cluster.again();
    let printed = told(&cluster, &["get", "after", "-w", "json"]);
    let kv = serde_json::from_str::<Json>(&printed).unwrap()["kvs"][0]["mod_revision"].clone();
    assert_eq!(kv, Json::from(now + 1), "{what}");
    let again = folder.join("again.db");
    told(&cluster, &["snapshot", "save", &again.display().to_string()]);
    let checked = check(&Image::open(&again).unwrap()).unwrap();
    assert!(checked.findings.is_empty(), "{what}: {:?}", checked.findings);
    assert_eq!((checked.span.newest(), checked.records.users.len(), checked.records.leases), (now + 1, 1, 1), "{what}");
    assert_eq!(checked.records.members.len(), case.members, "{what}");
}

#[rstest]
fn etcd_lives_with_what_is_made_of_snapshots(#[values("3.4", "3.5", "3.6", "3.7")] version: &'static str) {
    let Some((cluster, revision)) = filled(version) else { return };
    cluster.settled();
    let source = saved(&cluster, "source.db");
    cluster.kill(&["infra1"]);
    let case = |target, members, rewrite, bump, made_for| Case { target, members, rewrite, bump, made_for };
    let minor = |minor| Some(Version::new(3, minor, 0));
    // Each reads its own and that of the one before; an older one starts with what is made for it.
    let others = match version {
        "3.4" => vec![case("3.5", 1, true, true, None)],
        "3.5" => vec![case("3.6", 1, false, false, None)],
        "3.6" => vec![case("3.7", 1, true, true, None)],
        _ => vec![case("3.6", 3, false, true, minor(6)), case("3.5", 1, true, false, minor(5))],
    };
    let own = [case(version, 3, false, true, None), case(version, 1, true, false, None)];
    for case in own.iter().chain(&others) {
        assert_lives(cluster.home(), &source, revision, case);
    }
}

/// The calls before which a restore is killed: those that make something, make it last, or give it its name.
const CALLS: &str = "mkdir,fstatfs,fallocate,ftruncate,copy_file_range,write,fsync,fdatasync,renameat2,unlinkat,rmdir";

#[cfg(target_os = "linux")]
#[test]
fn a_restore_that_is_killed_anywhere_is_in_nobodys_way() {
    let Some((cluster, revision)) = filled("3.6") else { return };
    let source = saved(&cluster, "source.db");
    cluster.kill(&["infra1"]);
    let (mut kills, mut names) = (0, 0);
    for call in CALLS.split(',') {
        for at in 1.. {
            let home = cluster.home().join(format!("{call}{at}"));
            let (data, wal) = (home.join("data"), home.join("wal"));
            std::fs::create_dir(&home).unwrap();
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"]);
            command.arg(format!("inject={call}:signal=KILL:when={at}"));
            command.arg(program("restore_once")).args([&source, &data, &wal]);
            let ended = run(&mut command, "");
            let is_whole = data.join("member").exists();
            assert!(ended.is_err() || is_whole);
            if !is_whole {
                names += u32::from(wal.exists());
                made(&source, &lone(&data, Some(&wal)));
                assert_eq!(std::fs::read_dir(&home).unwrap().count(), 2, "{call} {at}");
                assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1, "{call} {at}");
            }
            let checked = check(&Image::open(&data.join("member/snap/db")).unwrap()).unwrap();
            assert!(checked.is_sound() && checked.span.newest() == revision, "{call} {at}: {:?}", checked.findings);
            assert!(wal::summary(&wal).unwrap().broken.is_none());
            std::fs::remove_dir_all(&home).unwrap();
            if ended.is_ok() {
                break;
            }
            kills += 1;
        }
    }
    // Between both renames there is a WAL dir with its name, and no data dir.
    assert!(kills >= 30 && names > 1, "{kills} kills, {names} between the renames");
}
