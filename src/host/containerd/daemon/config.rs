//! The private containerd's configuration file, written anew at each start.

use serde::Serialize;

use super::DaemonOptions;

/// Plugins that we have no use for, or that would touch the machine outside of our directories: the Kubernetes runtime
/// interface (a port and CNI files of its own), `/opt/containerd`, a second opinion on restarts, and
/// snapshotters that load kernel modules. Names that a containerd does not know are ignored by it.
const DISABLED: [&str; 8] = [
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.tracing",
    "io.containerd.nri.v1.nri",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.tracing.processor.v1.otlp",
];

#[derive(Serialize)]
struct Config<'a> {
    /// 1.6 and 1.7 speak version 2; 2.x reads it too.
    version: u32,
    root: &'a str,
    state: &'a str,
    disabled_plugins: [&'a str; 8],
    grpc: Address<'a>,
    debug: Debug<'a>,
}

#[derive(Serialize)]
struct Address<'a> {
    address: &'a str,
}

#[derive(Serialize)]
struct Debug<'a> {
    /// At `info` every start of a container writes a dozen lines that tell an operator nothing.
    level: &'a str,
}

/// The file's text. An error names the path that can't be written in it.
pub(super) fn render(options: &DaemonOptions) -> Result<String, String> {
    fn text(path: &std::path::Path) -> Result<&str, String> {
        path.to_str().ok_or_else(|| format!("{} is not UTF-8: choose another directory", path.display()))
    }
    let config = Config {
        version: 2,
        root: text(&options.root)?,
        state: text(&options.state)?,
        disabled_plugins: DISABLED,
        grpc: Address { address: text(&options.socket)? },
        debug: Debug { level: "warn" },
    };
    toml::to_string(&config).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_keeps_everything_in_our_directories_and_turns_the_kubernetes_plugin_off() {
        let options = DaemonOptions {
            binary: "containerd".into(),
            root: "/d/\"root\"".into(),
            state: "/s/state".into(),
            socket: "/s/containerd.sock".into(),
            log: "/d/log".into(),
            hang_policy: super::super::HangPolicy::default(),
        };
        let parsed: toml::Table = render(&options).unwrap().parse().unwrap();
        assert_eq!(parsed["version"].as_integer(), Some(2));
        assert_eq!(parsed["root"].as_str(), Some("/d/\"root\""));
        assert_eq!(parsed["state"].as_str(), Some("/s/state"));
        assert_eq!(parsed["grpc"]["address"].as_str(), Some("/s/containerd.sock"));
        let disabled = parsed["disabled_plugins"].as_array().unwrap();
        assert!(disabled.iter().any(|plugin| plugin.as_str() == Some("io.containerd.grpc.v1.cri")));
    }
}
