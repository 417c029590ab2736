//! protoc, which the build of etcd-client calls.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cache::{self, Cache};
use crate::error::{Error, Result};
use crate::process;
use crate::settings::Settings;
use crate::setup::say;
use crate::version::Version;

/// Older ones refuse optional fields in proto3.
const OLDEST: Version = Version::new(3, 15, 0);

const DESCRIPTOR: &str = "include/google/protobuf/descriptor.proto";

/// Links the protoc of `PATH` into the cache, or else copies the one that this program carries as a dependency.
pub(super) fn get(settings: &Settings, cache: &Cache) -> Result<()> {
    let place = cache::protoc(&cache.root);
    if let Some((prefix, version)) = installed(settings) {
        let from = prefix.display();
        say("protoc", &format!("{version} from {from}"));
        return cache.link(&prefix, &place);
    }
    if cache::holds(&place, &["bin/protoc", DESCRIPTOR]) {
        say("protoc", "ready");
        return Ok(());
    }
    let missing = |error: protoc_bin_vendored::Error| {
        Error::new(format!(
            "protoc is missing ({error}): install it with `{}`",
            if cfg!(target_os = "macos") {
                "brew install protobuf"
            } else {
                "sudo apt-get install protobuf-compiler libprotobuf-dev"
            }
        ))
    };
    let program = protoc_bin_vendored::protoc_bin_path().map_err(missing)?;
    let include = protoc_bin_vendored::include_path().map_err(missing)?;
    let stage = cache.stage("protoc")?;
    copy(&include, &stage.join("include"))?;
    copy(&program, &stage.join("bin/protoc"))?;
    let program = stage.join("bin/protoc");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).map_err(Error::io("make executable", &program))?;
    let version = process::version(&program)?;
    cache.publish(&stage, &place)?;
    say("protoc", &format!("{version} copied"));
    Ok(())
}

/// The installation on `PATH`, when it is new enough and complete: without its include files next to it, a protoc
/// does not find the well-known types.
fn installed(settings: &Settings) -> Option<(PathBuf, Version)> {
    let program = settings.on_path("protoc")?.canonicalize().ok()?;
    let prefix = program.parent()?.parent()?.to_owned();
    let complete = prefix.join("bin/protoc").is_file() && prefix.join(DESCRIPTOR).is_file();
    let version = process::version(&program).ok()?;
    (complete && version >= OLDEST).then_some((prefix, version))
}

/// Copies a file, or a folder with all it holds.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    if from.is_file() {
        fs::copy(from, to).map_err(Error::io("copy", from))?;
        return Ok(());
    }
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
