//! An actor that is replaced when it panics.
//!
//! actix closes the mailbox of an actor that panicked for good, so its callers ask here for the living one.

use std::sync::{Arc, Mutex, PoisonError};

use actix::{Actor, Addr, ArbiterHandle, System};

type Make<A> = dyn Fn(&mut actix::Context<A>) -> A + Send + Sync;

/// The one actor of its kind, whichever incarnation that is. Its successor begins on the same thread.
pub struct Supervised<A: Actor<Context = actix::Context<A>>> {
    make: Arc<Make<A>>,
    arbiter: ArbiterHandle,
    living: Mutex<Addr<A>>,
}

impl<A: Actor<Context = actix::Context<A>>> Supervised<A> {
    /// Starts the actor on this thread's actor system. `make` makes the first one and every successor.
    pub fn start(make: impl Fn(&mut actix::Context<A>) -> A + Send + Sync + 'static) -> Arc<Self> {
        let make: Arc<Make<A>> = Arc::new(make);
        let first = make.clone();
        let living = Mutex::new(A::create(move |ctx| first(ctx)));
        Arc::new(Self { make, arbiter: System::current().arbiter().clone(), living })
    }

    /// The living actor; a fresh one, if the last one panicked.
    pub fn addr(&self) -> Addr<A> {
        let mut living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        if !living.connected() {
            tracing::error!(actor = std::any::type_name::<A>(), "the actor panicked, a fresh one takes over");
            let make = self.make.clone();
            *living = A::start_in_arbiter(&self.arbiter, move |ctx| make(ctx));
        }
        living.clone()
    }
}
