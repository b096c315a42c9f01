//! The contract's subject in memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actord::function::{InstanceId, SecretName};
use actord::host::fake::{Behaviour, FakeHost};
use actord::host::{Attachment, Host};

use crate::subject::{Conduct, Kind, Subject};

const REGISTRY: &str = "localhost:5000";

pub struct Fake(FakeHost);

pub async fn run(conduct: Conduct, case: impl AsyncFnOnce(&Fake)) {
    let fake = Fake(FakeHost::new());
    case(&fake).await;
    assert!(fake.0.leftovers().is_empty(), "left behind: {:?}", fake.0.leftovers());
    let violations = fake.0.violations();
    assert_eq!(violations.is_empty(), conduct == Conduct::Correct, "{violations:?}");
}

fn behaviour(kind: Kind) -> Behaviour {
    let hello = Behaviour::new().writes("hello listens\n");
    match kind {
        Kind::Hello | Kind::HelloAgain => hello,
        Kind::TwoPorts => hello.listens_from(Duration::ZERO, ([127, 0, 0, 1], 5000).into()),
        Kind::ExitsAtStart => Behaviour::new().exits_with(7).writes("exiting at start\n"),
        Kind::IgnoresTerm => hello.ignores_term(),
        Kind::Unrunnable => Behaviour::new().hopeless("no such program"),
    }
}

impl Subject for Fake {
    fn host(&self) -> Host {
        self.0.host()
    }

    async fn publish(&self, repository: &str, kind: Kind) -> String {
        let reference = format!("{REGISTRY}/{repository}:1");
        self.0.publish_image(&reference, behaviour(kind));
        reference
    }

    fn unknown(&self) -> String {
        format!("{REGISTRY}/team/unknown:1")
    }

    async fn archive(&self, reference: &str, kind: Kind) -> PathBuf {
        let path = PathBuf::from(format!("/archives/{reference}.tar"));
        self.0.add_archive(&path, [(reference.to_owned(), behaviour(kind))]);
        path
    }

    fn no_archive(&self, _exists: bool) -> PathBuf {
        Path::new("/archives/nothing.tar").to_owned()
    }

    async fn secret(&self, id: &InstanceId, _at: &Attachment, name: &SecretName) -> Vec<u8> {
        self.0.secrets(id).remove(name).expect("the secret was given")
    }
}
