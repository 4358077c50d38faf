//! The listening side of a simulator: a port that opens, closes and breaks connections on command.
//!
//! Owns sockets and tasks. The port stays bound through a second socket while it is closed, so that no other process
//! takes it in the meantime: connections are refused and come back where they were.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::connection::{Control, Socket, Wire};
use crate::fault::Fault;
use crate::service::{State, serve};

/// Pending connections.
const BACKLOG: u32 = 1024;
/// How long a connection that is going away may take to say so.
const GOING_AWAY: Duration = Duration::from_millis(50);
/// How long open exchanges get when the simulator stops.
const GRACE: Duration = Duration::from_millis(500);

/// A port that is kept whether or not anything listens on it.
#[derive(Debug)]
pub(crate) struct Port {
    /// Bound but never listening.
    _reservation: TcpSocket,
    pub(crate) address: SocketAddr,
    runtime: Handle,
    door: Mutex<Door>,
    reopened: Notify,
}

#[derive(Debug)]
enum Door {
    /// The accepting task holds the listener.
    Open,
    Closed,
    /// Listening again; the accepting task is yet to take the listener.
    Reopened(TcpListener),
}

impl Port {
    /// Binds on the current runtime, which later listens again on the port's behalf.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let reservation = shared_socket(address)?;
        let address = reservation.local_addr()?;
        Ok(Self {
            _reservation: reservation,
            address,
            runtime: Handle::current(),
            door: Mutex::new(Door::Open),
            reopened: Notify::new(),
        })
    }

    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        shared_socket(self.address)?.listen(BACKLOG)
    }

    /// Closes the port if [`Fault::Refused`] prevails. Whether it does is asked under the lock, so that a port healed at
    /// this moment is not closed after all.
    fn close(&self, state: &State, listener: &mut Option<TcpListener>) -> bool {
        let mut door = self.door.lock();
        let closing = listener.is_some() && state.prevailing() == Some(Fault::Refused);
        if closing {
            *listener = None;
            *door = Door::Closed;
        }
        closing
    }

    /// Opens the port again unless [`Fault::Refused`] prevails; when this returns connections are taken.
    pub(crate) fn reopen(&self, state: &State) {
        let mut door = self.door.lock();
        if matches!(*door, Door::Closed) && state.prevailing() != Some(Fault::Refused) {
            let _runtime = self.runtime.enter();
            if let Ok(listener) = self.listen() {
                *door = Door::Reopened(listener);
                self.reopened.notify_one();
            }
        }
    }

    fn take(&self) -> Option<TcpListener> {
        let mut door = self.door.lock();
        match std::mem::replace(&mut *door, Door::Open) {
            Door::Reopened(listener) => Some(listener),
            other => {
                *door = other;
                None
            }
        }
    }
}

fn shared_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    #[cfg(all(unix, not(target_os = "solaris"), not(target_os = "illumos")))]
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// What connections are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Serve,
    /// Break at once; counts outages so that each is a change.
    Break(u64),
    Stop,
}

/// Accepts until told to stop, closing the port while [`Fault::Refused`] prevails.
pub(crate) async fn accept(
    state: Arc<State>,
    port: Arc<Port>,
    mut listener: Option<TcpListener>,
    tls: Option<TlsAcceptor>,
    orders: watch::Sender<Order>,
) {
    let mut changes = state.changes.subscribe();
    let mut stop = orders.subscribe();
    let mut connections = JoinSet::new();
    let mut outages = 0;
    loop {
        if port.close(&state, &mut listener) {
            outages += 1;
            orders.send_replace(Order::Break(outages));
        }
        port.reopen(&state);
        listener = listener.or_else(|| port.take());
        let edge = state.next_edge().unwrap_or(Duration::from_secs(3600));
        tokio::select! {
            accepted = next(listener.as_ref()) => {
                if let Ok((stream, _)) = accepted {
                    state.observer.connections.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(connection(Arc::clone(&state), stream, tls.clone(), orders.subscribe()));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = changes.changed() => {}
            () = port.reopened.notified() => {}
            () = tokio::time::sleep(edge) => {}
            ended = stop.wait_for(|order| *order == Order::Stop) => {
                drop(ended);
                break;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

async fn next(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn connection(
    state: Arc<State>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    mut orders: watch::Receiver<Order>,
) {
    orders.mark_unchanged();
    // Nagle's algorithm would hold back small events; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    let socket = match tls {
        None => Socket::Clear(stream),
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => Socket::Secured(Box::new(stream)),
            Err(_) => return,
        },
    };
    let control = Arc::new(Control::default());
    let wire = Wire::new(socket, Arc::clone(&control));
    let service = service_fn(|request| serve(Arc::clone(&state), Arc::clone(&control), request));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).keep_alive(true);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(state.config.max_streams);
    let serving = builder.serve_connection(TokioIo::new(wire), service);
    let mut serving = std::pin::pin!(serving);
    loop {
        tokio::select! {
            _ = serving.as_mut() => return,
            () = control.severed() => {
                if control.going_away.load(Ordering::Acquire) {
                    serving.as_mut().graceful_shutdown();
                    let _ = tokio::time::timeout(GOING_AWAY, serving.as_mut()).await;
                }
                return;
            }
            changed = orders.changed() => {
                if changed.is_err() || matches!(*orders.borrow(), Order::Break(_)) {
                    control.sever(crate::connection::Sever::Reset);
                    return;
                }
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}
