//! The sockets that requests come in by: handed over by systemd, or bound here.
//!
//! A socket that systemd holds outlives this process: connections that come while no actord runs wait in its queue for
//! the next one. So a restart or an upgrade refuses no client.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::time::Duration;

use crate::config::Config;
use anyhow::{Context, bail};
use rustix::net::sockopt;

/// Connections that may wait in a socket's queue, as far as the kernel allows (`net.core.somaxconn`); what systemd uses.
const BACKLOG: i32 = 4096;

/// One for each listener.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) public: TcpListener,
    pub(super) provider: TcpListener,
    pub(super) metrics: TcpListener,
}

impl Sockets {
    /// Takes what systemd handed over, and binds the rest. Called once: handed sockets are taken out of the environment's
    /// promise, and marked so that no child inherits them.
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let wanted = [
            ("public", "listen", config.listen),
            ("provider", "provider-listen", config.provider_listen),
            ("metrics", "metrics-listen", config.metrics_listen),
        ];
        let handed = handed_over()?;
        let about: Vec<(&str, SocketAddr)> =
            handed.iter().map(|(name, address, _)| (name.as_str(), *address)).collect();
        let chosen = choose(&about, wanted.map(|(name, _, address)| (name, address)))?;
        let mut handed: Vec<Option<TcpListener>> = handed.into_iter().map(|(.., socket)| Some(socket)).collect();
        let mut open = |at: usize| {
            let (name, setting, address) = wanted[at];
            match chosen[at].and_then(|index| handed[index].take()) {
                Some(socket) => {
                    let address = socket.local_addr()?;
                    tracing::info!("the {name} socket on {address} was handed over");
                    Ok(socket)
                }
                None => listen(setting, address),
            }
        };
        let sockets = Self { public: open(0)?, provider: open(1)?, metrics: open(2)? };
        for socket in [&sockets.public, &sockets.provider, &sockets.metrics] {
            notice_lost_clients(socket).context("have lost clients noticed")?;
        }
        Ok(sockets)
    }

    /// Where they listen: public, provider, metrics.
    pub(super) fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr, SocketAddr)> {
        Ok((self.public.local_addr()?, self.provider.local_addr()?, self.metrics.local_addr()?))
    }
}

/// A socket that is bound here, at the address that this setting gives it.
pub(super) fn bind(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = listen(setting, address)?;
    notice_lost_clients(&socket).context("have lost clients noticed")?;
    Ok(socket)
}

fn listen(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = TcpListener::bind(address).with_context(|| {
        format!("can't listen on {address}: end what listens there, or choose another address with --{setting}")
    })?;
    rustix::net::listen(&socket, BACKLOG).with_context(|| format!("listen on {address}"))?;
    Ok(socket)
}

/// A client that lost its power says nothing any more. Were it not asked whether it is there, its idle web socket or
/// stream would hold its connection and its function's lease for ever. Accepted connections inherit this.
fn notice_lost_clients(socket: &TcpListener) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(socket, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(socket, 4)
}

/// The sockets that were handed over, with their names and addresses.
fn handed_over() -> anyhow::Result<Vec<(String, SocketAddr, TcpListener)>> {
    let all = sd_notify::listen_fds_with_names().context("read LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES")?;
    all.map(|(number, name)| {
        let socket = take(number);
        let listens = sockopt::socket_acceptconn(&socket);
        match (listens, socket.local_addr()) {
            (Ok(true), Ok(address)) => Ok((name, address, socket)),
            _ => bail!(
                "descriptor {} ({name}) that was handed over is no listening TCP socket: use ListenStream=ADDRESS:PORT",
                socket.as_raw_fd()
            ),
        }
    })
    .collect()
}

fn take(number: RawFd) -> TcpListener {
    // SAFETY: by the protocol of LISTEN_FDS this descriptor was opened for us and is ours alone; it is taken once.
    #[allow(unsafe_code)]
    unsafe {
        TcpListener::from_raw_fd(number)
    }
}

/// Whether a handed socket, by its name and address, is for the listener of this number.
type Rule<'a> = &'a dyn Fn(usize, (&str, SocketAddr)) -> bool;

/// Which of the handed sockets is for whom: the one of that name (`FileDescriptorName=`), else the one that is bound to
/// the configured address, else the first that is left. A socket that is left over in the end is a mistake: connections to
/// it would wait for ever.
fn choose(handed: &[(&str, SocketAddr)], wanted: [(&str, SocketAddr); 3]) -> anyhow::Result<[Option<usize>; 3]> {
    let mut chosen = [None; 3];
    let named = |name: &str| wanted.iter().any(|(known, _)| *known == name);
    let by_name = |at: usize, (name, _): (&str, SocketAddr)| name == wanted[at].0;
    let by_address = |at: usize, (name, address): (&str, SocketAddr)| !named(name) && address == wanted[at].1;
    let by_order = |_: usize, (name, _): (&str, SocketAddr)| !named(name);
    let rules: [Rule<'_>; 3] = [&by_name, &by_address, &by_order];
    for fits in rules {
        for at in 0..chosen.len() {
            if chosen[at].is_none() {
                chosen[at] =
                    (0..handed.len()).find(|index| !chosen.contains(&Some(*index)) && fits(at, handed[*index]));
            }
        }
    }
    match (0..handed.len()).find(|index| !chosen.contains(&Some(*index))) {
        None => Ok(chosen),
        Some(index) => {
            let (name, address) = handed[index];
            bail!("a socket too many was handed over: {name} on {address}; there are public, provider and metrics")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn wanted() -> [(&'static str, SocketAddr); 3] {
        [("public", at(8080)), ("provider", at(8081)), ("metrics", at(8082))]
    }

    #[test]
    fn connections_of_lost_clients_are_noticed() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        notice_lost_clients(&socket).unwrap();
        let _client = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (accepted, _) = socket.accept().unwrap();
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), Duration::from_secs(60));
    }

    #[test]
    fn names_decide_whatever_the_order_and_the_addresses() {
        let handed = [("metrics", at(1)), ("public", at(8081)), ("provider", at(2))];
        assert_eq!(choose(&handed, wanted()).unwrap(), [Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn without_names_the_address_decides_and_then_the_order() {
        let handed = [("actord.socket", at(8082)), ("actord.socket", at(9090)), ("actord.socket", at(9091))];
        assert_eq!(choose(&handed, wanted()).unwrap(), [Some(1), Some(2), Some(0)]);
        let others = [("unknown", at(1)), ("unknown", at(2)), ("unknown", at(3))];
        assert_eq!(choose(&others, wanted()).unwrap(), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn what_was_not_handed_over_is_to_be_bound() {
        assert_eq!(choose(&[], wanted()).unwrap(), [None; 3]);
        assert_eq!(choose(&[("provider", at(5))], wanted()).unwrap(), [None, Some(0), None]);
    }

    #[test]
    fn a_socket_that_nobody_would_serve_is_refused_and_named() {
        let handed = [("public", at(1)), ("public", at(2))];
        let error = choose(&handed, wanted()).unwrap_err().to_string();
        assert!(error.contains("public on 127.0.0.1:2"), "{error}");
    }
}
