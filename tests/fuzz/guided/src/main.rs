//! One target under libFuzzer, chosen by the variable `FUZZ_TARGET`.
#![no_main]
#![allow(clippy::panic, reason = "a target that is not there is none to be tried")]

use std::sync::LazyLock;

use actord::fuzz_targets::TARGETS;
use libfuzzer_sys::fuzz_target;

static RUN: LazyLock<fn(&[u8]) -> bool> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|target| target.name == name);
    target.unwrap_or_else(|| panic!("FUZZ_TARGET={name}: expected one of {:?}", names())).run
});

fn names() -> Vec<&'static str> {
    TARGETS.iter().map(|target| target.name).collect()
}

fuzz_target!(|input: &[u8]| {
    RUN(input);
});
