//! Every setting of actord: one struct, checked before anything starts, and the only reader of the environment.
//!
//! ```text
//! flag  >  ACTORD_… variable  >  line of the TOML file  >  default
//! ```
//! The field's name is the setting's name everywhere: `data_dir` is `--data-dir`, `ACTORD_DATA_DIR` and `data-dir = "…"`.
//! clap does the work: the file's lines become the flags' defaults ([`file`]), so each value has one parser and one rule.

mod bound;
mod destination;
mod environment;
mod file;
mod value;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ipnet::{IpNet, Ipv4Net};

pub use bound::Bound;
pub use destination::{CallbackDestination, CallbackHost};
pub use environment::unknown_variables;
pub use file::{FileError, parse};
pub use value::{DashboardListen, ImageSignatureKey, ListedRuntime, LogFormat, RegistryMirror, parse_duration};

use crate::function::{Capability, RuntimeName};
use crate::host::{HostService, IdMapping, PullPolicy};

/// Where the TOML file is looked for when nobody names one.
pub const CONFIG_FILE: &str = "/etc/actord/actord.toml";

/// The kernel's file that names this boot of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The longest name of a network interface.
const INTERFACE_NAME_MAX: usize = 15;

/// Settings of actord.
///
/// Durations are written `90` (seconds), `500ms`, `1.5s` or `1m30s`. Lists are given by repeating the flag, with commas in
/// the environment, and as a list in the file.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Config {
    /// TOML file with any of these settings; it may be missing at its default place
    #[arg(long, env = "ACTORD_CONFIG", value_name = "FILE", default_value = CONFIG_FILE)]
    pub config: PathBuf,

    /// Directory for what survives a reboot: credentials, desired state, images, logs. One actord at a time
    #[arg(long, env = "ACTORD_DATA_DIR", value_name = "DIR", default_value = "/var/lib/actord", value_parser = value::absolute)]
    pub data_dir: PathBuf,

    /// Directory for what a reboot clears: sockets, network state, the runtime's state. Keep it short: sockets are in it
    #[arg(long, env = "ACTORD_STATE_DIR", value_name = "DIR", default_value = "/run/actord", value_parser = value::absolute)]
    pub state_dir: PathBuf,

    /// Address of the public API and of /function/{name}
    #[arg(long, env = "ACTORD_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = value::socket)]
    pub listen: SocketAddr,

    /// Address of the same API in the shape that an OpenFaaS gateway expects of its provider
    #[arg(long, env = "ACTORD_PROVIDER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8081", value_parser = value::socket)]
    pub provider_listen: SocketAddr,

    /// Address of /metrics, without authentication
    #[arg(long, env = "ACTORD_METRICS_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8082", value_parser = value::socket)]
    pub metrics_listen: SocketAddr,

    /// Address of the dashboard, a page for people, or none. It is no address that functions answer at: what they answer could
    /// act as who looks at them
    #[arg(long, env = "ACTORD_DASHBOARD_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8083", value_parser = value::dashboard)]
    pub dashboard_listen: DashboardListen,

    /// Certificate that listen shows, with those that lead to its authority after it (PEM): with tls-key, listen speaks TLS,
    /// and HTTP/2 with clients that want it. Read anew when it changes
    #[arg(long, env = "ACTORD_TLS_CERTIFICATE", value_name = "FILE", value_parser = value::absolute)]
    pub tls_certificate: Option<PathBuf>,

    /// Key of tls-certificate (PEM, without a password)
    #[arg(long, env = "ACTORD_TLS_KEY", value_name = "FILE", value_parser = value::absolute)]
    pub tls_key: Option<PathBuf>,

    /// Socket of a containerd that runs already. Without it actord runs a private one in its own directories
    #[arg(long, env = "ACTORD_CONTAINERD", value_name = "SOCKET", value_parser = value::absolute)]
    pub containerd: Option<PathBuf>,

    /// Program of the private containerd: a path, or a name to be found in PATH
    #[arg(long, env = "ACTORD_CONTAINERD_BINARY", value_name = "PROGRAM", default_value = "containerd")]
    pub containerd_binary: PathBuf,

    /// containerd namespace that holds everything of actord's, whatever the functions' own namespaces are
    #[arg(long, env = "ACTORD_CONTAINERD_NAMESPACE", value_name = "NAME", default_value = "actord", value_parser = value::identifier)]
    pub containerd_namespace: String,

    /// containerd snapshotter for the functions' root file systems
    #[arg(long, env = "ACTORD_SNAPSHOTTER", value_name = "NAME", default_value = "overlayfs", value_parser = value::identifier)]
    pub snapshotter: String,

    /// When a deploy or update asks the registry for the image: always (a tag may have moved), if-not-present, or never
    #[arg(long, env = "ACTORD_PULL_POLICY", value_name = "POLICY", default_value = "if-not-present", value_parser = value::pull_policy)]
    pub pull_policy: PullPolicy,

    /// Registry credentials in docker's format, read at every pull [default: <data-dir>/.docker/config.json]
    #[arg(long, env = "ACTORD_DOCKER_CONFIG", value_name = "FILE", value_parser = value::absolute)]
    pub docker_config: Option<PathBuf>,

    /// Registry (HOST or HOST:PORT) to be asked over plain http; loopback ones always are. Repeatable
    #[arg(long, env = "ACTORD_INSECURE_REGISTRY", value_name = "HOST[:PORT]", value_delimiter = ',', value_parser = value::registry)]
    pub insecure_registry: Vec<String>,

    /// Registry to ask before another: docker.io=cache.lan:5000, or docker.io=harbor.lan/hub where it keeps its images
    /// below a path. Repeatable: the mirrors of a registry are asked in order, then the registry itself
    #[arg(long, env = "ACTORD_REGISTRY_MIRROR", value_name = "REGISTRY=MIRROR", value_delimiter = ',', value_parser = value::mirror)]
    pub registry_mirror: Vec<RegistryMirror>,

    /// File with certificates (PEM) of authorities that may vouch for any registry, or directory with <HOST[:PORT]>/*.crt
    /// for each its own, as docker has it. Repeatable, read at every pull
    #[arg(long, env = "ACTORD_REGISTRY_CA", value_name = "FILE|DIR", value_delimiter = ',',
        default_values = ["/etc/docker/certs.d"], value_parser = value::absolute)]
    pub registry_ca: Vec<PathBuf>,

    /// File with a public key (PEM, as cosign writes it) that images must be signed by; [PREFIX=] before it: only images
    /// whose name begins so, such as registry.lan/team=/etc/actord/team.pub. Repeatable: any key that applies to an image
    /// will do. Read at every pull and start
    #[arg(long, env = "ACTORD_IMAGE_SIGNATURE_KEY", value_name = "[PREFIX=]FILE", value_delimiter = ',', value_parser = value::signature_key)]
    pub image_signature_key: Vec<ImageSignatureKey>,

    /// Images that are pulled side by side
    #[arg(long, env = "ACTORD_PARALLEL_PULLS", value_name = "N", default_value = "3", value_parser = value::count)]
    pub parallel_pulls: usize,

    /// Longest pull of one image
    #[arg(long, env = "ACTORD_PULL_TIMEOUT", value_name = "TIME", default_value = "30m", value_parser = value::timeout)]
    pub pull_timeout: Duration,

    /// How long a pulled image stays after the last function that needed it is gone; 0: for ever
    #[arg(long, env = "ACTORD_IMAGE_RETENTION", value_name = "TIME", default_value = "168h", value_parser = parse_duration)]
    pub image_retention: Duration,

    /// Percentage of its disk from which pulled images that no function needs go early, oldest first; 0: never
    #[arg(long, env = "ACTORD_IMAGE_HIGH_WATERMARK", value_name = "PERCENT", default_value = "85", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub image_high_watermark: u8,

    /// Percentage of the disk down to which they go then
    #[arg(long, env = "ACTORD_IMAGE_LOW_WATERMARK", value_name = "PERCENT", default_value = "80", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub image_low_watermark: u8,

    /// The most functions that may be deployed; 0: any number
    #[arg(long, env = "ACTORD_MAX_FUNCTIONS", value_name = "COUNT", default_value = "0")]
    pub max_functions: usize,

    /// The most memory that functions may request together (requests.memory of each replica); 0: any
    #[arg(long, env = "ACTORD_MAX_MEMORY_REQUESTS", value_name = "SIZE", default_value = "0", value_parser = value::memory_requests)]
    pub max_memory_requests: u64,

    /// Percentage of time that processes of this machine wait for memory from which load is shed; 0: never
    #[arg(long, env = "ACTORD_MEMORY_PRESSURE", value_name = "PERCENT", default_value = "20", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub memory_pressure: u8,

    /// Name of the CNI network
    #[arg(long, env = "ACTORD_CNI_NAME", value_name = "NAME", default_value = "actord", value_parser = value::identifier)]
    pub cni_name: String,

    /// Bridge that the functions' interfaces are plugged into; made when it is missing
    #[arg(long, env = "ACTORD_CNI_BRIDGE", value_name = "INTERFACE", default_value = "actord0", value_parser = value::interface)]
    pub cni_bridge: String,

    /// Subnet that the functions' addresses are taken from; it must not overlap with a route of this machine
    #[arg(long, env = "ACTORD_CNI_SUBNET", value_name = "CIDR", default_value = "10.62.0.0/16", value_parser = value::subnet)]
    pub cni_subnet: Ipv4Net,

    /// Directory with CNI plugins. Repeatable, searched in order
    #[arg(long, env = "ACTORD_CNI_PLUGIN_DIR", value_name = "DIR", value_delimiter = ',',
        default_values = ["/usr/lib/cni", "/opt/cni/bin"], value_parser = value::absolute)]
    pub cni_plugin_dir: Vec<PathBuf>,

    /// CNI network list to use instead of the built-in one
    #[arg(long, env = "ACTORD_CNI_CONFLIST", value_name = "FILE", value_parser = value::absolute)]
    pub cni_conflist: Option<PathBuf>,

    /// Service of this machine that functions may reach, beside DNS and the public API: 10.0.0.5:5432, or host:9090 at any of
    /// its addresses; or one at a link-local address. Repeatable
    #[arg(long, env = "ACTORD_ALLOW_FROM_FUNCTIONS", value_name = "ADDRESS:PORT", value_delimiter = ',')]
    pub allow_from_functions: Vec<HostService>,

    /// Name server for functions. Repeatable [default: the name servers that this machine uses]
    #[arg(long, env = "ACTORD_DNS", value_name = "ADDRESS", value_delimiter = ',')]
    pub dns: Vec<IpAddr>,

    /// Networks that are attached or detached side by side
    #[arg(long, env = "ACTORD_PARALLEL_ATTACHMENTS", value_name = "N", default_value = "4", value_parser = value::count)]
    pub parallel_attachments: usize,

    /// Networks that are made ahead of time, so that a start need not wait for one; 0: none
    #[arg(long, env = "ACTORD_WARM_ATTACHMENTS", value_name = "N", default_value = "64", value_parser = value::warm)]
    pub warm_attachments: usize,

    /// Cgroup that the functions' cgroups are made in
    #[arg(long, env = "ACTORD_CGROUP_PARENT", value_name = "PATH", default_value = "/actord", value_parser = value::cgroup)]
    pub cgroup_parent: String,

    /// Most processes and threads of one instance; a function may ask for another number
    #[arg(long, env = "ACTORD_PIDS_LIMIT", value_name = "N", default_value = "4096", value_parser = value::pids)]
    pub pids_limit: u32,

    /// Most memory of an instance whose function has no limits.memory: bytes, a share of the machine's memory, or none
    #[arg(long, env = "ACTORD_MEMORY_LIMIT", value_name = "BYTES|SHARE", default_value = "80%")]
    pub memory_limit: Bound,

    /// Most space on the disk for what an instance writes, whose function has no limits.ephemeral-storage: bytes, a share of
    /// the disk of data-dir, or none
    #[arg(long, env = "ACTORD_EPHEMERAL_STORAGE", value_name = "BYTES|SHARE", default_value = "20%")]
    pub ephemeral_storage: Bound,

    /// Most open files of each of a function's processes, where the machine allows that many
    #[arg(long, env = "ACTORD_OPEN_FILES", value_name = "N", default_value = "65536", value_parser = value::open_files)]
    pub open_files: u64,

    /// OCI runtime of functions that do not choose one: builtin (actord's own), runc (found in PATH), or a name of runtimes
    #[arg(long, env = "ACTORD_RUNTIME", value_name = "NAME", default_value = RuntimeName::BUILTIN, value_parser = value::runtime_name)]
    pub runtime: RuntimeName,

    /// Runtime that a function may choose by its annotation actord.runtime: gvisor=/usr/bin/runsc, or builtin or runc alone.
    /// Repeatable. The default needs to be listed only if it has a path
    #[arg(long, env = "ACTORD_RUNTIMES", value_name = "NAME=PATH", value_delimiter = ',', value_parser = value::runtime)]
    pub runtimes: Vec<ListedRuntime>,

    /// Capability of root that a function may ask for by its annotation actord.capabilities, such as CHOWN. Repeatable; no
    /// function has one that it does not ask for
    #[arg(long, env = "ACTORD_CAPABILITIES", value_name = "NAME", value_delimiter = ',', value_parser = value::capability)]
    pub capabilities: Vec<Capability>,

    /// Whether functions may ask, by the annotation actord.compat-32bit, for the way into the kernel that programs of 32 bits
    /// take
    #[arg(long, env = "ACTORD_COMPAT_32BIT", value_name = "BOOL", default_value = "false", action = clap::ArgAction::Set)]
    pub compat_32bit: bool,

    /// Whether each instance has a user namespace of its own, in which its users, root among them, are nobody on this machine.
    /// Images are copied once for it, which takes as much of the disk again
    #[arg(long, env = "ACTORD_USER_NAMESPACES", value_name = "BOOL", default_value = "false", action = clap::ArgAction::Set)]
    pub user_namespaces: bool,

    /// Numbers of users and groups of this machine that those in user namespaces stand for: the first, and how many. No user
    /// of the machine and no other software may have them
    #[arg(long, env = "ACTORD_USER_NAMESPACE_IDS", value_name = "FIRST:COUNT", default_value = "1879048192:65536", value_parser = value::id_mapping)]
    pub user_namespace_ids: IdMapping,

    /// Instances that are started side by side
    #[arg(long, env = "ACTORD_PARALLEL_STARTS", value_name = "N", default_value = "4", value_parser = value::count)]
    pub parallel_starts: usize,

    /// How long a deploy or update waits for its instance before it is answered anyway
    #[arg(long, env = "ACTORD_DEPLOY_WAIT", value_name = "TIME", default_value = "20s", value_parser = parse_duration)]
    pub deploy_wait: Duration,

    /// Longest single call to containerd or to the CNI plugins, other than a pull
    #[arg(long, env = "ACTORD_HOST_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = value::timeout)]
    pub host_timeout: Duration,

    /// How long a started process may take to get ready
    #[arg(long, env = "ACTORD_READY_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = value::timeout)]
    pub ready_timeout: Duration,

    /// How long a retired instance, or a stopping actord, may go on with the requests that it has
    #[arg(long, env = "ACTORD_DRAIN_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub drain_timeout: Duration,

    /// How long a process may take to end after its stop signal before it is killed
    #[arg(long, env = "ACTORD_GRACE_PERIOD", value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub grace_period: Duration,

    /// How long after its last call a function is frozen, if it asks to be scaled to zero; 0: never
    #[arg(long, env = "ACTORD_FREEZE_AFTER", value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub freeze_after: Duration,

    /// How long after its last call a function is stopped, if it asks to be scaled to zero; 0: never
    #[arg(long, env = "ACTORD_ZERO_DURATION", value_name = "TIME", default_value = "15m", value_parser = parse_duration)]
    pub zero_duration: Duration,

    /// For how long fewer replicas of a function must have been enough before they are taken away
    #[arg(long, env = "ACTORD_SCALE_DOWN_WINDOW", value_name = "TIME", default_value = "60s", value_parser = value::window)]
    pub scale_down_window: Duration,

    /// Most disk space for what the instances of one function write, gone ones among them; the oldest goes first
    #[arg(long, env = "ACTORD_LOG_MAX_SIZE", value_name = "SIZE", default_value = "16Mi", value_parser = value::log_size)]
    pub log_max_size: u64,

    /// Most disk space for the audit log, which says who changed what by the API; the oldest goes first
    #[arg(long, env = "ACTORD_AUDIT_MAX_SIZE", value_name = "SIZE", default_value = "16Mi", value_parser = value::log_size)]
    pub audit_max_size: u64,

    /// How long a function may take to begin its answer, once it has the whole request
    #[arg(long, env = "ACTORD_UPSTREAM_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = value::timeout)]
    pub upstream_timeout: Duration,

    /// How long a client may take to send a request's head: from when it connected, or from the head's first byte
    #[arg(long, env = "ACTORD_HEAD_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = value::timeout)]
    pub head_timeout: Duration,

    /// How long a connection is kept on which no request comes
    #[arg(long, env = "ACTORD_KEEP_ALIVE_TIMEOUT", value_name = "TIME", default_value = "75s", value_parser = value::timeout)]
    pub keep_alive_timeout: Duration,

    /// How long a client may send next to nothing of a request body that it has begun
    #[arg(long, env = "ACTORD_UPLOAD_IDLE_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = value::timeout)]
    pub upload_idle_timeout: Duration,

    /// What a client must send at least of a body that is waited for, in bytes a second of that time; 0: any byte is enough
    #[arg(long, env = "ACTORD_UPLOAD_MIN_RATE", value_name = "BYTES", default_value = "64")]
    pub upload_min_rate: u64,

    /// How long a client may take next to nothing of its answer before its connection is closed
    #[arg(long, env = "ACTORD_ANSWER_IDLE_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = value::timeout)]
    pub answer_idle_timeout: Duration,

    /// What a client must take at least of an answer that waits for it, in bytes a second of that time; 0: any byte is enough
    #[arg(long, env = "ACTORD_ANSWER_MIN_RATE", value_name = "BYTES", default_value = "256")]
    pub answer_min_rate: u64,

    /// Most memory in which answers wait for clients; beyond it, those that take next to nothing are closed within seconds
    #[arg(long, env = "ACTORD_ANSWER_MEMORY", value_name = "SIZE", default_value = "64Mi", value_parser = value::memory)]
    pub answer_memory: usize,

    /// Most connections of clients to each of listen and provider-listen; 0: no limit. What is beyond is answered with 503
    /// or closed
    #[arg(long, env = "ACTORD_MAX_CONNECTIONS", value_name = "N", default_value = "8192")]
    pub max_connections: usize,

    /// Most of them from one address, or one IPv6 /64; 0: no limit. Trusted proxies and this machine itself (loopback) are
    /// not held to it
    #[arg(long, env = "ACTORD_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value = "1024")]
    pub max_connections_per_address: usize,

    /// Address or subnet (CIDR) of a proxy before actord, whose X-Forwarded-* and Forwarded are believed and passed on to
    /// functions; from any other peer they are replaced. Repeatable. A gateway on this machine is one for provider-listen
    #[arg(long, env = "ACTORD_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',', value_parser = value::proxies)]
    pub trusted_proxies: Vec<IpNet>,

    /// How long a request waits for a function that has no ready instance
    #[arg(long, env = "ACTORD_PARK_TIME", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub park_time: Duration,

    /// Most requests that wait for one function that has no ready instance
    #[arg(long, env = "ACTORD_PARK_REQUESTS", value_name = "N", default_value = "512")]
    pub park_requests: usize,

    /// Largest body of an asynchronous call
    #[arg(long, env = "ACTORD_QUEUE_MAX_BODY", value_name = "SIZE", default_value = "1Mi", value_parser = value::call_body)]
    pub queue_max_body: usize,

    /// Most asynchronous calls of one function that wait; 0: any number
    #[arg(long, env = "ACTORD_QUEUE_MAX_CALLS", value_name = "COUNT", default_value = "100000")]
    pub queue_max_calls: u64,

    /// Most space on the disk for asynchronous calls, their answers and dead letters: bytes, a share of the disk of data-dir,
    /// or none
    #[arg(long, env = "ACTORD_QUEUE_MAX_BYTES", value_name = "BYTES|SHARE", default_value = "10%")]
    pub queue_max_bytes: Bound,

    /// Asynchronous calls that are under way side by side
    #[arg(long, env = "ACTORD_QUEUE_PARALLEL", value_name = "N", default_value = "256", value_parser = value::count)]
    pub queue_parallel: usize,

    /// How long an asynchronous call that failed for good is kept to be looked at and sent again; 0: for ever
    #[arg(long, env = "ACTORD_DEAD_LETTER_RETENTION", value_name = "TIME", default_value = "168h", value_parser = parse_duration)]
    pub dead_letter_retention: Duration,

    /// Most disk space for such calls of one function; the oldest goes first
    #[arg(long, env = "ACTORD_DEAD_LETTER_MAX_SIZE", value_name = "SIZE", default_value = "16Mi", value_parser = value::log_size)]
    pub dead_letter_max_size: u64,

    /// Where callbacks of asynchronous calls may go beside other machines: an address, a subnet or a name, of this machine or
    /// of the functions' subnet, at any port or with :PORT at one. Repeatable
    #[arg(long, env = "ACTORD_CALLBACK_ALLOW", value_name = "ADDRESS|CIDR|HOST[:PORT]", value_delimiter = ',')]
    pub callback_allow: Vec<CallbackDestination>,

    /// Name by which callbacks call this actord: http://NAME:8080/function/... goes to a function here, without a connection.
    /// Repeatable
    #[arg(long, env = "ACTORD_GATEWAY_NAMES", value_name = "HOST", value_delimiter = ',',
        default_values = ["gateway", "gateway.openfaas"], value_parser = value::host_name)]
    pub gateway_names: Vec<String>,

    /// Whether every status carries the label faas_function with the function's name, as other providers add it; clients
    /// that compare labels with a stack file show it as a difference
    #[arg(long, env = "ACTORD_FUNCTION_LABEL", value_name = "BOOL", default_value = "false", action = clap::ArgAction::Set)]
    pub function_label: bool,

    /// File that names this boot of the machine, where a test plays a reboot
    #[cfg(feature = "testing")]
    #[arg(long, hide = true, value_name = "FILE", default_value = BOOT_ID, value_parser = value::absolute)]
    pub boot_id_path: PathBuf,

    /// What is logged: error, warn, info, debug or trace, also by module (info,actord::host=debug). RUST_LOG does the same
    #[arg(long, env = "ACTORD_LOG_LEVEL", value_name = "FILTER", default_value = "info", value_parser = value::log_filter)]
    pub log_level: String,

    /// Shape of the log on standard error: text or json
    #[arg(long, env = "ACTORD_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

