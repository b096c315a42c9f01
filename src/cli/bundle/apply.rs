//! `actord bundle apply`: bundle -> looked at, and unpacked -> packages -> actord answers -> images -> functions are ready.
//!
//! Images and functions go the ways of `actord image import` and `actord apply`: by this program, whichever is installed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::bundle::{self, BundleError, IMAGES, Installed, Manifest, STACKS, Staging};
use crate::cli::client::{Client, ClientError, ExitWith, GatewayArgs, eprint_line};
use crate::cli::remote;
use crate::config::parse_duration;
use crate::upgrade::{HOME, Home, refuse_meanwhile};

/// The time between two looks whether actord answers, and how long one may take.
const PAUSE: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_secs(5);
/// This program, also where a package has replaced its file meanwhile.
const ITSELF: &str = "/proc/self/exe";

/// `actord bundle apply`.
#[derive(Debug, Args)]
pub struct BundleApplyArgs {
    /// Bundle that `actord bundle create` wrote
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,

    /// How long to wait until actord answers, and then until all functions are ready
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Directory for what is needed meanwhile: as much as the bundle takes
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub work_dir: PathBuf,

    /// Where upgrades keep what they need: of no use but to tests, which run many actords on one machine
    #[arg(long, hide = true, value_name = "DIR", default_value = HOME)]
    pub upgrade_dir: PathBuf,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl BundleApplyArgs {
    /// Does it, tells what went wrong, and returns the exit code.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        remote::to_the_end(async {
            tokio::select! {
                done = self.perform() => done,
                // What is under way gets the signal from the terminal as well.
                Ok(()) = tokio::signal::ctrl_c() => Ok(ExitWith::Interrupted),
            }
        })
    }

    async fn perform(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        // What it installs would be undone, or take the place of the way back.
        refuse_meanwhile(&Home::new(&self.upgrade_dir), &self.gateway.data_dir)
            .map_err(|refusal| ClientError::Local(refusal.to_string()))?;
        let staging = Staging::make(&self.work_dir)?;
        let (bundle, directory) = (self.bundle.clone(), staging.path().to_owned());
        let manifest = blocking(move || bundle::unpack(&bundle, &directory)).await?;
        bundle::fits(&manifest)?;
        eprint_line(&format!("{}: {} files, all as they were written", self.bundle.display(), manifest.members.len()));
        self.install(&manifest, staging.path()).await?;
        self.wait_until_it_answers(&client).await?;
        if manifest.has_any(IMAGES) {
            self.itself("import the images", &["image", "import"], &staging.path().join(IMAGES), &[]).await?;
        }
        let (gateway, timeout) = (client.gateway(), format!("{}s", self.timeout.as_secs().max(1)));
        let more = ["--gateway", &gateway, "--timeout", &timeout];
        self.itself("deploy the functions", &["apply", "--file"], &staging.path().join(STACKS), &more).await?;
        Ok(ExitWith::Done)
    }

    async fn install(&self, manifest: &Manifest, directory: &Path) -> Result<(), ClientError> {
        let Some(package) = manifest.package.clone() else { return Ok(()) };
        let (manifest, directory) = (manifest.clone(), directory.to_owned());
        eprint_line(&format!("actord {}: bringing in what this machine lacks of it and its needs", package.version));
        let installed = blocking(move || bundle::bring_in(&manifest, &directory)).await?;
        eprint_line(&match installed {
            Installed::Now => format!("actord {} is installed now", package.version),
            Installed::Already(version) => format!("actord {version} is installed: no package is changed"),
        });
        if !blocking(bundle::start).await? {
            eprint_line("no service manager runs here: actord must be started by hand, `actord up`");
        }
        Ok(())
    }

    async fn wait_until_it_answers(&self, client: &Client) -> Result<(), ClientError> {
        let end = Instant::now() + self.timeout;
        loop {
            let asked = client.success(client.open_request(Method::GET, &["healthz"], &[]).timeout(LOOK)).await;
            let Err(error) = asked else { break };
            if Instant::now() + PAUSE > end {
                return Err(ClientError::Unreachable(format!(
                    "{error}. `actord doctor` says what is wrong with this machine, `journalctl -u actord` what actord said; \
                     without a service manager `actord up` starts it. Then apply the bundle again: it goes on where it stopped"
                )));
            }
            sleep(PAUSE).await;
        }
        eprint_line(&format!("actord answers at {}", client.gateway()));
        Ok(())
    }

    /// Runs a verb of this program, with the settings that this one was given.
    async fn itself(&self, what: &str, verb: &[&str], path: &Path, more: &[&str]) -> Result<(), ClientError> {
        let GatewayArgs { tls_no_verify, tls_certificate, data_dir, config, .. } = &self.gateway;
        let mut command = Command::new(ITSELF);
        command.args(verb).arg(path).args(more);
        command.args([OsStr::new("--data-dir"), data_dir.as_os_str(), OsStr::new("--config"), config.as_os_str()]);
        if let Some(certificate) = tls_certificate {
            command.arg("--tls-certificate").arg(certificate);
        }
        // The other verbs are for this machine alone.
        if *tls_no_verify && verb.contains(&"apply") {
            command.arg("--tls-no-verify");
        }
        let status = command.stdin(Stdio::null()).status().await;
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(ClientError::Local(format!(
                "could not {what} ({status}), what failed stands above: mend that and apply the bundle again, it goes on where \
                 it stopped"
            ))),
            Err(error) => Err(ClientError::Local(format!("could not {what}: {error}"))),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BundleError> + Send + 'static,
) -> Result<T, ClientError> {
    let done = spawn_blocking(work).await.map_err(|error| ClientError::Local(error.to_string()))?;
    Ok(done?)
}
