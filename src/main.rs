//! The program: parses the command line and runs the verb.

use std::process::ExitCode;

use actord::cli::{BundleVerb, Cli, ImageVerb, Verb};
use actord::doctor::State;
use actord::upgrade::Home;
use actord::{config, daemon, shim, telemetry};

pub(crate) fn main() -> ExitCode {
    // containerd starts this program under another name, once for each container: nothing else is set up before.
    if std::env::args_os().next().is_some_and(|called| shim::is_asked_for(&called)) {
        return shim::run(std::env::args_os());
    }
    let cli = match config::parse::<Cli>(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match run(cli.verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("actord: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    let done: anyhow::Result<()> = match verb {
        Verb::Remote(verb) => return Ok(verb.run()),
        Verb::Up(up) => {
            telemetry::init(&up.config.log_level, up.config.log_format)?;
            daemon::up(&up.config, up.stop_functions, &up.upgrade_dir)
        }
        Verb::Down(down) => {
            telemetry::init(&down.config.log_level, down.config.log_format)?;
            daemon::down(&down.config, &down.upgrade_dir)
        }
        Verb::Upgrade(upgrade) if upgrade.describe => {
            println!("{}", serde_json::to_string(&daemon::description())?);
            Ok(())
        }
        Verb::Upgrade(upgrade) => {
            telemetry::init(&upgrade.config.log_level, upgrade.config.log_format)?;
            if upgrade.watch {
                daemon::watch_upgrade(&Home::new(&upgrade.upgrade_dir))
            } else {
                let (running, machine) = daemon::to_be_upgraded(&upgrade.config, &Home::new(&upgrade.upgrade_dir))?;
                return Ok(upgrade.run(&running, &machine)?);
            }
        }
        Verb::Export(export) => {
            telemetry::init(&export.config.log_level, export.config.log_format)?;
            println!("{}", export.run()?);
            Ok(())
        }
        Verb::Import(import) => {
            telemetry::init(&import.config.log_level, import.config.log_format)?;
            println!("{}", import.run()?);
            Ok(())
        }
        Verb::Image(ImageVerb::Import(import)) => {
            telemetry::init(&import.config.log_level, import.config.log_format)?;
            daemon::import(&import.config, &import.path)
        }
        Verb::Image(ImageVerb::Pack(pack)) => Ok(pack.run()?),
        Verb::Bundle(BundleVerb::Create(create)) => {
            telemetry::init(&create.config.log_level, create.config.log_format)?;
            let images = |wanted: &_, directory: &_| daemon::export_images(&create.config, wanted, directory);
            println!("{}", create.run(images)?);
            Ok(())
        }
        Verb::Bundle(BundleVerb::Apply(apply)) => return Ok(apply.run()),
        Verb::Doctor(doctor) => {
            let findings = daemon::examine(&doctor.config)?;
            print!("{}", doctor.output.show(&findings));
            match findings.iter().filter(|finding| finding.state == State::Failure).count() {
                0 => Ok(()),
                failures => anyhow::bail!("{failures} of {} checks failed", findings.len()),
            }
        }
        Verb::Completion(completion) => Ok(completion.run(&mut std::io::stdout())?),
        Verb::Man(man) => Ok(man.run()?),
        Verb::Version => {
            println!("actord {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}
