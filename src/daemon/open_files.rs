//! How many files actord may have open: as many as the machine lets it. The soft limit is often 1,024, which is for programs
//! that use `select`; some 500 clients would take that. Functions don't inherit ours: each container is given its own
//! (`host::containerd::instances`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// What is open beside the connections of calls, about: containerd, the store, logs that are read, pulls.
const OTHERS: u64 = 512;

/// Raises the soft limit to the hard one.
pub(super) fn raise(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
            Ok(()) => tracing::debug!(from = limit.current, to = limit.maximum, "more files may be open"),
            Err(error) => tracing::warn!(%error, limit = limit.current, "the limit of open files stays as it is"),
        }
    }
    let (files, needed) = (getrlimit(Resource::Nofile).current, needed(config.max_connections));
    if let Some(files) = files.filter(|files| *files < needed) {
        tracing::warn!(
            files,
            needed,
            "fewer files may be open than max-connections can need: raise the hard limit (ulimit -Hn), or lower the setting"
        );
    }
}

/// How many files so many connections need: each call has another one to its instance.
fn needed(connections: usize) -> u64 {
    (connections as u64).saturating_mul(2).saturating_add(OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::given::config;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let limit = getrlimit(Resource::Nofile);
        let lower = limit.maximum.unwrap() - 1;
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), ..limit }).unwrap();
        raise(&config(""));
        assert_eq!(getrlimit(Resource::Nofile), limit_of(limit.maximum));
    }

    fn limit_of(maximum: Option<u64>) -> Rlimit {
        Rlimit { current: maximum, maximum }
    }

    #[test]
    fn a_connection_needs_two() {
        assert_eq!(needed(8_192), 16_896);
        assert_eq!(needed(0), OTHERS);
    }
}
