//! The network list: the built-in one with this installation's names filled in, or the user's own. Kept as raw JSON, so
//! that fields which actord does not know reach the plugins as they were written.

use std::path::{Path, PathBuf};

use rscni_types::types::NetConfList;
use rscni_types::version::SpecVersion;
use serde_json::{Value, json};

use super::CniOptions;
use crate::host::HostError;

/// The network list that is shipped, complete and valid as it is.
const BUILT_IN: &str = include_str!("../../../config/actord.conflist");

/// A network list that was read and understood.
#[derive(Debug, Clone)]
pub(super) struct Conflist {
    pub(super) name: String,
    pub(super) version: SpecVersion,
    pub(super) disable_check: bool,
    /// The plugins in the order of ADD.
    pub(super) plugins: Vec<Value>,
    /// All of it, as it is written into the result cache.
    pub(super) raw: Value,
}

impl Conflist {
    /// The list that `options` ask for, with host-local's leases under our state directory unless the user's own list
    /// says where they are.
    pub(super) fn load(options: &CniOptions) -> Result<Self, HostError> {
        let mut raw = match &options.conflist {
            None => built_in(options)?,
            Some(path) => read(path)?,
        };
        for plugin in plugins_mut(&mut raw) {
            if plugin["ipam"]["type"] == "host-local" && plugin["ipam"]["dataDir"].is_null() {
                plugin["ipam"]["dataDir"] = json!(options.leases());
            }
        }
        Self::understand(raw).map_err(|reason| match &options.conflist {
            None => HostError::Failed(format!("the built-in CNI list: {reason}")),
            Some(path) => refused(path, &reason),
        })
    }

    /// Reads the parts that actord acts on.
    pub(super) fn understand(raw: Value) -> Result<Self, String> {
        let list: NetConfList = serde_json::from_value(raw.clone()).map_err(|error| error.to_string())?;
        let version = list.version().map_err(|error| error.to_string())?;
        if !version.is_supported() {
            return Err(format!("cniVersion {version} is too old: write 1.0.0"));
        }
        let first = list.plugins.first().ok_or("it has no plugins")?;
        let mut named = first.clone();
        named.name.clone_from(&list.name);
        named.validate_name().map_err(|error| error.to_string())?;
        let plugins = raw["plugins"].as_array().cloned().unwrap_or_default();
        Ok(Self { name: list.name, version, disable_check: list.disable_check, plugins, raw })
    }

    /// The types of all plugins that are needed, those for addresses included.
    pub(super) fn binaries(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().flat_map(|plugin| [&plugin["type"], &plugin["ipam"]["type"]]).filter_map(Value::as_str)
    }

    /// Whether a plugin needs iptables.
    pub(super) fn needs_iptables(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin["type"] == "firewall" || plugin["ipMasq"] == true)
    }

    /// Whether this list is what makes the bridge of that name.
    pub(super) fn makes_bridge(&self, bridge: &str) -> bool {
        self.plugins.iter().any(|plugin| plugin["type"] == "bridge" && plugin["bridge"] == bridge)
    }

    /// The directory with host-local's leases of this network, if it lies under `state`: one that lies elsewhere may
    /// hold other runtimes' leases.
    pub(super) fn leases(&self, state: &Path) -> Option<PathBuf> {
        let dirs = self.plugins.iter().filter_map(|plugin| plugin["ipam"]["dataDir"].as_str());
        dirs.map(Path::new).find(|dir| dir.starts_with(state)).map(|dir| dir.join(&self.name))
    }

    /// A plugin's config as it gets it on stdin.
    pub(super) fn input(&self, plugin: &Value, previous: Option<&Value>) -> Value {
        let mut config = plugin.clone();
        config["name"] = json!(self.name);
        config["cniVersion"] = json!(self.version.to_string());
        if let Some(previous) = previous {
            config["prevResult"] = previous.clone();
        }
        // What a plugin can be told at run time; actord tells nothing, and plugins are not to see the offer.
        if let Some(config) = config.as_object_mut() {
            config.remove("capabilities");
        }
        config
    }
}

