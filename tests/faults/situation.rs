//! What is being done while the host fails, and what its answer promises.

use std::collections::BTreeMap;
use std::time::Duration;

use actord::engine::{Engine as _, Mode, Refused};
use actord::function::{Desired, Exit, Phase, Tier};
use actord::host::WarmId;
use actord::host::fake::Behaviour;
use actord::store::Secrets;
use tokio::time::{Instant, sleep};

use crate::life::World;
use crate::platform::{Platform, id, secretive};

/// Beside the function `f`, to which it happens, `b` serves and has nothing to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    Deploy,
    /// The first version ends at once and is replaced by a good one.
    EarlyExit,
    Update,
    /// The version before comes back.
    Rollback,
    CrashRepair,
    ScaleUp,
    ScaleDown,
    /// It is at zero, and a call comes.
    Wake,
    /// It rests: it is frozen.
    Rest,
    /// It is frozen, and a call comes.
    Thaw,
    /// It is kept down by hand.
    Stop,
    Delete,
    /// A secret that it has gets another value.
    SecretChange,
    /// Somebody wants to know what it uses.
    Measure,
    /// Nothing is done.
    Idle,
    /// actord starts: something runs, something has crashed, something is unwanted, and something is half there.
    Recovery,
}

/// The answer to whoever asked; none where nobody did, or actord was killed before it answered.
pub type Answer = Option<Result<(), Refused>>;

impl Situation {
    pub const ALL: [Self; 16] = [
        Self::Deploy,
        Self::EarlyExit,
        Self::Update,
        Self::Rollback,
        Self::CrashRepair,
        Self::ScaleUp,
        Self::ScaleDown,
        Self::Wake,
        Self::Rest,
        Self::Thaw,
        Self::Stop,
        Self::Delete,
        Self::SecretChange,
        Self::Measure,
        Self::Idle,
        Self::Recovery,
    ];

    /// What there is before. A recovery needs an actord that has ended meanwhile.
    pub fn prepare_world(self, world: &World) {
        world.host.publish_image("crash:1", Behaviour::new().exits_with(1).writes("no config"));
        if self != Self::Recovery {
            return;
        }
        world.live(async |platform| {
            self.prepare(platform, 2).await;
            platform.deploy("unwanted", "good:2").await.unwrap();
            let crashed = platform.published("f").remove(0);
            platform.host.host().network.attach(&"stray-000000000000".parse().unwrap()).await.unwrap();
            if platform.settings.warm_attachments > 0 {
                let bad = WarmId::random();
                platform.host.host().network.warm(&bad).await.unwrap();
                platform.host.spoil(&bad);
            }
            // The last moment: what follows happens behind its back.
            platform.host.exit(&crashed, Exit::Signal(9));
            let unheard = Secrets::new(platform.dir.path().join("secrets"));
            unheard.write(&id("f").namespace, &"db".parse().unwrap(), b"new").unwrap();
        });
        // Not while it lives: that the function has served is written after its deployment was answered.
        world.at_rest(world.store.delete(&id("unwanted"))).unwrap();
    }

    /// What there is before, where actord is the same.
    pub async fn prepare_platform(self, platform: &Platform) {
        match self {
            Self::Recovery => {}
            Self::Deploy | Self::EarlyExit => self.prepare(platform, 0).await,
            Self::Update | Self::CrashRepair | Self::ScaleUp | Self::SecretChange | Self::Measure => {
                self.prepare(platform, 1).await;
            }
            Self::Rollback => {
                self.prepare(platform, 1).await;
                platform.update("f", "good:2").await.unwrap();
                sleep(Duration::from_secs(65)).await;
            }
            Self::Idle | Self::Rest => self.prepare(platform, 1).await,
            Self::Thaw => {
                self.prepare(platform, 1).await;
                platform.engine.rest(&id("f"), Tier::Frozen).await.unwrap();
                platform.until("it is frozen", async |p| p.phase("f").await == Some(Phase::Frozen)).await;
            }
            Self::ScaleDown => self.prepare(platform, 3).await,
            Self::Delete | Self::Stop => self.prepare(platform, 2).await,
            Self::Wake => {
                self.prepare(platform, 1).await;
                platform.scale("f", 0).await.unwrap();
                sleep(Duration::from_secs(65)).await;
            }
        }
    }

    async fn prepare(self, platform: &Platform, replicas: u32) {
        platform.deploy("b", "good:3").await.unwrap();
        if replicas > 0 {
            let has: &[&str] = if matches!(self, Self::SecretChange | Self::Recovery) { &["db"] } else { &[] };
            platform.write_secret("db", "old");
            platform.apply(Mode::Create, "f", secretive("good:1", has)).await.unwrap();
            platform.scale("f", replicas).await.unwrap();
            platform.until("all serve", async |p| p.published("f").len() == replicas as usize).await;
        }
        // A stable run: a crash after it is repaired at once.
        sleep(Duration::from_secs(65)).await;
    }

