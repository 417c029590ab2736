//! One restore in a process of its own, for a test that ends it somewhere on its way.
//!
//! `restore_once SNAPSHOT DATA_DIR [WAL_DIR]`

use std::path::PathBuf;
use std::process::ExitCode;

use etcdsh_core::format::bolt::Image;

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (Some(source), Some(data_dir)) = (paths.first(), paths.get(1)) else {
        eprintln!("restore_once SNAPSHOT DATA_DIR [WAL_DIR]");
        return ExitCode::from(2);
    };
    let spec = etcdsh_tests::lone(data_dir, paths.get(2).map(PathBuf::as_path));
    let restored = Image::open(source).map_err(etcdsh_core::Error::from);
    match restored.and_then(|image| etcdsh_core::restore::restore(&image, &spec)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
