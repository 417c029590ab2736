//! The boundaries of ARCHITECTURE.md that neither a lint nor a dependency list holds.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns every Rust file below a folder, with its text.
pub(crate) fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.strip_prefix(root()).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}

/// Returns the lines that name something, comments left out.
fn lines_with(sources: &[(PathBuf, String)], names: &[&str]) -> Vec<String> {
    let lines = sources.iter().flat_map(|(path, text)| text.lines().map(move |line| (path, line)));
    let named = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    let named = named.filter(|(_, line)| names.iter().any(|name| line.contains(name)));
    named.map(|(path, line)| format!("{}: {}", path.display(), line.trim())).collect()
}

#[test]
fn only_rpc_names_the_crates_of_the_wire() {
    let outside: Vec<_> = sources("core/src").into_iter().filter(|(p, _)| !p.starts_with("core/src/rpc")).collect();
    assert_eq!(lines_with(&outside, &["etcd_client::", "tonic::", "prost::", "use tonic", "use etcd_client"]), [""; 0]);
}

/// Returns the lines of core that name something outside of `rpc`, each with the file that it stands in.
fn beyond_rpc(names: &[&str]) -> Vec<String> {
    let beyond: Vec<_> =
        sources("core/src").into_iter().filter(|(path, _)| !path.starts_with("core/src/rpc")).collect();
    lines_with(&beyond, names)
}

#[test]
fn only_execute_sends_what_changes_a_cluster() {
    let sends = [
        "core/src/change/execute/send.rs: let writer = node.writer();",
        "core/src/change/execute/send.rs: let answer = node.writer().compact(revision, true, deadline).await;",
    ];
    assert_eq!(beyond_rpc(&[".writer()", "Writer<"]), sends);
    // The right to take members away is written by those who hold it.
    let elsewhere = |line: &String| !line.starts_with("core/src/change/lock.rs: ");
    let claims = beyond_rpc(&[".claims()", "Claims<"]);
    assert!(!claims.is_empty());
    assert_eq!(claims.into_iter().filter(elsewhere).collect::<Vec<_>>(), [""; 0]);
    // A throwaway cluster has no guards, and its calls are not for any other.
    let scratch = beyond_rpc(&[".scratch()", "Scratch<"]).into_iter();
    assert_eq!(scratch.filter(|line| !line.starts_with("core/src/sandbox/")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn each_face_keeps_its_language_to_itself() {
    let depends = |folder: &str| {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let lines = manifest.lines().map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned());
        lines.collect::<Vec<_>>()
    };
    let of =
        |folder: &str, crates: &[&str]| depends(folder).into_iter().filter(|d| crates.contains(&d.as_str())).count();
    let (nu, rhai, wire) = (["nu-plugin", "nu-protocol"], ["rhai", "reedline"], ["etcd-client", "tonic", "prost"]);
    assert_eq!((of("nu-plugin", &nu), of("rhai-bindings", &rhai), of("core", &wire)), (2, 2, 3));
    assert_eq!((of("core", &nu), of("core", &rhai)), (0, 0));
    assert_eq!((of("nu-plugin", &rhai), of("nu-plugin", &wire)), (0, 0));
    assert_eq!((of("rhai-bindings", &nu), of("rhai-bindings", &wire)), (0, 0));
}

#[test]
fn no_face_names_a_single_operation() {
    for face in ["nu-plugin/src", "rhai-bindings/src"] {
        let named = lines_with(&sources(face), &["ops::", "\"member_add\"", "\"member add\"", "MemberAdd"]);
        // Tests at the end of a file may call an operation by its name.
        let code = named.iter().filter(|line| line.contains("etcdsh_core::ops"));
        assert_eq!(code.collect::<Vec<_>>(), Vec::<&String>::new(), "in {face}");
    }
}
