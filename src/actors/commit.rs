//! Intents: what was asked of a function, made durable one after the other before it is true.

use super::waiting::Reply;
use crate::engine::{Mode, Refused};
use crate::function::{Desired, Event, FunctionId, Generation, Lifecycle, Spec};
use crate::store::StoreError;

/// The most intents that wait for one function's store; more are told to come back.
pub(super) const INTENTS_MAX: usize = 256;

/// Something that was asked for and is not durable yet.
pub(super) enum Intent {
    Apply {
        spec: Box<Spec>,
        mode: Mode,
        reply: Reply,
    },
    Scale {
        replicas: u32,
        reply: Reply,
    },
    Delete {
        reply: Reply,
    },
    /// A create failed: nothing of it is kept, then these callers are told.
    Withdraw {
        generation: Generation,
        replies: Vec<(Reply, Refused)>,
    },
    /// The lifecycle learnt something that the store should know.
    Record,
}

/// What an intent comes to, given how the function stands now.
pub(super) enum Step {
    /// Nothing has to be written.
    Nothing,
    /// Make this durable, then tell the lifecycle and the callers.
    Put { desired: Desired, event: Option<Event>, then: Then },
    /// Make the deletion durable, then tell the lifecycle and the callers.
    Delete { then: Then },
}

/// Who is told when an intent is durable.
pub(super) enum Then {
    Nobody,
    Answer(Reply),
    /// Answers with what becomes of the generation; see [`super::waiting`].
    Await {
        generation: Generation,
        created: bool,
        reply: Reply,
    },
    /// Answers with these refusals.
    Refuse(Vec<(Reply, Refused)>),
}

impl Then {
    /// The store refused: so is everybody who asked.
    pub(super) fn fail(self, error: &StoreError) {
        let replies: Vec<Reply> = match self {
            Self::Nobody => Vec::new(),
            Self::Answer(reply) | Self::Await { reply, .. } => vec![reply],
            Self::Refuse(replies) => replies.into_iter().map(|(reply, _)| reply).collect(),
        };
        for reply in replies {
            let _ = reply.send(Err(error.into()));
        }
    }
}

impl From<&StoreError> for Refused {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::NoNamespace(namespace) => Self::NoNamespace(namespace.clone()),
            StoreError::Full(_) => Self::Full(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Intent {
    /// Decides what has to be written, or answers at once.
    pub(super) fn plan(self, id: &FunctionId, life: &Lifecycle, now: &str) -> Step {
        match self {
            Self::Apply { spec, mode, reply } => plan_apply(id, life, *spec, mode, reply, now),
            Self::Scale { replicas, reply } => match life.desired() {
                None => refuse(reply, Refused::NotFound(id.clone())),
                Some(desired) if desired.replicas == replicas => answer(reply),
                Some(desired) => Step::Put {
                    desired: Desired { replicas, ..desired.clone() },
                    event: Some(Event::Scale(replicas)),
                    then: Then::Answer(reply),
                },
            },
            Self::Delete { reply } => match life.desired() {
                None => refuse(reply, Refused::NotFound(id.clone())),
                Some(_) => Step::Delete { then: Then::Answer(reply) },
            },
            Self::Withdraw { generation, replies } => {
                let still = life.desired().is_some_and(|desired| desired.generation == generation);
                if still {
                    return Step::Delete { then: Then::Refuse(replies) };
                }
                for (reply, refused) in replies {
                    let _ = reply.send(Err(refused));
                }
                Step::Nothing
            }
            Self::Record => match life.desired() {
                None => Step::Nothing,
                Some(desired) => Step::Put { desired: desired.clone(), event: None, then: Then::Nobody },
            },
        }
    }
}

fn plan_apply(id: &FunctionId, life: &Lifecycle, spec: Spec, mode: Mode, reply: Reply, now: &str) -> Step {
    match (mode, life.desired()) {
        (Mode::Create, Some(_)) => refuse(reply, Refused::Exists(id.clone())),
        (Mode::Update, None) => refuse(reply, Refused::NotFound(id.clone())),
        (_, before) => {
            let created = before.is_none();
            let desired = life.accept(spec, now);
            let then = Then::Await { generation: desired.generation, created, reply };
            let event = (before != Some(&desired)).then(|| Event::Apply(desired.clone()));
            Step::Put { desired, event, then }
        }
    }
}

fn refuse(reply: Reply, refused: Refused) -> Step {
    let _ = reply.send(Err(refused));
    Step::Nothing
}

fn answer(reply: Reply) -> Step {
    let _ = reply.send(Ok(()));
    Step::Nothing
}
