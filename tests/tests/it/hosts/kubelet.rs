//! A stand-in for a kubelet: it runs the command of each manifest that lies in its folder, ends it when the manifest is gone, and
//! starts it again a little after it has ended by itself.

use std::collections::BTreeMap;
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
    _node: Node,
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
        let words =
            words.into_iter().chain([format!("--initial-cluster=infra4={peer_url}"), "--name=infra4".to_owned()]);
        std::fs::write(home.join("etcdsh-parked/etcd.yaml"), manifest(&words.collect::<Vec<_>>())).unwrap();
        let node = Node::start(&home);
        write_program(&home.join("ssh"), SSH);
        let mut places = cluster.places.clone();
        places.programs.insert(0, home.clone());
        let endpoint = cluster.profile().endpoints[0].to_string();
        Kubelet { cluster, endpoint, home, places, peer_url, _node: node }
    }

    /// Returns the driver of its member.
    pub(crate) fn driven(&self, more: &str) -> Driven {
        let home = self.home.display();
        let text = format!(
            "[profiles.prod]\nendpoints = [\"{}\"]\n\
             [profiles.prod.hosts]\ndriver = \"static_pod\"\nmanifest = \"{home}/manifests/etcd.yaml\"\nfile_check = \"1s\"\n\
             data_dir = \"{home}/data\"\nlog = \"{home}/etcd.log\"\n[profiles.prod.hosts.members.infra4]\n{more}\n",
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

/// Returns the manifest of an etcd with this command line.
pub(crate) fn manifest(words: &[String]) -> String {
    let command: String = words.iter().map(|word| format!("    - {word}\n")).collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: etcd\nspec:\n  containers:\n  - command:\n{command}    \
         image: etcd # as kubeadm writes it\n"
    )
}

/// A kubelet at work. What it runs ends with it.
pub(crate) struct Node {
    ends: Arc<AtomicBool>,
    runs: Option<JoinHandle<()>>,
}

impl Node {
    /// Lets one work on the folder `manifests` of a machine. The log of a pod, and the number of its process, lie beside that
    /// folder under the name of its manifest.
    pub(crate) fn start(home: &Path) -> Self {
        let (ends, home) = (Arc::new(AtomicBool::new(false)), home.to_owned());
        let flag = Arc::clone(&ends);
        Node { ends, runs: Some(std::thread::spawn(move || run(&home, &flag))) }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.runs.take().unwrap().join();
    }
}

/// What runs of one manifest.
#[derive(Default)]
struct Pod {
    process: Option<Child>,
    ended: Option<Instant>,
}

impl Pod {
    /// Makes what runs what the manifest says; none is a manifest that is not there.
    fn sync(&mut self, manifest: Option<&String>, place: &Path) {
        let over = self.process.as_mut().is_some_and(|child: &mut Child| child.try_wait().unwrap().is_some());
        match (manifest, &mut self.process) {
            (None, Some(_)) => {
                end(self.process.take());
                self.ended = None;
            }
            (Some(manifest), None) if self.ended.is_none_or(|ended| ended.elapsed() > BACK_OFF) => {
                let process = start(manifest, &place.with_extension("log"));
                std::fs::write(place.with_extension("pid"), process.id().to_string()).unwrap();
                self.process = Some(process);
            }
            (_, Some(_)) if over => {
                (self.process, self.ended) = (None, Some(Instant::now()));
            }
            _ => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a kubelet looks again and again")]
fn run(home: &Path, ends: &AtomicBool) {
    let (mut pods, mut there) = (BTreeMap::<String, Pod>::new(), BTreeMap::new());
    while !ends.load(Ordering::Relaxed) {
        std::thread::sleep(EVERY);
        // A kubelet that looks seldom goes by what it saw last.
        if !home.join("blind").exists() {
            there = manifests(&home.join("manifests"));
        }
        for name in there.keys() {
            pods.entry(name.clone()).or_default();
        }
        for (name, pod) in &mut pods {
            pod.sync(there.get(name), &home.join(name));
        }
    }
    pods.into_values().for_each(|pod| end(pod.process));
}

/// Reads the manifests of a folder by their names. One may be gone when its turn comes.
fn manifests(folder: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let read = |file: std::fs::DirEntry| {
        let text = std::fs::read_to_string(file.path()).ok()?;
        Some((file.file_name().into_string().unwrap(), text))
    };
    files.filter_map(read).collect()
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
