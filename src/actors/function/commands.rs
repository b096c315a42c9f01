//! What a function's actor is asked, message by message: what has to be durable first goes to the intents, what is learnt
//! and not asked for is told to the lifecycle at once.

use actix::{Handler, ResponseFuture};
use tokio::sync::oneshot;

use super::{Function, interrupted};
use crate::actors::messages::{Adjust, Apply, Delete, KeepDown, Lean, LifecycleEvent, Rest, Rollback, Scale};
use crate::engine::{Mode, Refused};
use crate::function::intents::Command;
use crate::function::{Event, Tier};

impl Function {
    fn ask(&mut self, command: Command, ctx: &mut actix::Context<Self>) -> ResponseFuture<Result<(), Refused>> {
        self.handled += 1;
        let (reply, answer) = oneshot::channel();
        self.intents.ask(command, reply);
        self.advance(ctx);
        let id = self.me.id.clone();
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(interrupted(&id))) })
    }

    /// Feeds what needs no write before it may be told.
    fn tell_if_deployed(&mut self, event: Event, ctx: &mut actix::Context<Self>) -> Result<(), Refused> {
        self.handled += 1;
        if self.life.desired().is_none() {
            return Err(Refused::NotFound(self.me.id.clone()));
        }
        self.feed(event, ctx);
        Ok(())
    }
}

impl Handler<Apply> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Apply { spec, mode }: Apply, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.ask(Command::Apply { spec: Box::new(spec), must_exist: mode == Mode::Update }, ctx)
    }
}

impl Handler<Rollback> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Rollback { to }: Rollback, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.ask(Command::Rollback(to), ctx)
    }
}

impl Handler<Scale> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Scale { replicas }: Scale, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.ask(Command::Scale(replicas), ctx)
    }
}

impl Handler<KeepDown> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, KeepDown { down }: KeepDown, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.ask(Command::KeepDown(down), ctx)
    }
}

impl Handler<Delete> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Delete: Delete, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.ask(Command::Delete, ctx)
    }
}

impl Handler<Adjust> for Function {
    type Result = Result<(), Refused>;

    fn handle(&mut self, Adjust(adjusted): Adjust, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.tell_if_deployed(Event::Adjust(adjusted), ctx)
    }
}

impl Handler<Rest> for Function {
    type Result = Result<(), Refused>;

    fn handle(&mut self, Rest(tier): Rest, ctx: &mut actix::Context<Self>) -> Self::Result {
        // A request that came since it was found idle keeps its instance, however long it takes.
        if tier == Tier::Stopped && self.life.desired().is_some() && self.is_called() {
            return Ok(());
        }
        self.tell_if_deployed(Event::Rest(tier), ctx)
    }
}

impl Handler<Lean> for Function {
    type Result = Result<(), Refused>;

    fn handle(&mut self, Lean(lean): Lean, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.tell_if_deployed(Event::Lean(lean), ctx)
    }
}

impl Handler<LifecycleEvent> for Function {
    type Result = ();

    fn handle(&mut self, LifecycleEvent(event): LifecycleEvent, ctx: &mut actix::Context<Self>) {
        self.feed(event, ctx);
    }
}
