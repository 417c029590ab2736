//! The binary that Nushell starts.

fn main() {
    nu_plugin_etcd::serve(etcdsh_core::catalogue::CATALOGUE);
}
