//! The servers that are measured, as processes.
//!
//! Owns starting them on their core, finding their ports, waiting until they serve, and ending them. It must not know
//! what is measured. A process started here dies with the benchmark, however that ends.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde::Serialize;

use super::affinity::{self, Cores};
use super::{ending, probe, traffic};

const CONFIGURATION: &str = include_str!("gateway.yaml");
const NGINX: &str = include_str!("nginx.conf");
/// The virtual key of the benchmark. It opens nothing but a gateway on loopback that lives for minutes.
const KEY: &str = "sk-bench-0123456789abcdef0123456789abcdef";
/// How long a server may take to serve its first request.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long a process may take to end when it is asked to; then it is killed.
const END_LIMIT: Duration = Duration::from_secs(3);
/// Time between two looks at a server that is starting or ending.
const GLANCE: Duration = Duration::from_micros(300);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    /// No proxy: the load goes straight to the upstream.
    Direct,
    /// The plain hyper pass-through.
    Floor,
    /// The pass-through that also reads model and usage.
    FloorReading,
    /// nginx as a reverse proxy, where it is installed.
    Nginx,
    /// Trunkline with everything on.
    Gateway,
}

impl Subject {
    /// What the table calls it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Floor => "hyper",
            Self::FloorReading => "hyper + serde",
            Self::Nginx => "nginx",
            Self::Gateway => "trunkline",
        }
    }
}

/// What every start needs to know.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// Where each part runs; `None` when the machine has one core.
    pub(super) cores: Option<Cores>,
    /// All cores of the benchmark, for what is not pinned.
    pub(super) home: Vec<usize>,
    /// A folder for configuration, stores and logs of this run.
    pub(super) folder: PathBuf,
    /// Whether servers keep their core awake between two events: while requests are open and a little longer.
    pub(super) polling: bool,
    /// The gateway's binary.
    pub(super) gateway: PathBuf,
}

/// A server that serves.
#[derive(Debug)]
pub(super) struct Server {
    /// Where.
    pub(super) address: SocketAddr,
    /// What it is called in requests for the same dialect, and for the translated one.
    models: [String; 2],
    /// What clients show it.
    pub(super) key: String,
    process: Option<Process>,
    /// From starting the process to the first request served.
    pub(super) start: Duration,
}

impl Server {
    /// The server's process; none for the direct way.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.0.id())
    }

    /// What a client puts into `model`.
    pub(super) fn model(&self, translated: bool) -> &str {
        &self.models[usize::from(translated)]
    }
}

