//! What the command line says when it cannot start, or when nobody listens any more.

use crate::support::PATIENCE;
use insta::assert_snapshot;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// The binary in an empty environment and folder.
fn trunkline(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.env_clear().env("HOME", folder).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(mut child: Child) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it goes on: {:?}", child.wait_with_output());
        }
        std::thread::yield_now();
    }
    child.wait_with_output().unwrap()
}

/// What it says when it does not start.
fn refusal(command: &mut Command) -> String {
    let output = ended(command.spawn().unwrap());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    told.lines().filter(|line| !line.starts_with('{')).collect()
}

#[test]
fn output_that_nobody_reads_ends_it_quietly() {
    let folder = TempDir::new().unwrap();
    for arguments in [&["models", "--limit", "5000"][..], &["providers"], &["schema"]] {
        let mut child = trunkline(folder.path()).args(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = ended(child);
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn without_a_provider_it_says_how_to_get_one() {
    let folder = TempDir::new().unwrap();
    assert_snapshot!(
        refusal(trunkline(folder.path()).arg("serve")),
        @"error: no provider is configured: set an API key such as OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY, or give a file with --config (`trunkline demo` needs neither)"
    );
}

#[test]
fn an_address_in_use_is_named() {
    let (folder, taken) = (TempDir::new().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = taken.local_addr().unwrap().to_string();
    let mut serve = trunkline(folder.path());
    serve.args(["serve", "--listen", &address]).env("OPENAI_API_KEY", "sk-x");
    assert_snapshot!(
        refusal(&mut serve).replace(&address, "ADDRESS"),
        @"error: listen on ADDRESS: free it, or choose another with --listen or `listen` in the file: Address already in use (os error 98)"
    );
}

#[test]
fn a_store_that_cannot_be_opened_is_named() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "not a folder").unwrap();
    let file = "listen: 127.0.0.1:0\nstore: \"sqlite:file/log.db\"\nproviders: { openai: { key: x } }\n";
    std::fs::write(folder.path().join("trunkline.yaml"), file).unwrap();
    assert_snapshot!(
        refusal(trunkline(folder.path()).args(["serve", "--config", "trunkline.yaml"])),
        @"error: open what `store` names: use the request log file/log.db.responses: unable to open database file: file/log.db.responses"
    );
}

#[test]
fn a_database_of_something_else_is_not_touched() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("notes.db"), "these are my notes\n".repeat(100)).unwrap();
    let file = "listen: 127.0.0.1:0\nstore: \"sqlite:notes.db\"\nproviders: { openai: { key: x } }\n";
    std::fs::write(folder.path().join("trunkline.yaml"), file).unwrap();
    assert_snapshot!(
        refusal(trunkline(folder.path()).args(["serve", "--config", "trunkline.yaml"])),
        @"error: open what `store` names: use the request log notes.db: file is not a database"
    );
    assert!(
        std::fs::read_to_string(folder.path().join("notes.db")).unwrap().starts_with("these are my notes")
    );
}
