//! A stand-in for a kubelet: it runs the command of each manifest that lies in its folder, ends it when the manifest is gone, and
//! starts it again a little after it has ended by itself.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use etcdsh_core::places::Places;
use etcdsh_tests::Running;
use rustix::process::{Pid, Signal, kill_process};

use super::Driven;
use super::unit::{SSH, etcd, write_program};

/// How often it looks. A real one does every 20 s.
const EVERY: Duration = Duration::from_millis(50);
/// How long it waits before it starts again what has ended.
const BACK_OFF: Duration = Duration::from_secs(3);

/// One, with the manifest of an etcd.
pub(crate) struct Kubelet<'c> {
    cluster: &'c Running,
    endpoint: String,
    home: PathBuf,
    places: Places,
    /// Where its etcd is to listen.
    pub(crate) peer_url: String,
    ends: Arc<AtomicBool>,
    runs: Option<JoinHandle<()>>,
}

impl<'c> Kubelet<'c> {
    /// Starts one. The manifest is parked, so that nothing runs yet.
    pub(crate) fn new(cluster: &'c Running) -> Self {
        let home = cluster.home().join("node");
        for folder in ["manifests", "etcdsh-parked"] {
            std::fs::create_dir_all(home.join(folder)).unwrap();
        }
        let peer_url = cluster.free_peer_url();
        let words = etcd(cluster, &home, &peer_url);
        let command: String = words.iter().map(|word| format!("    - {word}\n")).collect();
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: etcd\nspec:\n  containers:\n  - command:\n{command}    \
             - --initial-cluster=infra4={peer_url}\n    - --name=infra4\n    image: etcd # as kubeadm writes it\n"
        );
        std::fs::write(home.join("etcdsh-parked/etcd.yaml"), manifest).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let runs = std::thread::spawn({
            let (home, ends) = (home.clone(), Arc::clone(&ends));
            move || run(&home, &ends)
        });
        write_program(&home.join("ssh"), SSH);
        let mut places = cluster.places.clone();
        places.programs.insert(0, home.clone());
        let endpoint = cluster.profile().endpoints[0].to_string();
        Kubelet { cluster, endpoint, home, places, peer_url, ends, runs: Some(runs) }
    }

    /// Returns the driver of its member.
    pub(crate) fn driven(&self, more: &str) -> Driven {
        let home = self.home.display();
        let text = format!(
            "[profiles.prod]\nendpoints = [\"{}\"]\n\
             [profiles.prod.hosts]\ndriver = \"static_pod\"\nmanifest = \"{home}/manifests/etcd.yaml\"\n\
             data_dir = \"{home}/data\"\nlog = \"{home}/log\"\n[profiles.prod.hosts.members.infra4]\n{more}\n",
            self.endpoint
        );
        self.cluster.write("config/etcdsh/config.toml", &text);
        let profile = self.cluster.caller.profile(&[("profile", "prod")]).unwrap_or_else(|error| panic!("{error:?}"));
        Driven::new(&profile, &self.places, "infra4").unwrap()
    }

    /// Returns the folder that stands for the machine.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }
}

impl Drop for Kubelet<'_> {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.runs.take().unwrap().join();
    }
}

#[expect(clippy::disallowed_methods, reason = "a kubelet looks again and again")]
fn run(home: &Path, ends: &AtomicBool) {
    let mut process: Option<Child> = None;
    let mut ended = None::<Instant>;
    while !ends.load(Ordering::Relaxed) {
        std::thread::sleep(EVERY);
        let manifest = std::fs::read_to_string(home.join("manifests/etcd.yaml")).ok();
        let over = process.as_mut().is_some_and(|child: &mut Child| child.try_wait().unwrap().is_some());
        match (manifest, &mut process) {
            (None, Some(_)) => {
                end(process.take());
                ended = None;
            }
            (Some(manifest), None) if ended.is_none_or(|ended| ended.elapsed() > BACK_OFF) => {
                process = Some(start(&manifest, &home.join("log")));
            }
            (_, Some(_)) if over => {
                (process, ended) = (None, Some(Instant::now()));
            }
            _ => {}
        }
    }
    end(process);
}

fn start(manifest: &str, log: &Path) -> Child {
    let lines = manifest.lines().skip_while(|line| !line.ends_with("command:")).skip(1);
    let words: Vec<&str> = lines.map_while(|line| line.strip_prefix("    - ")).collect();
    let log: File = OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn end(process: Option<Child>) {
    let Some(mut process) = process else { return };
    let _ = kill_process(Pid::from_child(&process), Signal::TERM);
    let _ = process.wait();
}