/// A child process, ended when this is dropped.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Asks it to end and waits for a while.
    fn end(&mut self) {
        let begin = Instant::now();
        if !ending::ask(self.0.id()) {
            return;
        }
        while begin.elapsed() < END_LIMIT && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        // Already gone is as good as ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// In a part: says where it listens, and ends the process once the benchmark that started it is gone.
pub(super) fn announce(address: SocketAddr) {
    println!("listening {address}");
    end_with_parent();
}

/// Ends this process when its standard input does: the benchmark holds the other end.
pub(super) fn end_with_parent() {
    std::thread::spawn(|| {
        let mut sink = [0; 64];
        while std::io::stdin().read(&mut sink).is_ok_and(|length| length > 0) {}
        std::process::exit(0);
    });
}

impl Setup {
    /// Starts a part of the benchmark that listens, on `core`.
    pub(super) fn start_upstream(&self) -> anyhow::Result<(Process, SocketAddr)> {
        self.start_part(&["mock"], self.cores.map(|cores| cores.upstream))
    }

    /// Starts `subject` in front of `upstream` and waits until it has served a request.
    ///
    /// # Errors
    /// When it does not start or does not serve, with what it said.
    pub(super) fn start(&self, subject: Subject, upstream: SocketAddr) -> anyhow::Result<Server> {
        let core = self.cores.map(|cores| cores.tested);
        let begin = Instant::now();
        let mut server = match subject {
            Subject::Direct => plain(upstream, None),
            Subject::Floor | Subject::FloorReading => {
                let reading = if subject == Subject::Floor { "nothing" } else { "model-and-usage" };
                let upstream = upstream.to_string();
                let mut arguments = vec!["floor", "--upstream", &upstream, "--reading", reading];
                if self.polling {
                    arguments.push("--polling");
                }
                let (process, address) = self.start_part(&arguments, core)?;
                plain(address, Some(process))
            }
            Subject::Nginx => self.start_nginx(upstream)?,
            Subject::Gateway => self.start_gateway(upstream)?,
        };
        self.wait(&mut server, begin).with_context(|| format!("failed to start {}", subject.title()))?;
        server.start = begin.elapsed();
        Ok(server)
    }

    /// Starts a process of this same program, with its standard streams in hand.
    pub(super) fn spawn_part(&self, arguments: &[&str], core: Option<usize>) -> anyhow::Result<Child> {
        let program = std::env::current_exe().context("failed to find this program")?;
        let mut command = Command::new(program);
        command.arg("bench-part").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        self.spawn_on(core, &mut command)
    }

    fn start_part(&self, arguments: &[&str], core: Option<usize>) -> anyhow::Result<(Process, SocketAddr)> {
        let mut child = self.spawn_part(arguments, core)?;
        let output = child.stdout.take().context("failed to read what a part says")?;
        let process = Process(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("failed to read what a part says")?;
        let address = line.trim().strip_prefix("listening ").and_then(|address| address.parse().ok());
        Ok((
            process,
            address.with_context(|| format!("failed to start `{}`: it said {line:?}", arguments[0]))?,
        ))
    }

    fn start_nginx(&self, upstream: SocketAddr) -> anyhow::Result<Server> {
        let port = free_port()?;
        let folder = fresh(&self.folder, "nginx")?;
        let text = filled(NGINX, &[("PORT", &port.to_string()), ("UPSTREAM", &upstream.to_string())]);
        std::fs::write(folder.join("nginx.conf"), text).context("failed to write nginx.conf")?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).args(["-c", "nginx.conf", "-e", "nginx-error.log"]);
        let child = self.spawn_logged(&mut command, &folder.join("output.log"))?;
        Ok(plain(SocketAddr::from(([127, 0, 0, 1], port)), Some(child)))
    }

    fn start_gateway(&self, upstream: SocketAddr) -> anyhow::Result<Server> {
        let port = free_port()?;
        let folder = fresh(&self.folder, "gateway")?;
        let store = folder.join("log.db").display().to_string();
        let words = [
            ("PORT", &*port.to_string()),
            ("STORE", &store),
            ("KEY", KEY),
            ("BUSY_POLL", if self.polling { "1ms" } else { "0s" }),
            ("UPSTREAM", &*upstream.to_string()),
        ];
        let file = folder.join("trunkline.yaml");
        std::fs::write(&file, filled(CONFIGURATION, &words)).context("failed to write the configuration")?;
        let mut command = Command::new(&self.gateway);
        command.arg("serve").arg("--config").arg(&file).current_dir(&folder).env_clear();
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        let process = self.spawn_logged(&mut command, &folder.join("output.log"))?;
        Ok(Server {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            models: ["up-openai", "up-anthropic"].map(|provider| format!("{provider}/{}", traffic::MODEL)),
            key: KEY.to_owned(),
            process: Some(process),
            start: Duration::ZERO,
        })
    }

    fn spawn_logged(&self, command: &mut Command, log: &Path) -> anyhow::Result<Process> {
        let output = File::create(log).with_context(|| format!("failed to create {}", log.display()))?;
        let errors = output.try_clone().context("failed to share a log file")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        self.spawn_on(self.cores.map(|cores| cores.tested), command).map(Process)
    }

    /// Starts a process bound to `core` by binding this thread first: a child inherits it.
    fn spawn_on(&self, core: Option<usize>, command: &mut Command) -> anyhow::Result<Child> {
        if let Some(core) = core {
            affinity::pin(&[core])?;
        }
        let child = command.spawn();
        if core.is_some() {
            affinity::pin(&self.home)?;
        }
        child.with_context(|| format!("failed to start {}", command.get_program().to_string_lossy()))
    }

    /// Asks until the server answers rightly.
    fn wait(&self, server: &mut Server, begin: Instant) -> anyhow::Result<()> {
        let folder = self.folder.join(if server.key.is_empty() { "nginx" } else { "gateway" });
        let log = || last_words(&folder.join("output.log"));
        loop {
            let Err(error) = probe::chat(server.address, &server.key, server.model(false)) else {
                return Ok(());
            };
            if let Some(Process(child)) = &mut server.process
                && let Some(status) = child.try_wait().context("failed to look at a process")?
            {
                bail!("it ended with {status} before it served\n{}", log());
            }
            if begin.elapsed() > START_LIMIT {
                bail!("it served nothing for {} s: {error:#}\n{}", START_LIMIT.as_secs(), log());
            }
            std::thread::sleep(GLANCE);
        }
    }
}

/// True where nginx can be started.
pub(super) fn has_nginx() -> bool {
    Command::new("nginx").arg("-v").output().is_ok_and(|output| output.status.success())
}

/// Writes a line to a part's standard input and closes it.
pub(super) fn tell(child: &mut Child, text: &str) -> anyhow::Result<()> {
    let mut input = child.stdin.take().context("failed to reach a part")?;
    input.write_all(text.as_bytes()).context("failed to tell a part what to do")
}

fn plain(address: SocketAddr, process: Option<Process>) -> Server {
    let models = [traffic::MODEL, traffic::MODEL].map(str::to_owned);
    Server { address, models, key: String::new(), process, start: Duration::ZERO }
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
    Ok(listener.local_addr().context("failed to find a free port")?.port())
}

/// An empty folder `name` in `parent`.
fn fresh(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = parent.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("failed to empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    Ok(folder)
}

/// The end of what a server printed.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(20)..];
    if last.is_empty() { format!("it said nothing ({})", log.display()) } else { last.join("\n") }
}

fn filled(template: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(&format!("@{word}@"), value))
}

