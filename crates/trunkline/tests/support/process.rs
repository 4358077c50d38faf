//! The gateway as a process of its own.
//!
//! Owns its folder, configuration file, standard error and end: however a test ends, the process does too. Must not reach
//! into it other than by signals, files and its port.

use super::eventually;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use trunkline_model::record::RequestRecord;
use trunkline_store::{Query, search_file};

/// A running gateway with a folder of its own.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    folder: Arc<TempDir>,
}

impl Gateway {
    /// Starts the binary and waits until it can serve. `listen` and `store` are added to the configuration, and a virtual
    /// key [`super::KEY`] unless it has `keys` of its own.
    pub(crate) async fn start(configuration: &str) -> Self {
        let folder = TempDir::new().unwrap();
        Self::write(folder.path(), configuration);
        Self::launch(Arc::new(folder), None).await
    }

    /// Like [`Gateway::start`], with files that cannot grow beyond a number of bytes: writes fail then, as on a full disk.
    #[cfg(target_os = "linux")]
    pub(crate) async fn start_with_largest_file(configuration: &str, bytes: u64) -> Self {
        let folder = TempDir::new().unwrap();
        Self::write(folder.path(), configuration);
        Self::launch(Arc::new(folder), Some(&format!("--fsize={bytes}:"))).await
    }

    /// Like [`Gateway::start`], with another limit of open files, as `prlimit` takes it: `N` for both the soft and the hard
    /// one, `N:` for the soft one.
    #[cfg(target_os = "linux")]
    pub(crate) async fn start_with_open_files(configuration: &str, limit: &str) -> Self {
        let folder = TempDir::new().unwrap();
        Self::write(folder.path(), configuration);
        Self::launch(Arc::new(folder), Some(&format!("--nofile={limit}"))).await
    }

    /// Lifts that limit while the process runs.
    #[cfg(target_os = "linux")]
    pub(crate) fn lift_largest_file(&self) {
        let process = self.child.id().to_string();
        let lifted =
            Command::new("prlimit").args(["--pid", &process, "--fsize=unlimited:"]).status().unwrap();
        assert!(lifted.success());
    }

    /// Another process over the same folder: the same configuration and database.
    pub(crate) async fn again(&self) -> Self {
        Self::launch(Arc::clone(&self.folder), None).await
    }

    async fn launch(folder: Arc<TempDir>, limit: Option<&str>) -> Self {
        let mut command = match limit {
            None => Command::new(binary()),
            Some(limit) => {
                // Without the signal that would end the process instead of failing a write beyond a file's largest size.
                let mut command = Command::new("sh");
                let script = "trap '' XFSZ; exec prlimit \"$0\" \"$@\"";
                command.args(["-c", script, limit, binary()]);
                command
            }
        };
        let mut child = command
            .args(["serve", "--log-format", "json", "--config"])
            .arg(folder.path().join("trunkline.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let mut gateway = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log, folder };
        gateway.address = gateway.logged("serving").await["address"].as_str().unwrap().parse().unwrap();
        let ready = gateway.get("/readyz").await;
        assert_eq!((ready.status, ready.text()), (200, "ready\n"));
        gateway
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the configuration file in one step.
    pub(crate) fn configure(&self, configuration: &str) {
        Self::write(self.folder.path(), configuration);
    }

    fn write(folder: &Path, configuration: &str) {
        let mut text = format!("listen: 127.0.0.1:0\nstore: sqlite:{}\n", folder.join("log.db").display());
        if !configuration.lines().any(|line| line.starts_with("keys:")) {
            text.push_str(&format!("keys: {{ app: {{ key: {} }} }}\n", super::KEY));
        }
        text.push_str(configuration);
        let next = folder.join("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, folder.join("trunkline.yaml")).unwrap();
    }

    /// Sends a signal by its name, for example `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the end of the gateway", async || self.child.try_wait().unwrap()).await
    }

    /// Whether it is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for a log line whose message begins like this, and returns it.
    pub(crate) async fn logged(&mut self, message: &str) -> Value {
        let log = Arc::clone(&self.log);
        let child = &mut self.child;
        let what = format!("the log line {message:?}");
        eventually(&what, async move || {
            let lines = log.lock().unwrap().clone();
            let found = lines
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find(|line| line["message"].as_str().is_some_and(|text| text.starts_with(message)));
            assert!(
                found.is_some() || child.try_wait().unwrap().is_none(),
                "the gateway ended:\n{}",
                lines.join("\n")
            );
            found
        })
        .await
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("log.db")
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.path().join("trunkline.yaml")
    }

    /// The records in the database, oldest first, once there are this many.
    pub(crate) async fn records(&self, number: usize) -> Vec<RequestRecord> {
        let what = format!("{number} records in the log");
        eventually(&what, async || Some(self.records_now()).filter(|records| records.len() >= number)).await
    }

    /// The records in the database now, oldest first.
    pub(crate) fn records_now(&self) -> Vec<RequestRecord> {
        let mut query = Query { limit: 1000, ..Query::default() };
        let mut records = Vec::new();
        loop {
            let page = search_file(&self.database(), &query).unwrap();
            records.extend(page.records);
            match page.next {
                Some(next) => query.before = Some(next),
                None => break,
            }
        }
        records.reverse();
        records
    }

    /// The record of one request.
    pub(crate) async fn record(&self, id: &str) -> RequestRecord {
        let query = Query { id: Some(id.parse().unwrap()), limit: 1, ..Query::default() };
        eventually("the record of a request", async || {
            search_file(&self.database(), &query).unwrap().records.pop()
        })
        .await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.log());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_trunkline")
}
