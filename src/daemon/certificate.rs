//! The certificate of the public API, while actord runs: looked at now and then, and served anew when its files changed.

use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::Config;
use crate::tls::{Files, Tls};

/// Certificate and key are two files: whoever writes them has written both so long after the first.
const HALF_WRITTEN: Duration = Duration::from_secs(2);

/// The files of the settings, where they ask for TLS.
pub(super) fn files(config: &Config) -> Option<Files> {
    let owned = Path::to_owned;
    config.tls().map(|(certificate, key)| Files { certificate: owned(certificate), key: owned(key) })
}

/// One look at the files.
pub(super) async fn follow(tls: Tls) -> anyhow::Result<()> {
    let look = || {
        let tls = tls.clone();
        spawn_blocking(move || tls.reload())
    };
    let mut looked = look().await?;
    if looked.is_err() {
        sleep(HALF_WRITTEN).await;
        looked = look().await?;
    }
    if looked? {
        tracing::info!("the certificate or its key changed: new connections are shown what is in the files now");
    }
    Ok(())
}
