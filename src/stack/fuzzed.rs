//! Stack files as a fuzz target: what is taken is what `actord export` writes of it, read again.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use std::collections::BTreeMap;
use std::path::Path;

use super::StackFiles;
use super::function::{Function, Ordered};
use super::read::{read_stack, yaml};
use super::substitute::substitute;
use super::yaml::StackFile;

pub(crate) fn stacks(bytes: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(bytes);
    let variables = |name: &str| (name == "TAG").then(|| "1.0".to_owned());
    let Ok(text) = substitute(text, &variables) else { return false };
    let path = Path::new("stack.yml");
    let Ok(file) = yaml::<StackFile<Function>>(path, &text) else { return false };
    // Files of variables are read from the disk: what they are called is the operator's to say.
    if file.functions.iter().flatten().any(|(_, function)| !function.environment_file.is_empty()) {
        return false;
    }
    let read = |text: &str| read_stack(path, text, &|_, draft| draft.try_into());
    let Ok(StackFiles { functions, .. }) = read(&text) else { return false };
    for (id, spec) in functions {
        let stack = BTreeMap::from([(id.name.to_string(), Ordered::of(id.namespace.as_str(), &spec))]);
        let written = serde_saphyr::to_string(&StackFile::new(stack)).expect("a spec can be written");
        let again = read(&written).map(|files| files.functions);
        assert_eq!(again.as_ref().ok(), Some(&BTreeMap::from([(id, spec)])), "{written}\n{again:?}");
    }
    true
}
