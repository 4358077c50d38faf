//! A provider simulator as a program, so that any client can be pointed straight at it.
//!
//! Owns arguments and output: one line of JSON on standard output once the port is open, and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use trunkline_sim::{DialectName, Fault, Flavor, Script, SimConfig, Simulator, Tls};

/// Simulates a model provider.
#[derive(Debug, Parser)]
#[command(name = "trunkline-sim", version)]
struct Arguments {
    /// Dialect to speak: openai, anthropic, gemini, mistral or converse. Given several times, each request is answered in its own.
    #[arg(long, required = true)]
    dialect: Vec<DialectName>,
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Key to accept; may be given several times. Without one any key is accepted.
    #[arg(long = "key")]
    keys: Vec<String>,
    /// JSON file with a script.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Fault to answer every request with, by its name in the catalogue.
    #[arg(long)]
    fault: Option<Fault>,
    /// Behave like a compatible service rather than the vendor (OpenAI dialect).
    #[arg(long)]
    compatible: bool,
    /// Speak TLS with a certificate signed by itself; its PEM is part of the output.
    #[arg(long)]
    tls: bool,
    /// Seed of everything that looks random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Prints the fault catalogue and ends.
    #[arg(long, exclusive = true)]
    faults: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().skip(1).eq(["--faults"]) {
        for fault in Fault::ALL {
            println!("{fault}");
        }
        return Ok(());
    }
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let script = match &arguments.script {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None => Script::default(),
    };
    let first = *arguments.dialect.first().ok_or("a dialect is required")?;
    let simulator = Simulator::start(SimConfig {
        dialects: arguments.dialect.clone(),
        listen: arguments.listen,
        keys: arguments.keys,
        flavor: if arguments.compatible { Flavor::Compatible } else { Flavor::Vendor },
        tls: if arguments.tls { Tls::SelfSigned } else { Tls::None },
        seed: arguments.seed,
        script,
        ..SimConfig::new(first)
    })
    .await?;
    if let Some(fault) = arguments.fault {
        simulator.fail_with(fault);
    }
    let dialects: Vec<&str> = arguments.dialect.iter().map(|dialect| dialect.name()).collect();
    let ready = serde_json::json!({"base_url": simulator.base_url(), "port": simulator.addr().port(),
        "dialects": dialects, "certificate_pem": simulator.certificate_pem()});
    println!("{ready}");
    tokio::signal::ctrl_c().await?;
    simulator.stop().await;
    Ok(())
}