#[cfg(test)]
mod tests {
    use trunkline_config::{Inputs, Labelled, Source};
    use trunkline_model::catalogue::Date;

    use super::*;

    const WORDS: [(&str, &str); 5] = [
        ("PORT", "4000"),
        ("STORE", "log.db"),
        ("KEY", KEY),
        ("BUSY_POLL", "1ms"),
        ("UPSTREAM", "127.0.0.1:1"),
    ];

    #[test]
    fn templates_are_filled_in_whole() {
        for (template, words) in [(CONFIGURATION, &WORDS), (NGINX, &WORDS)] {
            let text = filled(template, words);
            let left: Vec<_> =
                text.lines().filter(|line| line.contains('@') && !line.starts_with('#')).collect();
            assert_eq!(left, Vec::<&str>::new());
        }
    }

    #[test]
    fn the_gateways_configuration_is_one_it_accepts_without_a_warning() {
        let source = Source { path: "trunkline.yaml".to_owned(), text: filled(CONFIGURATION, &WORDS) };
        let inputs = Inputs {
            environment: &|_| None,
            today: Date::from_unix_seconds(0),
            files: &|_| Err("no files here".to_owned()),
            labelled: &|_| Labelled { file: String::new(), texts: Ok(Vec::new()) },
        };
        let (problems, sources) = match trunkline_config::load(vec![source], &inputs) {
            Ok(loaded) => (loaded.problems, loaded.sources),
            Err(invalid) => (invalid.problems, invalid.sources),
        };
        assert!(problems.is_empty(), "{}", problems.render(&sources, false));
    }

    #[test]
    fn the_gateway_is_asked_for_by_provider_and_the_others_by_model() {
        let server = plain("127.0.0.1:1".parse().unwrap(), None);
        assert_eq!(
            (server.model(false), server.model(true), server.pid()),
            ("bench-model", "bench-model", None)
        );
    }

    #[test]
    fn a_folder_is_emptied_before_it_is_used() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(fresh(parent.path(), "gateway").unwrap().join("log.db"), "old").unwrap();
        assert!(!fresh(parent.path(), "gateway").unwrap().join("log.db").exists());
    }
}
