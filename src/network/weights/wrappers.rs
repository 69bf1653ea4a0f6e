//! The names that wrappers around a network add to its tensors.

use std::collections::HashMap;

/// Prefixes of wrappers around a whole network: DataParallel, `torch.compile`, and attributes of training programs.
const PREFIXES: [&str; 7] = ["module.", "_orig_mod.", "model.", "net.", "backbone.", "attacker.model.", "network."];

/// Prefixes of tensors beside the network: an AttackerModel's (MadryLab's `robustness`, in which the networks of 2023 were trained) copy of
/// the network and preprocessing, and the losses of training programs.
const SIBLINGS: [&str; 7] = ["attacker.", "normalizer.", "normalize.", "preproc", "criterion.", "loss.", "loss_fn."];

/// Prefixes beside which nothing else is dropped, because they wrap complete networks.
const WHOLE: [&str; 2] = ["module.", "_orig_mod."];

/// Wrappers around a part of a network.
const INNER: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Maximum number of wrappers around a network.
const MAX_WRAPPERS: usize = 8;
/// Number of components of a name that are searched for inner wrappers.
const MAX_COMPONENTS: usize = 32;

/// Tensors without the names of wrappers.
pub(super) struct Unwrapped<T> {
    pub tensors: Vec<(String, T)>,
    /// The names before a wrapper was removed, each with its present name.
    pub aliases: HashMap<String, String>,
}

/// Removes the names that wrappers add; the rule is documented at [`Checkpoint::open`](super::Checkpoint::open).
pub(super) fn remove<T>(mut tensors: Vec<(String, T)>) -> Unwrapped<T> {
    let mut earlier: Vec<Vec<String>> = tensors.iter().map(|_| vec![]).collect();
    for _ in 0..MAX_WRAPPERS {
        let Some(prefix) = PREFIXES.into_iter().find(|prefix| wraps_all(prefix, &tensors)) else { break };
        let all = tensors.into_iter().zip(earlier);
        let strip = |((name, tensor), mut earlier): ((String, T), Vec<String>)| {
            let inner = name.strip_prefix(prefix)?.to_owned();
            earlier.push(name);
            Some(((inner, tensor), earlier))
        };
        (tensors, earlier) = all.filter_map(strip).unzip();
    }
    let inner = without_inner_wrappers(&tensors);
    for (((name, _), earlier), inner) in tensors.iter_mut().zip(&mut earlier).zip(inner) {
        if *name != inner {
            earlier.push(std::mem::replace(name, inner));
        }
    }
    let aliases =
        tensors.iter().zip(earlier).flat_map(|((name, _), earlier)| earlier.into_iter().map(|e| (e, name.clone())));
    Unwrapped { aliases: aliases.collect(), tensors }
}

/// Returns whether all names begin with the prefix, apart from those of tensors that are not the network's.
fn wraps_all<T>(prefix: &str, tensors: &[(String, T)]) -> bool {
    let is_inside = |name: &str| name.len() > prefix.len() && name.starts_with(prefix);
    let is_sibling = |name: &str| !WHOLE.contains(&prefix) && SIBLINGS.iter().any(|sibling| name.starts_with(sibling));
    tensors.iter().any(|(name, _)| is_inside(name))
        && tensors.iter().all(|(name, _)| is_inside(name) || is_sibling(name))
}

/// The names without inner wrappers: `features.module.0.weight` is `features.0.weight` if all names in `features.` are in
/// `features.module.`.
fn without_inner_wrappers<T>(tensors: &[(String, T)]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let ends = |name: &'_ str| name.match_indices('.').take(MAX_COMPONENTS).map(|(at, _)| at).collect::<Vec<_>>();
    for (name, _) in tensors {
        for end in ends(name) {
            *counts.entry(&name[..end]).or_default() += 1;
        }
    }
    let clean = |(name, _): &(String, T)| {
        let ends = ends(name);
        let mut kept = ends.first().map_or("", |&end| &name[..end]).to_owned();
        for pair in ends.windows(2) {
            let component = &name[pair[0] + 1..pair[1]];
            let is_wrapper = INNER.contains(&component) && counts.get(&name[..pair[0]]) == counts.get(&name[..pair[1]]);
            if !is_wrapper {
                kept = kept + "." + component;
            }
        }
        kept + ends.last().map_or(name.as_str(), |&end| &name[end..])
    };
    tensors.iter().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        let tensors = names.iter().map(|name| ((*name).to_owned(), ())).collect();
        remove(tensors).tensors.into_iter().map(|(name, ())| name).collect()
    }

    #[test]
    fn wrappers_of_all_tensors_are_removed() {
        for prefix in ["", "module.", "_orig_mod.", "model.", "net.", "backbone.", "network.", "attacker.model."] {
            for second in ["", "module.", "_orig_mod."] {
                let wrapped = ["conv1.weight", "fc.bias"].map(|name| format!("{prefix}{second}{name}"));
                assert_eq!(names(&wrapped.each_ref().map(String::as_str)), ["conv1.weight", "fc.bias"], "{wrapped:?}");
            }
        }
    }

    #[test]
    fn names_that_no_wrapper_made_stay() {
        for kept in [
            ["model.conv1.weight", "head.weight"],
            ["normalizer.weight", "conv1.weight"],
            ["module.conv1.weight", "criterion.weight"],
            ["features.module.weight", "features.bias"],
            ["modules.weight", "modules.bias"],
            ["module.", "module.a"],
            ["features.module", "features.module.0"],
        ] {
            assert_eq!(names(&kept), kept);
        }
    }

    #[test]
    fn wrappers_of_parts_are_removed() {
        let wrapped =
            ["features.module.0.weight", "features.module.0.bias", "layer1._orig_mod.module.fc.bias", "fc.weight"];
        assert_eq!(names(&wrapped), ["features.0.weight", "features.0.bias", "layer1.fc.bias", "fc.weight"]);
    }

    #[test]
    fn earlier_names_are_aliases() {
        let tensors = vec![("module.model.a.module.w".to_owned(), 1), ("module.normalizer.mean".to_owned(), 2)];
        let Unwrapped { tensors, aliases } = remove(tensors);
        assert_eq!(tensors, [("a.w".to_owned(), 1)]);
        let mut aliases: Vec<_> = aliases.into_iter().collect();
        aliases.sort();
        let expected = ["a.module.w", "model.a.module.w", "module.model.a.module.w"];
        assert_eq!(aliases, expected.map(|name| (name.to_owned(), "a.w".to_owned())));
    }
}
