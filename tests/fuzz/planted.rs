//! The engine itself: it finds faults that were planted, and makes what it finds small. A target that can't fail is no test.

use crate::campaign::{Last, Length, attack};
use crate::failure::{attempt, minimise};

fn seeds() -> Vec<Vec<u8>> {
    vec![br#"{"memory":"128Mi","cpu":"500m"}"#.to_vec(), br#"{"labels":{"a":"b"}}"#.to_vec()]
}

/// How many inputs it takes until a target fails, and the input.
fn found(run: fn(&[u8]) -> bool) -> Vec<u8> {
    let (input, failure) = attack(run, &seeds(), 7, Length::Inputs(50_000), &Last::none()).unwrap_err();
    assert!(failure.place.contains("planted.rs"), "{failure:?}");
    minimise(run, &input, &failure.place, 20_000)
}

#[test]
fn a_planted_fault_is_found_whatever_it_needs_and_made_small() {
    // A word of one seed in another.
    let spliced = found(|input| {
        let text = String::from_utf8_lossy(input);
        assert!(!(text.contains("memory") && text.contains("labels")));
        true
    });
    assert!(spliced.len() == "memorylabels".len(), "{:?}", String::from_utf8_lossy(&spliced));
    // A number at a bound.
    let number = found(|input| {
        let text = String::from_utf8_lossy(input);
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<u64>().ok());
        assert!(!numbers.any(|number| number > u64::from(u32::MAX)));
        true
    });
    assert!(number.len() == 10, "{:?}", String::from_utf8_lossy(&number));
    // Something long, something deep, and what is no UTF-8.
    assert_eq!(
        found(|input| {
            assert!(input.len() < 1_000);
            true
        })
        .len(),
        1_000
    );
    let deep = found(|input| {
        let deepest = input.iter().scan(0_i32, |depth, byte| {
            *depth += i32::from(*byte == b'{') - i32::from(*byte == b'}');
            Some(*depth)
        });
        assert!(deepest.max().unwrap_or_default() < 60);
        true
    });
    assert_eq!(deep, [b'{'; 60]);
    assert_eq!(
        found(|input| {
            assert!(std::str::from_utf8(input).is_ok());
            true
        })
        .len(),
        1
    );
    // What a reader falls over by itself.
    let overflow = found(|input| {
        let mut sum = 0_u8;
        for _ in input.iter().filter(|byte| **byte == b':') {
            sum += 100;
        }
        sum == 0
    });
    assert_eq!(overflow, b":::");
}

#[test]
fn a_run_is_the_same_from_the_same_seed_and_another_from_another() {
    use crate::engine::Engine;
    let inputs = |seed: u64| {
        let mut engine = Engine::new(seed, &seeds());
        (0..200).map(|_| engine.next_input()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
    let different: std::collections::BTreeSet<_> = inputs(1).into_iter().collect();
    assert!(different.len() > 150, "only {} inputs of 200 are different", different.len());
}

#[test]
fn what_is_taken_and_what_is_refused_is_counted() {
    let even = |input: &[u8]| input.len().is_multiple_of(2);
    let tried = attack(even, &seeds(), 7, Length::Inputs(1_000), &Last::none()).unwrap();
    assert!(tried.inputs == 1_000 && (100..900).contains(&tried.taken), "{tried:?}");
    assert_eq!(attempt(even, b"ab"), Ok(true));
}
