//! Where the fault tools run: beside the tests, and not in core's own runtime, which they are to disturb from outside.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("fault-tools").enable_all().build().expect("threads")
    })
}

/// Waits for something that goes on beside the tests.
pub(crate) fn wait_for<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(work)
}

/// Work that ends with its holder.
pub(crate) struct Background(JoinHandle<()>);

impl Background {
    pub(crate) fn run(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Background(runtime().spawn(work))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens on a free port of loopback; `backlog` connections wait there until they are accepted.
pub(crate) fn listen(backlog: u32) -> (TcpListener, u16) {
    let _entered = runtime().enter();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let listener = socket.listen(backlog).expect("a listener");
    let port = listener.local_addr().expect("a port").port();
    (listener, port)
}
