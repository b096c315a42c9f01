//! One cell of the matrix: one situation in which one call goes wrong in one way.

use std::fmt;
use std::time::Duration;

use actord::actors::Settings;
use actord::function::{Exit, InstanceId};
use actord::host::HostError;
use actord::host::fake::{FakeHost, Fault, Method, Phase, Rule};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::check::{differences, kept};
use crate::life::World;
use crate::platform::Platform;
use crate::situation::{Answer, Situation};

/// How long after the end of a fault everything is as the store says.
const HEALED: Duration = Duration::from_secs(10);
/// After so long a call that hangs is given up: that is when its fault ends.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// An error that may heal.
    Error,
    /// An error that is the caller's to mend.
    Refusal,
    /// A disk is full, in the words of the one that found it so.
    Full,
    Hang,
    Panic,
    /// actord is killed at the call.
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    Halfway,
    After,
}

#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub situation: Situation,
    /// Attachments that are kept warm.
    pub warm: usize,
    pub method: Method,
    /// Which of the situation's calls of this method.
    pub number: usize,
    pub blow: Blow,
    pub when: When,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { situation, warm, method, number, blow, when } = self;
        write!(f, "{situation:?}, {warm} warm: {method:?} number {}: {blow:?} {when:?}", number + 1)
    }
}

/// A call that a situation makes when nothing goes wrong.
pub struct Made {
    pub method: Method,
    /// Whether it comes to its end.
    pub ends: bool,
}

fn settings(warm_attachments: usize) -> Settings {
    Settings {
        warm_attachments,
        pull_timeout: DEADLINE,
        host_timeout: DEADLINE,
        grace_period: DEADLINE,
        ..Settings::default()
    }
}

/// The calls of a situation in which nothing goes wrong.
pub fn rehearse(situation: Situation, warm: usize) -> Vec<Made> {
    let world = World::new(settings(warm));
    situation.prepare_world(&world);
    let mut before = world.host.calls().len();
    let wrong = world.live(async |platform| {
        situation.prepare_platform(platform).await;
        if situation != Situation::Recovery {
            before = world.host.calls().len();
        }
        situation.act(platform).await;
        sleep(HEALED).await;
        differences(platform).await
    });
    assert_eq!(wrong, Some(Vec::new()), "{situation:?} without any fault");
    let calls = &world.host.calls()[before..];
    let began = calls.iter().filter(|call| call.phase == Phase::Began);
    let ends = |number| calls.iter().any(|call| call.number == number && matches!(call.phase, Phase::Ended(_)));
    // An end after the story is the end of the actor system.
    began.map(|call| Made { method: call.method, ends: ends(call.number) }).collect()
}

impl Cell {
    fn rule(&self) -> Rule {
        let text = || "a scripted fault".to_owned();
        let fault = match (self.blow, self.method) {
            (Blow::Error, _) => Fault::Error(HostError::Failed(text())),
            (Blow::Refusal, Method::ImagesEnsure) => Fault::Error(HostError::Image(text())),
            (Blow::Refusal, _) => Fault::Error(HostError::Spec(text())),
            (Blow::Full, _) => Fault::Error(HostError::Failed("write /run/f: no space left on device".to_owned())),
            (Blow::Hang, _) => Fault::Hang,
            (Blow::Panic, _) => Fault::Panic,
            (Blow::Kill, _) => Fault::Halt,
        };
        let rule = Rule::on(self.method, fault).after(self.number);
        match self.when {
            When::Before => rule,
            When::Halfway => rule.halfway(),
            When::After => rule.after_effect(),
        }
    }

    /// Lets it happen. An error says what is wrong afterwards.
    pub fn run(&self) -> Result<(), String> {
        let world = World::new(settings(self.warm));
        self.situation.prepare_world(&world);
        let (mut answer, mut bystander, mut before): (Answer, _, _) = (None, Vec::new(), 0);
        if self.situation == Situation::Recovery {
            bystander = bystanders(&world.host);
            before = world.host.count(self.method);
            world.host.fault(self.rule());
        }
        let survived = world.live(async |platform| {
            if self.situation != Situation::Recovery {
                self.situation.prepare_platform(platform).await;
                bystander = bystanders(&world.host);
                before = world.host.count(self.method);
                world.host.fault(self.rule());
            }
            let act = async { answer = self.situation.act(platform).await };
            let (_, healed) = futures_util::join!(act, self.healed(platform, before));
            healed?;
            self.verify(platform, &answer, &bystander).await
        });
        if let Some(verdict) = survived {
            return if self.blow == Blow::Kill { Err("nobody was killed".to_owned()) } else { verdict };
        }
        let successor = world.live(async |platform| {
            self.situation.act_again(platform).await;
            sleep(HEALED).await;
            self.verify(platform, &answer, &bystander).await
        });
        successor.unwrap_or_else(|| Err("the successor was killed, too".to_owned()))
    }

    /// Waits until the fault has ended and everything should be well again.
    async fn healed(&self, platform: &Platform, before: usize) -> Result<(), String> {
        let number = before + self.number;
        let reached = timeout(Duration::from_secs(300), platform.host.called(self.method, number + 1)).await;
        reached.map_err(|_| "the call was not made".to_owned())?;
        let calls = platform.host.calls();
        let mut began = calls.iter().filter(|call| call.method == self.method && call.phase == Phase::Began);
        let at = began.nth(number).map(|call| call.at).unwrap();
        let hangs = if self.blow == Blow::Hang { DEADLINE } else { Duration::ZERO };
        let limit = at + hangs + HEALED;
        sleep_until(limit).await;
        let late = limit.elapsed();
        if late > Duration::from_secs(1) {
            Err(format!("everything stood still until {late:?} too late"))
        } else {
            Ok(())
        }
    }

    /// Everything is as the store says, the store is as was answered, and the function still lives: it comes back from a
    /// crash, and goes when it is deleted.
    async fn verify(&self, platform: &Platform, answer: &Answer, bystander: &[InstanceId]) -> Result<(), String> {
        if bystanders(&platform.host) != bystander {
            return Err("the function beside it was touched".to_owned());
        }
        nothing_wrong(platform, "after the fault").await?;
        let kept = kept(platform).await;
        self.situation.holds(answer, &kept)?;
        if let Some(instance) = platform.published("f").pop() {
            platform.host.exit(&instance, Exit::Signal(9));
            let unseen = self.method == Method::RuntimeWait && self.blow == Blow::Hang;
            sleep(if unseen { UNSEEN + HEALED } else { HEALED }).await;
            nothing_wrong(platform, "after a crash").await?;
        }
        for name in kept.keys() {
            platform.delete(name).await.map_err(|refused| format!("delete {name}: {refused}"))?;
        }
        sleep(HEALED).await;
        nothing_wrong(platform, "after all was deleted").await
    }
}

/// The instances of the function that nothing is done to.
fn bystanders(host: &FakeHost) -> Vec<InstanceId> {
    host.running().into_iter().filter(|id| id.as_str().starts_with("b-")).collect()
}

/// A process whose end is not told is looked for as often as this.
const UNSEEN: Duration = Duration::from_secs(60);

async fn nothing_wrong(platform: &Platform, when: &str) -> Result<(), String> {
    let wrong = differences(platform).await;
    if wrong.is_empty() { Ok(()) } else { Err(format!("{when}, at {:?}: {}", Instant::now(), wrong.join("; "))) }
}
