//! Puts the rooms together: Config -> Host -> actors -> http. With `main` the only place that knows every room.

use std::path::Path;

use actord::config::Config;
use actord::credentials::Credentials;
use actord::data_dir::DataDir;
use anyhow::bail;

/// `actord up`: runs until SIGTERM or SIGINT, then drains.
pub(crate) fn up(config: &Config, stop_functions: bool) -> anyhow::Result<()> {
    let data = DataDir::open(&config.data_dir)?;
    let credentials = Credentials::read_or_make(&config.auth_dir())?;
    tracing::info!(
        data_dir = %data.path().display(), host_id = data.host_id(), user = credentials.user, stop_functions,
        "data directory is ours"
    );
    bail!("the host is not connected yet")
}

/// `actord down`: removes every function and all that actord made on this machine, but no data.
pub(crate) fn down(config: &Config) -> anyhow::Result<()> {
    let _data = DataDir::open(&config.data_dir)?;
    bail!("the host is not connected yet")
}

/// `actord image import`: whether an actord runs or not, but its containerd must.
pub(crate) fn import(_config: &Config, _path: &Path) -> anyhow::Result<()> {
    bail!("the host is not connected yet")
}
