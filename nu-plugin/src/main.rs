//! The binary that Nushell starts. `--version` answers a person; everything else belongs to Nushell.

use nu_plugin::{MsgPackSerializer, serve_plugin};
use nu_plugin_etcd::{EtcdPlugin, log};

fn main() {
    if std::env::args().nth(1).is_some_and(|argument| argument == "--version") {
        println!("nu_plugin_etcd {}", env!("CARGO_PKG_VERSION"));
        return;
    }
    log::start();
    serve_plugin(&EtcdPlugin::default(), MsgPackSerializer);
}
