//! Programs of 32 bits: a function that asks for their way into the kernel has it, and no other way.

use actord::function::{Exit, SpecDraft};

use crate::probe::on_the_machine;
use crate::support::World;

fn outcome<'a>(log: &'a str, act: &str) -> &'a str {
    log.lines().find_map(|line| line.strip_prefix(act)?.strip_prefix(' ')).unwrap_or_else(|| panic!("no {act}: {log}"))
}

#[tokio::test]
async fn a_function_that_asks_for_the_32_bit_entry_has_it_and_the_filter_holds_there_and_at_the_other_under_either_runtime()
 {
    // What the machine says of it: a kernel may be built without.
    let here = on_the_machine();
    let world = World::new().await;
    for runtime in ["builtin", "runc"] {
        for (asks, entered) in [("true", outcome(&here, "old-entry")), ("false", "signal 31")] {
            let annotations = [("actord.runtime", runtime), ("actord.compat-32bit", asks)];
            let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let env_vars = [("DO".to_owned(), "acts".to_owned())].into();
            let draft = SpecDraft { annotations, env_vars, ..SpecDraft::default() };
            let (exit, log) = world.run(&world.creation_of("f", "root", draft)).await;
            assert_eq!(exit, Exit::Code(0), "{log}");
            if cfg!(target_arch = "x86_64") {
                assert_eq!(outcome(&log, "old-entry"), entered, "{runtime} {asks}: {log}");
                let refused = if asks == "true" { "error 1" } else { "signal 31" };
                assert_eq!(outcome(&log, "old-entry-to-a-namespace"), refused, "{runtime} {asks}: {log}");
                assert_eq!(outcome(&log, "short-pointers"), "signal 31", "{runtime} {asks}: {log}");
            }
            assert_eq!(outcome(&log, "crypto-socket"), "error 38", "{runtime} {asks}: {log}");
            assert_eq!(outcome(&log, "mount"), "error 1", "{runtime} {asks}: {log}");
        }
    }
    world.finish().await;
}
