//! The queue of asynchronous calls: what the settings say of it, where its database is, and what sends for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;

use super::bounds;
use crate::config::{CallbackDestination, CallbackHost, Config};
use crate::engine::Engine;
use crate::queue::callback::{Allowed, Own, Place, Rules};
use crate::queue::local::is_local;
use crate::queue::{Queue, Settings, wall};
use crate::routes::Routes;
use crate::store::calls::{Bounds, Calls};

/// Functions are not kept waiting for a large database that is looked through: calls are refused for a moment until it is open.
pub(super) const OPENED: Duration = Duration::from_secs(2);

/// Begins to open it. `listen` are the addresses of the API.
///
/// # Errors
/// When it can't be measured.
pub(super) fn open(
    config: &Config,
    listen: Vec<SocketAddr>,
    engine: Arc<dyn Engine>,
    routes: Arc<Routes>,
) -> anyhow::Result<Queue> {
    let settings = settings(config, listen);
    let (path, kept) = (config.calls_path(), Bounds { bytes: settings.give_way(), ..kept(config) });
    let open = Box::new(move |end| Calls::open_until(end, path.clone(), kept, wall()).boxed());
    Ok(Queue::open(open, engine, routes, settings, &Handle::current())?)
}

fn settings(config: &Config, listen: Vec<SocketAddr>) -> Settings {
    Settings {
        max_body: config.queue_max_body,
        max_calls: config.queue_max_calls,
        max_bytes: bounds::calls(config),
        parallel: config.queue_parallel,
        rules: Rules {
            own: Own { listen, names: config.gateway_names.clone() },
            subnet: config.cni_subnet,
            allow: config.callback_allow.iter().map(allowed).collect(),
            local: is_local,
        },
        directory: Some(config.data_dir.clone()),
    }
}

/// How long what has ended is kept, and how much of it.
fn kept(config: &Config) -> Bounds {
    let retention = config.dead_letter_retention;
    Bounds {
        dead: (!retention.is_zero()).then_some(retention),
        dead_bytes: config.dead_letter_max_size,
        ..Bounds::default()
    }
}

fn allowed(destination: &CallbackDestination) -> Allowed {
    let place = match &destination.host {
        CallbackHost::Net(net) => Place::Net(*net),
        CallbackHost::Name(name) => Place::Name(name.clone()),
    };
    Allowed { place, port: destination.port }
}

#[cfg(test)]
mod tests {
    use super::super::given;
    use super::*;

    #[test]
    fn the_settings_of_calls_reach_the_queue() {
        let config = given::config(
            "--queue-max-body 2Mi --queue-max-calls 7 --queue-max-bytes 1Gi --queue-parallel 9 \
             --callback-allow 127.0.0.1:9000,hook.lan --gateway-names g",
        );
        let listen: Vec<SocketAddr> = vec!["0.0.0.0:8080".parse().unwrap()];
        let settings = settings(&config, listen.clone());
        assert_eq!((settings.max_body, settings.max_calls), (2 << 20, 7));
        assert_eq!((settings.max_bytes, settings.parallel), (Some(1 << 30), 9));
        assert_eq!((settings.rules.own.listen, settings.rules.own.names), (listen, vec!["g".to_owned()]));
        let allowed = [
            Allowed { place: Place::Net("127.0.0.1/32".parse().unwrap()), port: Some(9000) },
            Allowed { place: Place::Name("hook.lan".to_owned()), port: None },
        ];
        assert_eq!(settings.rules.allow, allowed);
    }

    #[test]
    fn dead_letters_are_kept_for_ever_where_their_time_is_0() {
        assert_eq!(kept(&given::config("--dead-letter-retention 0")).dead, None);
        let week = Duration::from_secs(7 * 24 * 3600);
        let kept = kept(&given::config("--dead-letter-max-size 1Mi"));
        assert_eq!((kept.dead, kept.dead_bytes), (Some(week), 1 << 20));
    }
}
