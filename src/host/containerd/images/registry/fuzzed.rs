//! What registries ask for, as a fuzz target: a challenge in any form is read to its end, and names nothing that it does not say.

use super::challenge::{Challenge, read};

pub(crate) fn challenges(bytes: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(bytes);
    let found = read(text.split('\n'));
    // Each scheme takes at least a letter and what parts it from the next one.
    assert!(found.len() <= text.len().div_ceil(2) + 1, "more challenges than there is text for");
    let rank = |challenge: &Challenge| match challenge {
        Challenge::Bearer(_) => 0,
        Challenge::Basic => 1,
        Challenge::Other(_) => 2,
    };
    assert!(found.is_sorted_by_key(rank), "the strongest first");
    for challenge in &found {
        match challenge {
            Challenge::Bearer(realm) => {
                assert!(!realm.realm.is_empty() && realm.realm.trim() == realm.realm, "there is nowhere to ask");
                let told = realm.realm.len() + realm.service.len() + realm.scope.len();
                assert!(told <= text.len(), "more than was said");
            }
            Challenge::Basic => {}
            Challenge::Other(name) => assert!(!name.is_empty() && text.contains(name), "{name:?} was not said"),
        }
    }
    !found.is_empty()
}
