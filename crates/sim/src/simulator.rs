//! The handle of a running simulator: its address, its behaviour, what it saw.
//!
//! Owns the life of the server's tasks: dropped, they end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{SimConfig, Tls};
use crate::fault::Fault;
use crate::observe::{Counters, Disconnect, ReceivedRequest};
use crate::script::Script;
use crate::server::{Order, Port, accept};
use crate::service::State;
use crate::tls::{TlsError, identity};

/// Failing to start a simulator.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The address is taken or not ours.
    #[error("listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error("set up TLS")]
    Tls(#[from] TlsError),
}

/// A running simulator. Dropping it ends it at once; [`Simulator::stop`] lets open answers finish first.
#[derive(Debug)]
pub struct Simulator {
    state: Arc<State>,
    port: Arc<Port>,
    address: SocketAddr,
    scheme: &'static str,
    certificate_pem: Option<String>,
    orders: watch::Sender<Order>,
    task: Option<JoinHandle<()>>,
    /// The TLS server that nobody should trust, started when first asked for.
    untrusted: Mutex<Option<Box<Self>>>,
}

impl Simulator {
    /// Starts a simulator on the current tokio runtime. When this returns its port is open.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or no certificate could be made.
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        Self::launch(config)
    }

    fn launch(config: SimConfig) -> Result<Self, SimError> {
        let identity = identity(config.tls)?;
        let listen = |source| SimError::Listen { address: config.listen, source };
        let port = Arc::new(Port::bind(config.listen).map_err(listen)?);
        let listener = port.listen().map_err(listen)?;
        let address = port.address;
        let scheme = if config.tls == Tls::None { "http" } else { "https" };
        let state = Arc::new(State::new(config));
        let orders = watch::Sender::new(Order::Serve);
        let (acceptor, certificate_pem) = match identity {
            Some(identity) => (Some(identity.acceptor), Some(identity.certificate_pem)),
            None => (None, None),
        };
        let accepting =
            accept(Arc::clone(&state), Arc::clone(&port), Some(listener), acceptor, orders.clone());
        let task = tokio::spawn(accepting);
        let untrusted = Mutex::new(None);
        Ok(Self { state, port, address, scheme, certificate_pem, orders, task: Some(task), untrusted })
    }

    /// Scheme, host and port, without a path: `http://127.0.0.1:40123`. OpenAI clients want `/v1` behind it.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The address listened on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate to trust, if the simulator speaks TLS.
    #[must_use]
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// The base URL under which a client meets `fault`. It differs from [`Simulator::base_url`] for the two faults that
    /// lie in the address: [`Fault::Dns`], a host name that cannot resolve, and [`Fault::Tls`], a server with an expired
    /// certificate for another host. All others are switched on with [`Simulator::fail_with`].
    ///
    /// # Errors
    ///
    /// The TLS server cannot be started.
    pub fn address_for(&self, fault: Fault) -> Result<String, SimError> {
        match fault {
            Fault::Dns => {
                Ok(format!("{}://no-such-host.trunkline-sim.invalid:{}", self.scheme, self.address.port()))
            }
            Fault::Tls => {
                let mut untrusted = self.untrusted.lock();
                if let Some(server) = untrusted.as_ref() {
                    return Ok(server.base_url());
                }
                let config = SimConfig {
                    tls: Tls::Bad,
                    listen: SocketAddr::new(self.address.ip(), 0),
                    ..self.state.config.clone()
                };
                let server = Self::launch(config)?;
                let url = server.base_url();
                *untrusted = Some(Box::new(server));
                Ok(url)
            }
            _ => Ok(self.base_url()),
        }
    }

    /// Changes the script; requests that begin afterwards meet the new one.
    pub fn script(&self, edit: impl FnOnce(&mut Script)) {
        self.state.edit(edit);
        self.port.reopen(&self.state);
    }

    /// Answers every request with `fault` until [`Simulator::heal`]. [`Fault::Refused`] also closes the port and breaks
    /// the connections there are.
    pub fn fail_with(&self, fault: Fault) {
        self.state.force(Some(fault), None);
        self.port.reopen(&self.state);
    }

    /// Answers the next `requests` requests with `fault`, then is as before.
    pub fn fail_next(&self, requests: u64, fault: Fault) {
        self.state.force(Some(fault), Some(requests));
        self.port.reopen(&self.state);
    }

    /// Ends every fault: what was switched on by hand and the script's rules. Delays and limits stay. When this returns
    /// the port is open again.
    pub fn heal(&self) {
        self.state.force(None, None);
        self.state.edit(|script| script.rules.clear());
        self.port.reopen(&self.state);
    }

    /// The last requests received, oldest first, as many as [`SimConfig::keep_requests`] says.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.observer.received()
    }

    /// The last request received.
    #[must_use]
    pub fn last_request(&self) -> Option<ReceivedRequest> {
        self.state.observer.received().pop()
    }

    /// Forgets the requests received so far; counters stay.
    pub fn clear_requests(&self) {
        self.state.observer.clear();
    }

    /// Clients that went away before their answer was complete, oldest first.
    #[must_use]
    pub fn disconnects(&self) -> Vec<Disconnect> {
        self.state.observer.gone()
    }

    /// Totals since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state.observer.counters()
    }

    /// Waits until the counters meet `condition` and returns them. Has no timeout of its own.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Counters) -> bool) -> Counters {
        loop {
            let changed = self.state.observer.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let counters = self.counters();
            if condition(&counters) {
                return counters;
            }
            changed.await;
        }
    }

    /// Stops accepting, lets open answers finish for half a second, then breaks what is left.
    pub async fn stop(mut self) {
        self.orders.send_replace(Order::Stop);
        if let Some(task) = self.task.take() {
            // The task does not panic; were it cancelled with its runtime, there is nothing left to stop.
            let _ = task.await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}
