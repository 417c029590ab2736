//! `etcdsh check`.

use rstest::rstest;

use super::{Folder, done, folder};

#[rstest]
fn mistakes_are_found_without_running(folder: Folder) {
    folder.write("good.rhai", "let f = |a| a + 1; fn g(x) { x + args.len() } print(f.call(g(1))); for m in etcd.health() { print(m.name) } etcd.keys(#{ prefix: \"/\" });");
    folder.write("bad.rhai", "print(\"ran\");\nlet x = etcd.helth();\nfoo(x);\netcd.keys(#{ prefx: 1 });\nprint(y);\n");
    let (code, out, err) = done(&mut folder.etcdsh(&["check", "good.rhai"]));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let (code, out, err) = done(&mut folder.etcdsh(&["check", "good.rhai", "bad.rhai"]));
    assert_eq!((code, out.as_str()), (1, ""));
    let found: Vec<_> = err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(
        found,
        [
            "error: there is no operation named helth",
            "error: there is no function named foo",
            "error: there is no argument named prefx",
            "error: there is no variable named y",
        ]
    );
    let first = err.lines().take(6).collect::<Vec<_>>().join("\n");
    let expected = "error: there is no operation named helth\n --> bad.rhai:2:14\n  |\n2 | let x = etcd.helth();\n  |              ^^^^^\n  \
                    = code: unknown_function";
    assert_eq!(first, expected);
    folder.write("no.rhai", "let = 1;");
    let (code, _, err) = done(&mut folder.etcdsh(&["check", "missing.rhai", "no.rhai"]));
    assert!(err.starts_with("error: cannot read missing.rhai: "), "{err}");
    assert!(code == 2 && err.contains("no.rhai:1:5") && err.contains("= code: syntax"), "{err}");
}

#[rstest]
fn imports_are_followed(folder: Folder) {
    folder.write(
        "sub/main.rhai",
        "import \"lib/a\" as a;\na::hi(1);\nlet n = a::LIMIT;\na::hello();\nimport \"gone\" as g;\n",
    );
    folder.write(
        "sub/lib/a.rhai",
        "import \"b\" as b;\nexport const LIMIT = 1;\nfn hi(x) { b::ho(x) }\nprivate fn own() {}\n",
    );
    folder.write("sub/lib/b.rhai", "import \"a\" as a;\nfn ho(x) { nobody(x) }\n");
    let (code, _, err) = done(&mut folder.etcdsh(&["check", "sub/main.rhai"]));
    let lines: Vec<_> = err.lines().filter(|line| line.starts_with("error: ") || line.contains("-->")).collect();
    assert_eq!(code, 1);
    assert_eq!(
        lines,
        [
            "error: sub/lib/a.rhai has no function named hello",
            " --> sub/main.rhai:4:1",
            "error: cannot import \"gone\": there is no such file",
            " --> sub/main.rhai:5:8",
            "error: cannot import \"a\": it is being imported already, so it would import itself",
            " --> sub/lib/b.rhai:1:8",
            "error: there is no function named nobody",
            " --> sub/lib/b.rhai:2:12",
        ]
    );
}

#[rstest]
fn there_is_nothing_to_say_about_our_scripts(folder: Folder) {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts");
    for script in std::fs::read_dir(scripts).unwrap().map(|entry| entry.unwrap().path()) {
        if script.extension().is_some_and(|extension| extension == "rhai") {
            assert_eq!(
                done(&mut folder.etcdsh(&["check", script.to_str().unwrap()])),
                (0, String::new(), String::new())
            );
        }
    }
}
