//! The contract's subject on the machine in memory, in simulated time.

use std::time::Duration;

use actix::System;
use actord::actors::Settings;
use actord::host::fake::{Behaviour, FakeHost};
use actord::routes::Lease;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use crate::cleaning::clean;
use crate::fixture::until;
use crate::local::{Life, Local};
use crate::subject::Kind;

/// Longer than any case takes, in simulated time.
const CASE: Duration = Duration::from_secs(24 * 3600);

pub struct Fake {
    host: FakeHost,
    directory: tempfile::TempDir,
    life: Option<Life>,
}

pub fn run(case: impl AsyncFnOnce(&mut Fake)) {
    let runtime = || Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(async {
        let mut fake = Fake { host: FakeHost::new(), directory: tempfile::tempdir().unwrap(), life: None };
        publish_images(&fake.host);
        fake.begin().await;
        timeout(CASE, case(&mut fake)).await.expect("the case ends");
        clean(&fake).await;
        until("nothing is left", async || fake.host.leftovers().is_empty()).await;
        assert_eq!(fake.host.violations(), [""; 0]);
    });
}

fn publish_images(host: &FakeHost) {
    let hello = Behaviour::new().writes("hello\nsecond line\n");
    for (kind, behaviour) in [
        (Kind::Hello, hello.clone()),
        (Kind::HelloAgain, hello),
        (Kind::EndsAtOnce, Behaviour::new().exits_with(7)),
        (Kind::FindsNoCommand, Behaviour::new().exits_with(127)),
        (Kind::Unrunnable, Behaviour::new().hopeless("no such program")),
        (Kind::Hangs, Behaviour::new().pulls_in(CASE)),
    ] {
        host.publish_image(&reference(kind), behaviour);
    }
}

fn reference(kind: Kind) -> String {
    format!("localhost:5000/{}:1", format!("{kind:?}").to_lowercase())
}

impl Local for Fake {
    fn image(&self, kind: Kind) -> String {
        reference(kind)
    }

    async fn answers(&self, lease: &Lease) -> bool {
        let is_awake =
            || self.host.running().contains(lease.instance()) && !self.host.frozen().contains(lease.instance());
        let first = is_awake();
        sleep(Duration::from_millis(1)).await;
        first && is_awake()
    }

    fn life(&mut self) -> &mut Option<Life> {
        &mut self.life
    }

    fn living(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    async fn begin(&mut self) {
        self.life = Some(Life::begin(self.host.host(), self.directory.path(), Settings::default()).await);
    }
}