    /// What is done.
    pub async fn act(self, platform: &Platform) -> Answer {
        match self {
            Self::Deploy => Some(platform.deploy("f", "good:1").await),
            Self::EarlyExit => {
                let update = async {
                    sleep(Duration::from_millis(500)).await;
                    platform.update("f", "good:2").await
                };
                let (deployed, updated) = futures_util::join!(platform.deploy("f", "crash:1"), update);
                // A deploy that was refused left nothing to update.
                Some(deployed.and(updated))
            }
            Self::Update => Some(platform.update("f", "good:2").await),
            Self::Rollback => Some(platform.engine.rollback(&id("f"), None).await),
            Self::CrashRepair => {
                let crashed = platform.published("f").remove(0);
                platform.host.exit(&crashed, Exit::Signal(11));
                None
            }
            Self::ScaleUp => Some(platform.scale("f", 3).await),
            Self::ScaleDown => Some(platform.scale("f", 1).await),
            Self::Wake | Self::Thaw => platform.routes.lease(&id("f")).await.ok().map(|_| Ok(())),
            Self::Rest => Some(platform.engine.rest(&id("f"), Tier::Frozen).await),
            Self::Stop => Some(platform.keep_down("f", true).await),
            Self::Delete => Some(platform.delete("f").await),
            Self::SecretChange => {
                platform.write_secret("db", "new");
                None
            }
            Self::Measure => {
                let begun = Instant::now();
                platform.used(Some("f")).await;
                assert!(begun.elapsed() <= Duration::from_secs(2), "a status waits no longer for it");
                None
            }
            Self::Idle => {
                sleep(Duration::from_secs(30)).await;
                None
            }
            Self::Recovery => None,
        }
    }

    /// What is done again by the next actord, because it was meant to make all well and may not have been heard.
    pub async fn act_again(self, platform: &Platform) {
        if self == Self::EarlyExit && platform.view("f").await.is_some() {
            platform.update("f", "good:2").await.unwrap();
        }
        if matches!(self, Self::Wake | Self::Thaw) {
            platform.routes.lease(&id("f")).await.unwrap();
        }
    }

    /// Whether what was answered is what is kept.
    pub fn holds(self, answer: &Answer, kept: &BTreeMap<String, Desired>) -> Result<(), String> {
        let f = kept.get("f.openfaas-fn");
        let serves = |image: &str| f.is_some_and(|f| f.spec.image == image && f.failed.is_none());
        let replicas = |count: u32| f.is_some_and(|f| f.replicas == count);
        let right = match (self, answer) {
            (Self::Deploy, Some(Ok(()))) => serves("good:1"),
            (Self::Deploy, Some(Err(_))) => f.is_none(),
            (Self::Deploy, None) => f.is_none() || serves("good:1"),
            (Self::EarlyExit, Some(Ok(()))) => serves("good:2"),
            (Self::EarlyExit, Some(Err(_))) => f.is_none_or(|f| f.failed.is_some() || f.refused.is_some()),
            (Self::EarlyExit, None) => f.is_none() || serves("good:2"),
            (Self::Update, Some(Ok(()))) => serves("good:2"),
            // What was asked for before is put back.
            (Self::Update, Some(Err(_))) => serves("good:1") && f.is_some_and(|f| f.refused.is_some()),
            (Self::Update, None) => serves("good:1") || f.is_some_and(|f| f.spec.image == "good:2"),
            (Self::Rollback, Some(Ok(()))) => serves("good:1"),
            (Self::Rollback, Some(Err(_))) => serves("good:2") && f.is_some_and(|f| f.refused.is_some()),
            (Self::Rollback, None) => serves("good:2") || f.is_some_and(|f| f.spec.image == "good:1"),
            (Self::Wake, _) => serves("good:1") && replicas(1),
            (Self::Stop, Some(Ok(()))) => serves("good:1") && replicas(2) && f.is_some_and(|f| f.kept_down),
            (Self::Stop, None) => serves("good:1") && replicas(2),
            (Self::CrashRepair | Self::SecretChange | Self::Measure | Self::Idle, _) => serves("good:1") && replicas(1),
            (Self::Rest | Self::Thaw, None | Some(Ok(()))) => serves("good:1") && replicas(1),
            (Self::ScaleUp, Some(Ok(()))) => serves("good:1") && replicas(3),
            (Self::ScaleDown, Some(Ok(()))) => serves("good:1") && replicas(1),
            (Self::ScaleUp | Self::ScaleDown, None) => serves("good:1"),
            (Self::Delete, Some(Ok(()))) => f.is_none(),
            (Self::Delete, None) => f.is_none() || serves("good:1"),
            (Self::ScaleUp | Self::ScaleDown | Self::Rest | Self::Thaw | Self::Stop | Self::Delete, Some(Err(_))) => {
                false
            }
            (Self::Recovery, _) => serves("good:1") && replicas(2),
        };
        if right { Ok(()) } else { Err(format!("answered {answer:?}, kept {f:?}")) }
    }
}