fn built_in(options: &CniOptions) -> Result<Value, HostError> {
    let mut raw: Value =
        serde_json::from_str(BUILT_IN).map_err(|error| HostError::Failed(format!("the built-in CNI list: {error}")))?;
    raw["name"] = json!(options.name);
    for plugin in plugins_mut(&mut raw).iter_mut().filter(|plugin| plugin["type"] == "bridge") {
        plugin["bridge"] = json!(options.bridge);
        plugin["ipam"]["ranges"] = json!([[{ "subnet": options.subnet }]]);
        plugin["ipam"]["dataDir"] = json!(options.leases());
    }
    Ok(raw)
}

fn read(path: &Path) -> Result<Value, HostError> {
    let text = std::fs::read(path).map_err(|error| refused(path, &error.to_string()))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| refused(path, &error.to_string()))?;
    if value["plugins"].is_array() {
        return Ok(value);
    }
    Err(refused(path, "it has no list of plugins: a .conflist is needed, not a .conf"))
}

fn refused(path: &Path, reason: &str) -> HostError {
    let path = path.display();
    HostError::Failed(format!("CNI list {path}: {reason}: mend it, or set no cni-conflist to use the built-in list"))
}

fn plugins_mut(raw: &mut Value) -> &mut [Value] {
    raw.get_mut("plugins").and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> CniOptions {
        CniOptions {
            name: "net7".to_owned(),
            bridge: "br7".to_owned(),
            state_dir: "/run/x/cni".into(),
            ..CniOptions::new("10.7.0.0/24".parse().unwrap(), "/run/x/cni".into())
        }
    }

    fn user(text: &str) -> Result<Conflist, HostError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        Conflist::load(&CniOptions { conflist: Some(file.path().to_owned()), ..options() })
    }

    #[test]
    fn the_built_in_list_carries_this_installations_names() {
        let list = Conflist::load(&options()).unwrap();
        assert_eq!((list.name.as_str(), list.version), ("net7", SpecVersion::new(1, 0, 0)));
        assert_eq!(list.binaries().collect::<Vec<_>>(), ["bridge", "host-local"]);
        assert_eq!(list.plugins[0]["ipam"]["ranges"], json!([[{ "subnet": "10.7.0.0/24" }]]));
        assert!(list.makes_bridge("br7") && !list.needs_iptables(), "the way out is ours");
        assert_eq!(list.leases(Path::new("/run/x/cni")).unwrap(), Path::new("/run/x/cni/ipam/net7"));
    }

    #[test]
    fn fields_that_nobody_knows_reach_the_plugin_and_capabilities_do_not() {
        let list = user(
            r#"{"cniVersion":"1.0.0","name":"u","plugins":[{"type":"x","odd":{"a":[1]},"capabilities":{"ips":true}}]}"#,
        )
        .unwrap();
        let input = list.input(&list.plugins[0], Some(&json!({ "ips": [] })));
        let expected = json!({
            "type": "x", "odd": { "a": [1] }, "name": "u", "cniVersion": "1.0.0", "prevResult": { "ips": [] }
        });
        assert_eq!(input, expected);
    }

    #[test]
    fn leases_of_a_users_list_are_ours_only_where_it_does_not_say_otherwise() {
        let list = |ipam: &str| {
            user(&format!(r#"{{"cniVersion":"1.0.0","name":"u","plugins":[{{"type":"bridge","ipam":{ipam}}}]}}"#))
                .unwrap()
                .leases(Path::new("/run/x/cni"))
        };
        assert_eq!(list(r#"{"type":"host-local"}"#).unwrap(), Path::new("/run/x/cni/ipam/u"));
        assert_eq!(list(r#"{"type":"host-local","dataDir":"/var/lib/cni/networks"}"#), None);
    }

    #[test]
    fn a_list_that_can_not_work_is_refused_with_its_reason() {
        for (text, reason) in [
            ("{", "EOF"),
            (r#"{"cniVersion":"1.0.0","name":"u","type":"bridge"}"#, "not a .conf"),
            (r#"{"cniVersion":"1.0.0","name":"u","plugins":[]}"#, "no plugins"),
            (r#"{"cniVersion":"1.0.0","name":"../u","plugins":[{"type":"x"}]}"#, "invalid characters"),
            (r#"{"cniVersion":"0.2.0","name":"u","plugins":[{"type":"x"}]}"#, "too old"),
            (r#"{"cniVersion":"1.0.0","name":"u","plugins":[{"typ":"x"}]}"#, "type"),
        ] {
            let error = user(text).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("set no cni-conflist"), "{text}: {error}");
        }
    }
}
