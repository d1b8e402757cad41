//! The command line.

use std::path::PathBuf;

use crate::cli::CliArgs;
use crate::conformance::TestArgs;
use crate::demo::DemoArgs;
use crate::load::LoadArgs;

/// Continuous SQL over Kafka topics, exactly once; speaks ksqlDB's REST API.
#[derive(Debug, clap::Parser)]
#[command(name = "millrace", version, about)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run a server
    Server(ServerArgs),
    /// Talk SQL to a server
    Cli(CliArgs),
    /// Put lines of JSON into a topic
    Load(LoadArgs),
    /// Replay a week of flights and watch the windows fill
    Demo(DemoArgs),
    /// Test statements against records, without a server
    Test(TestArgs),
}

/// Arguments of `millrace server`. Flags override the environment, which overrides the file.
#[derive(Debug, Default, clap::Args)]
pub struct ServerArgs {
    /// Kafka brokers; without them, the embedded log under the state directory
    #[arg(long, value_name = "HOST:PORT,...")]
    pub bootstrap_servers: Option<String>,
    /// Address to serve on [default: 127.0.0.1:8088]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where state and the embedded log live [default: millrace-state]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Name of the service; servers of one service share the work [default: default_]
    #[arg(long, value_name = "ID")]
    pub service_id: Option<String>,
    /// Settings in Java's properties syntax, by ksqlDB's names or ours
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Number of lanes; fixed when a service starts for the first time
    #[arg(long, value_name = "N")]
    pub lanes: Option<u32>,
}
