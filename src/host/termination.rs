//! How an instance is ended: its image's `StopSignal` and its environment -> the signal and the time that it is given.

use std::collections::BTreeMap;

use oci_spec::image::ImageConfiguration;

use super::Signal;
use crate::function::GracePeriod;

/// How an instance wants to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Termination {
    /// What asks its process to end: the image's `StopSignal`, else SIGTERM.
    pub signal: Signal,
    /// How long that may take before it is killed.
    pub grace: GracePeriod,
}

impl Default for Termination {
    /// SIGTERM, and the usual grace period.
    fn default() -> Self {
        Self { signal: Signal::TERM, grace: GracePeriod::default() }
    }
}

impl Termination {
    /// Of an image's `StopSignal`, as it stands there, and the environment of the process. As with docker, a signal that
    /// can't be read is SIGTERM.
    #[must_use]
    pub fn of(stop_signal: Option<&str>, environment: &BTreeMap<String, String>) -> Self {
        let signal = stop_signal.and_then(Signal::parse).unwrap_or(Signal::TERM);
        Self { signal, grace: GracePeriod::of(environment) }
    }
}

/// An image's `StopSignal`, as it stands there.
#[must_use]
pub fn stop_signal(image: &ImageConfiguration) -> Option<&str> {
    image.config().as_ref()?.stop_signal().as_deref().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::function::{Spec, SpecDraft};
    use crate::host::effective_environment;

    fn image(config: &Value) -> ImageConfiguration {
        let rootfs = json!({ "type": "layers", "diff_ids": [] });
        serde_json::from_value(json!({ "architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs }))
            .unwrap()
    }

    #[test]
    fn a_stop_signal_that_can_not_be_read_is_sigterm() {
        for (text, signal) in [
            (None, Signal::TERM),
            (Some("SIGQUIT"), Signal::parse("3").unwrap()),
            (Some("nonsense"), Signal::TERM),
            (Some("0"), Signal::TERM),
        ] {
            assert_eq!(Termination::of(text, &BTreeMap::new()).signal, signal, "{text:?}");
        }
        assert_eq!(stop_signal(&image(&json!({ "StopSignal": "" }))), None);
        assert_eq!(stop_signal(&image(&json!({ "StopSignal": "QUIT" }))), Some("QUIT"));
    }

    #[test]
    fn the_time_that_an_image_names_counts_until_the_function_names_another() {
        let image = image(&json!({ "Env": ["write_timeout=60s"] }));
        let grace = |own: &[(&str, &str)]| {
            let env_vars = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let spec = Spec::try_from(SpecDraft { image: "i".into(), env_vars, ..SpecDraft::default() }).unwrap();
            let environment = effective_environment(&image, &spec).into_iter().collect();
            Termination::of(None, &environment).grace.or(Duration::from_secs(30))
        };
        assert_eq!(grace(&[]), Duration::from_secs(65));
        assert_eq!(grace(&[("write_timeout", "10s")]), Duration::from_secs(30));
    }
}
