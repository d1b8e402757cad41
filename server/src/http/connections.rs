//! The accept loop: HTTP/1.1 and HTTP/2 with prior knowledge on one port, with bounds on how many
//! clients there are and how long they may say nothing.

use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::limits;

/// Serves until `stop` says true, then lets requests that run end, for a bounded time.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX as usize));
    let builder = Arc::new(builder());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (builder, router, stop) = (Arc::clone(&builder), router.clone(), stop.clone());
                tokio::spawn(async move {
                    connection(stream, &builder, router, stop).await;
                    drop(place);
                });
            }
            Err(e) => {
                // Out of file descriptors, or the client was gone before it was accepted.
                tracing::warn!("cannot accept a connection: {e}");
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all_ended = places.acquire_many(limits::CONNECTIONS_MAX);
    if timeout(limits::SHUTDOWN_WAIT, all_ended).await.is_err() {
        tracing::info!("closing connections that have not ended");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::HEADER_WAIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits::KEEP_ALIVE)
        .keep_alive_timeout(limits::HEADER_WAIT)
        .max_concurrent_streams(limits::STREAMS_MAX);
    builder
}

async fn connection(
    stream: TcpStream,
    builder: &Builder<TokioExecutor>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    // Rows of a push query are small and must not wait for more.
    let _ = stream.set_nodelay(true);
    if timeout(limits::HEADER_WAIT, stream.readable()).await.is_err() {
        return;
    }
    let service = TowerToHyperService::new(router);
    let mut serving = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopped(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(e) = ended {
        tracing::debug!("a connection ended: {e}");
    }
}

/// Ready once the server is to stop, also when whoever says so is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
