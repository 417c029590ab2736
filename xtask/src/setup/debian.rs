//! etcd 3.4 from Debian's packages, downloaded and unpacked without installing anything and without root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;
use crate::settings::Settings;
use crate::version::Version;

/// Unpacks etcd and etcdctl into a folder under `stage`, and returns it.
pub(super) fn unpack(settings: &Settings, version: Version, stage: &Path) -> Result<PathBuf> {
    let tool = |name| {
        let missing = || Error::new(format!("{name}, which gets it from Debian 12's packages, is not on PATH"));
        settings.on_path(name).ok_or_else(missing)
    };
    let (apt, dpkg) = (tool("apt-get")?, tool("dpkg")?);
    let [packages, root, made] = ["packages", "root", "made"].map(|name| stage.join(name));
    for folder in [&packages, &root, &made] {
        fs::create_dir(folder).map_err(Error::io("create", folder))?;
    }
    if download(&apt, version, &packages, &[]).is_err() {
        // The machine's lists may be empty or old. Own ones need neither root nor a change to the machine.
        let lists = own_lists(&apt, stage)?;
        download(&apt, version, &packages, &lists)?;
    }
    for entry in fs::read_dir(&packages).map_err(Error::io("read", &packages))? {
        let package = entry.map_err(Error::io("read", &packages))?.path();
        process::read(Command::new(&dpkg).arg("-x").arg(&package).arg(&root))?;
    }
    for name in ["etcd", "etcdctl"] {
        let program = root.join("usr/bin").join(name);
        fs::rename(&program, made.join(name)).map_err(Error::io("move", &program))?;
    }
    Ok(made)
}

/// Any Debian revision of the version will do.
fn download(apt: &Path, version: Version, packages: &Path, lists: &[String]) -> Result<()> {
    let mut download = Command::new(apt);
    download
        .args(lists)
        .args(["-qq", "download"])
        .args(["etcd-server", "etcd-client"].map(|name| format!("{name}={version}-*")))
        .current_dir(packages);
    process::read(&mut download).map(drop)
}

fn own_lists(apt: &Path, stage: &Path) -> Result<Vec<String>> {
    let [state, cache] = ["lists", "cache"].map(|name| stage.join(name));
    for folder in [state.join("partial"), cache.join("archives/partial")] {
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    }
    let user = process::read(Command::new("id").arg("-un"))?;
    let options = vec![
        format!("-oDir::State::Lists={}", state.display()),
        format!("-oDir::Cache={}", cache.display()),
        // As root, apt would otherwise download as a user that may not write here.
        format!("-oAPT::Sandbox::User={}", user.trim()),
    ];
    process::read(Command::new(apt).args(&options).args(["-qq", "update"]))?;
    Ok(options)
}
