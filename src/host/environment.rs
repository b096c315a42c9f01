//! The environment of an instance's process: what its image and its function make of it.

use oci_spec::image::ImageConfiguration;

use crate::function::Spec;

/// The environment of an instance's process: the image's variables in their order, with the function's own on top; each
/// name once, the last one that was given. An entry of the image's that is no variable (no `=`, no name, a NUL) is left
/// out, as it would fail every start.
#[must_use]
pub fn effective_environment(image: &ImageConfiguration, spec: &Spec) -> Vec<(String, String)> {
    let listed = image.config().as_ref().and_then(|config| config.env().clone()).unwrap_or_default();
    let of_image = listed.iter().filter_map(|entry| {
        let variable = entry.split_once('=').filter(|(name, _)| !name.is_empty() && !entry.contains('\0'));
        if variable.is_none() {
            tracing::debug!(entry, "an entry of the image's environment is no variable, and left out");
        }
        variable.map(|(name, value)| (name.to_owned(), value.to_owned()))
    });
    let mut environment: Vec<(String, String)> = Vec::new();
    for (name, value) in of_image.chain(spec.environment()) {
        match environment.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => environment.push((name, value)),
        }
    }
    environment
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::function::SpecDraft;

    fn image(config: &Value) -> ImageConfiguration {
        let rootfs = json!({ "type": "layers", "diff_ids": [] });
        serde_json::from_value(json!({ "architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs }))
            .unwrap()
    }

    fn environment(of_image: &Value, own: &[(&str, &str)]) -> Vec<String> {
        let env_vars = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let spec = Spec::try_from(SpecDraft { image: "i".into(), env_vars, ..SpecDraft::default() }).unwrap();
        let environment = effective_environment(&image(&json!({ "Env": of_image })), &spec);
        environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn what_is_no_variable_in_an_images_environment_is_left_out() {
        for (of_image, own, wanted) in [
            (json!(null), &[][..], &[][..]),
            (json!([]), &[], &[]),
            (json!(["NOEQ"]), &[], &[]),
            (json!(["=x"]), &[], &[]),
            (json!([""]), &[], &[]),
            (json!(["="]), &[], &[]),
            (json!(["A\u{0}B=x", "A=x\u{0}y", "\u{0}"]), &[], &[]),
            (json!(["NOEQ", "A=1", "=x", "B="]), &[], &["A=1", "B="]),
            (json!(["A=1", "B=2", "A=3"]), &[], &["A=3", "B=2"]),
            (json!(["A=x=y", "A B=1", "ä=ö", "a-b.c=1"]), &[], &["A=x=y", "A B=1", "ä=ö", "a-b.c=1"]),
            (json!(["NOEQ", "A=1"]), &[("NOEQ", "own"), ("A", "2")], &["A=2", "NOEQ=own"]),
        ] {
            assert_eq!(environment(&of_image, own), wanted, "{of_image} {own:?}");
        }
    }
}
