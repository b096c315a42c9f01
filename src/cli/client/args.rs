//! The flags that the client verbs share.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::{ClientError, Output};
use crate::config::CONFIG_FILE;
use crate::function::{FunctionId, Namespace};

/// Which gateway is asked, as whom, and in which shape the answer is shown.
#[derive(Debug, Clone, Args)]
pub struct GatewayArgs {
    /// URL of the gateway [default: the stack file's, else OPENFAAS_URL, else http://127.0.0.1:8080, or
    /// https:// with tls-certificate]
    #[arg(short, long, value_name = "URL", help_heading = "Gateway")]
    pub gateway: Option<String>,

    /// Take any certificate of an https gateway
    #[arg(long, help_heading = "Gateway")]
    pub tls_no_verify: bool,

    /// actord's certificate, where its public API speaks TLS: a gateway on this machine's loopback is trusted that shows it
    #[arg(long, env = "ACTORD_TLS_CERTIFICATE", value_name = "FILE", help_heading = "Gateway")]
    pub tls_certificate: Option<PathBuf>,

    /// actord's data directory, where root finds the password of a gateway on this machine's loopback
    #[arg(
        long,
        env = "ACTORD_DATA_DIR",
        value_name = "DIR",
        default_value = "/var/lib/actord",
        help_heading = "Gateway"
    )]
    pub data_dir: PathBuf,

    /// actord's TOML file, which may name the data directory
    #[arg(long, env = "ACTORD_CONFIG", value_name = "FILE", default_value = CONFIG_FILE, help_heading = "Gateway")]
    pub config: PathBuf,

    /// Shape of the answer: a table for people, or JSON that stays as it is from version to version
    #[arg(short, long, value_enum, value_name = "SHAPE", default_value = "table")]
    pub output: Output,
}

/// The namespace of functions that are named without one.
#[derive(Debug, Clone, Default, Args)]
pub struct NamespaceArg {
    /// Namespace of the functions; NAME.NAMESPACE does the same for one [default: openfaas-fn]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<Namespace>,
}

impl NamespaceArg {
    pub(in crate::cli) fn or_default(&self) -> Namespace {
        self.namespace.clone().unwrap_or_default()
    }

    /// A function of a stack file: the flag beats what the file says.
    pub(in crate::cli) fn of(&self, id: FunctionId) -> FunctionId {
        match &self.namespace {
            Some(namespace) => FunctionId::new(id.name, namespace.clone()),
            None => id,
        }
    }
}

/// `NAME` or `NAME.NAMESPACE`, with the namespace that the flag names.
pub(in crate::cli) fn function_id(text: &str, flag: &NamespaceArg) -> Result<FunctionId, ClientError> {
    let id: FunctionId = text.parse().map_err(|error| ClientError::Usage(format!("{text:?}: {error}")))?;
    match &flag.namespace {
        None => Ok(id),
        Some(namespace) if !text.contains('.') => Ok(FunctionId::new(id.name, namespace.clone())),
        Some(namespace) if id.namespace == *namespace => Ok(id),
        Some(namespace) => {
            Err(ClientError::Usage(format!("{text} names another namespace than --namespace {namespace}")))
        }
    }
}

/// The gateway that the files name; two different ones need a flag to decide.
pub(in crate::cli) fn gateway_of<'a>(
    named: &'a BTreeSet<String>,
    args: &GatewayArgs,
) -> Result<Option<&'a str>, ClientError> {
    if named.len() > 1 && args.gateway.is_none() {
        let named = named.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(ClientError::Usage(format!(
            "the stack files name different gateways ({named}): choose with --gateway"
        )));
    }
    Ok(named.first().map(String::as_str))
}

/// `KEY=VALUE`, for clap.
pub(in crate::cli) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_comes_with_the_name_or_from_the_flag_but_not_both() {
        let flag = |text: &str| NamespaceArg { namespace: Some(text.parse().unwrap()) };
        let none = NamespaceArg::default();
        assert_eq!(function_id("a", &none).unwrap().to_string(), "a.openfaas-fn");
        assert_eq!(function_id("a.dev", &none).unwrap().to_string(), "a.dev");
        assert_eq!(function_id("a", &flag("dev")).unwrap().to_string(), "a.dev");
        assert_eq!(function_id("a.dev", &flag("dev")).unwrap().to_string(), "a.dev");
        assert!(function_id("a.dev", &flag("test")).unwrap_err().to_string().contains("--namespace test"));
        assert!(function_id("A_B", &none).unwrap_err().to_string().contains("DNS label"));
    }
}
