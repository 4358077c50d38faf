//! What the command line says when it cannot start, or when nobody listens any more.

use crate::support::PATIENCE;
use insta::assert_snapshot;
use std::io::{BufRead, BufReader};
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
fn its_help_says_what_it_is() {
    let folder = TempDir::new().unwrap();
    let output = ended(trunkline(folder.path()).arg("--help").spawn().unwrap());
    let help = String::from_utf8(output.stdout).unwrap();
    assert_snapshot!(
        help.lines().next().unwrap(),
        @"One line to every model: an LLM router and gateway"
    );
}

#[test]
fn a_broken_file_is_told_as_check_tells_it() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("trunkline.yaml"), "providers: [\n").unwrap();
    let told = ["serve", "check"].map(|command| {
        let mut started = trunkline(folder.path());
        started.arg(command).args((command == "serve").then_some("--config")).arg("trunkline.yaml");
        let output = ended(started.spawn().unwrap());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap().trim_end().to_owned()
    });
    assert_eq!(told[0], told[1]);
    assert_snapshot!(told[0], @"
    error: not valid YAML: unclosed bracket '['
     --> trunkline.yaml:1:12
      |
    1 | providers: [
      |            ^

    1 error, 0 warnings
    ");
}

#[test]
fn with_a_key_alone_it_says_whom_it_found_and_how_it_is_reached() {
    let folder = TempDir::new().unwrap();
    let mut serve = trunkline(folder.path());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    serve.env("OPENAI_API_KEY", "sk-x").env("ANTHROPIC_API_KEY", "sk-y");
    let mut child = serve.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = Vec::new();
    for line in lines.map_while(Result::ok) {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = line["address"].as_str().map(ToOwned::to_owned);
        told.push((line["message"].as_str().unwrap().to_owned(), line["providers"].clone(), address));
        if told.len() == 3 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let address = told.iter().find_map(|(_, _, address)| address.clone()).expect("where it listens");
    let told: Vec<String> = told
        .iter()
        .map(|(message, providers, _)| format!("{} {providers}", message.replace(&address, "ADDRESS")))
        .collect();
    assert_snapshot!(told.join("\n"), @r#"
    there is no configuration file: providers are those whose API keys are in the environment "anthropic, openai"
    serving "anthropic, openai"
    base URL of OpenAI's clients: http://ADDRESS/v1, of all others: http://ADDRESS; their `model` is `auto` or `provider/model`, their API key anything null
    "#);
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

#[test]
fn models_are_found_by_several_parts_of_their_ids() {
    let folder = TempDir::new().unwrap();
    let output = ended(trunkline(folder.path()).args(["models", "Opus 4-6 anthropic/"]).spawn().unwrap());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("anthropic/claude-opus-4-6") && !told.contains("gpt"), "{told}");
}
