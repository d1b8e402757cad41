//! `millrace server`: settings, engine, listener, and a clean end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use millrace_engine::api::Api;
use tokio::net::TcpListener;

use crate::args::ServerArgs;
use crate::cli::exit;
use crate::config::{Config, ConfigBuilder};
use crate::http;
use crate::http::state::Server;
use crate::limits;
use crate::terminal::{errln, outln};
use crate::wiring::start_engine;

/// Threads of the HTTP side; the engine has its own.
const HTTP_THREADS: usize = 2;

/// Runs a server until Ctrl-C or SIGTERM; the exit code.
pub fn run(args: &ServerArgs) -> u8 {
    let outcome = settings(args).and_then(|config| {
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let runtime = runtime()?;
        let served = runtime.block_on(serve(config));
        // A call of the engine that hangs must not keep the process.
        runtime.shutdown_timeout(limits::SHUTDOWN_WAIT);
        served
    });
    match outcome {
        Ok(()) => exit::FINE,
        Err(e) => {
            errln!("error: {e}");
            exit::FAILED
        }
    }
}

/// The settings of file, environment and flags.
///
/// # Errors
/// The first that cannot be used; one line.
pub fn settings(args: &ServerArgs) -> Result<Config, String> {
    let mut builder = ConfigBuilder::default();
    if let Some(file) = &args.config {
        builder.file(file)?;
    }
    builder.environment(std::env::vars_os().filter_map(|(name, value)| {
        // A variable that is no UTF-8 is none of ours.
        Some((name.into_string().ok()?, value.into_string().ok()?))
    }));
    let lanes = args.lanes.map(|n| n.to_string());
    builder.flag("bootstrap.servers", args.bootstrap_servers.as_deref());
    builder.flag("listeners", args.listen.as_deref());
    builder.flag("millrace.state.dir", args.state_dir.as_deref().and_then(Path::to_str));
    builder.flag("ksql.service.id", args.service_id.as_deref());
    builder.flag("millrace.lanes", lanes.as_deref());
    builder.build()
}

/// The runtime of the HTTP side.
///
/// # Errors
/// When the system gives none; one line.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(HTTP_THREADS).thread_stack_size(millrace_sql::parser::STACK_BYTES);
    let built = builder.enable_all().build();
    built.map_err(|e| format!("cannot start: {e}"))
}

async fn serve(mut config: Config) -> Result<(), String> {
    let listener = listen(&config.listen).await?;
    let address = local_address(&listener)?;
    config.listen = address.to_string();
    let api = engine(&config).await?;
    outln!("{}", started(&config, address));
    let server = Server::new(Arc::clone(&api), config, address.to_string());
    http::serve(listener, server, stop_signal()).await;
    outln!("shutting down");
    shutdown(api).await;
    Ok(())
}

/// Starts the engine off the async threads.
///
/// # Errors
/// One line.
pub async fn engine(config: &Config) -> Result<Arc<dyn Api>, String> {
    let config = config.clone();
    let started = tokio::task::spawn_blocking(move || start_engine(&config)).await;
    started.map_err(|e| format!("the engine could not start: {e}"))?
}

/// Ends the engine: transactions, state, membership.
pub async fn shutdown(api: Arc<dyn Api>) {
    let ended = tokio::task::spawn_blocking(move || api.shutdown()).await;
    if let Err(e) = ended {
        tracing::error!("the engine did not end cleanly: {e}");
    }
}

/// Binds the address.
///
/// # Errors
/// One line: the address is no address, or the port is taken.
pub async fn listen(address: &str) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "cannot listen on {address}: the port is taken. Stop the other process or choose \
             another address with --listen"
        ),
        _ => format!("cannot listen on {address}: {e}"),
    })?;
    let local = local_address(&listener)?;
    if !local.ip().is_loopback() {
        tracing::warn!(
            "listening on {local}, which other machines can reach, without authentication: whoever \
             reaches it can run any statement. Use 127.0.0.1 or put a proxy with authentication \
             before it"
        );
    }
    Ok(listener)
}

/// The address that a listener got.
///
/// # Errors
/// One line.
pub fn local_address(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|e| format!("the listener failed: {e}"))
}

fn started(config: &Config, address: SocketAddr) -> String {
    let log = match &config.bootstrap_servers {
        Some(brokers) => format!("Kafka at {brokers}"),
        None => "the embedded log".to_string(),
    };
    format!(
        "millrace {} listens on http://{address}: service {}, {log}, state in {}",
        env!("CARGO_PKG_VERSION"),
        config.service_id,
        config.state_dir.display()
    )
}

/// Ready at Ctrl-C or SIGTERM.
pub async fn stop_signal() {
    let mut terminate =
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(e) => {
                tracing::warn!("SIGTERM cannot be caught: {e}");
                let _ = tokio::signal::ctrl_c().await;
                return;
            }
        };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