impl Config {
    /// Rules that concern more than one setting.
    ///
    /// # Errors
    /// The sentence names both settings.
    pub fn check(&self) -> Result<(), String> {
        let (data, state) = (&self.data_dir, &self.state_dir);
        if data.starts_with(state) || state.starts_with(data) {
            return Err(format!(
                "data-dir {} and state-dir {} are one inside the other: a reboot clears only the second",
                data.display(),
                state.display()
            ));
        }
        let addresses = [
            ("listen", Some(self.listen)),
            ("provider-listen", Some(self.provider_listen)),
            ("metrics-listen", Some(self.metrics_listen)),
            ("dashboard-listen", self.dashboard_listen.0),
        ];
        let addresses: Vec<_> = addresses.into_iter().filter_map(|(name, address)| Some((name, address?))).collect();
        for (n, (name, address)) in addresses.iter().enumerate() {
            for (other_name, other) in &addresses[..n] {
                if address == other && address.port() != 0 {
                    return Err(format!("{other_name} and {name} are both {address}: give each a port of its own"));
                }
            }
        }
        let (has, misses) = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), None) => (format!("tls-certificate is {}", certificate.display()), "tls-key"),
            (None, Some(key)) => (format!("tls-key is {}", key.display()), "tls-certificate"),
            _ => (String::new(), ""),
        };
        if !misses.is_empty() {
            return Err(format!("{has}, and {misses} is missing: TLS needs both"));
        }
        for (n, listed) in self.runtimes.iter().enumerate() {
            if self.runtimes[..n].iter().any(|other| other.name == listed.name) {
                return Err(format!("runtimes names {} twice: give each a name of its own", listed.name));
            }
        }
        let default = &self.runtime;
        if !default.is_known() && self.runtimes.iter().all(|listed| listed.name != *default) {
            return Err(format!(
                "runtime is {default}, of which runtimes says no path: give it there, as {default}=/usr/bin/{default}"
            ));
        }
        if let Some(server) = self.dns.iter().find(|server| server.is_loopback()) {
            return Err(format!(
                "dns {server}: a function can't reach this machine's loopback; name a server outside of it"
            ));
        }
        Ok(())
    }

    /// How users and groups of images are mapped; none: their instances have no user namespace.
    #[must_use]
    pub fn id_mapping(&self) -> Option<IdMapping> {
        self.user_namespaces.then_some(self.user_namespace_ids)
    }

    /// Registry credentials in docker's format; the file need not exist.
    #[must_use]
    pub fn docker_config(&self) -> PathBuf {
        self.docker_config.clone().unwrap_or_else(|| self.data_dir.join(".docker/config.json"))
    }

    /// The file that names this boot of the machine.
    #[must_use]
    pub fn boot_id_path(&self) -> &Path {
        #[cfg(feature = "testing")]
        return &self.boot_id_path;
        #[cfg(not(feature = "testing"))]
        Path::new(BOOT_ID)
    }

    /// The desired state.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.data_dir.join("actord.db")
    }

    /// The asynchronous calls, and when schedules fired.
    #[must_use]
    pub fn calls_path(&self) -> PathBuf {
        self.data_dir.join("calls.db")
    }

    /// Certificate and key of the public API, where it speaks TLS.
    #[must_use]
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        self.tls_certificate.as_deref().zip(self.tls_key.as_deref())
    }

    /// The functions' secrets.
    #[must_use]
    pub fn secrets_dir(&self) -> PathBuf {
        self.data_dir.join("secrets")
    }

    /// Archives that are imported at every start.
    #[must_use]
    pub fn images_dir(&self) -> PathBuf {
        self.data_dir.join("images")
    }

    /// What the functions write, one file per instance.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.data_dir.join("logs")
    }

    /// Who changed what by the API.
    #[must_use]
    pub fn audit_dir(&self) -> PathBuf {
        self.data_dir.join("audit")
    }

    /// Where the API's name and password are.
    #[must_use]
    pub fn auth_dir(&self) -> PathBuf {
        self.data_dir.join("auth")
    }

    /// containerd's socket: the one that was named, else that of the private containerd.
    #[must_use]
    pub fn containerd_socket(&self) -> PathBuf {
        self.containerd.clone().unwrap_or_else(|| self.state_dir.join("containerd.sock"))
    }
}

/// The name of a setting in the file and as a flag, from its name as a field.
fn setting_name(id: &str) -> String {
    id.replace('_', "-")
}

/// Whether a path is where nobody had to say that it is.
fn is_default_file(path: &Path) -> bool {
    path == Path::new(CONFIG_FILE)
}
