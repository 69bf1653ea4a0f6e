//! What a person would find out about the Dockerfile only after half an hour of building, or on Binder.

use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The instructions, with continued lines joined and without comments.
fn instructions() -> Vec<String> {
    let text = fs::read_to_string(root().join("binder/Dockerfile")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn index(instructions: &[String], beginning: &str) -> usize {
    let found = instructions.iter().position(|line| line.starts_with(beginning));
    found.unwrap_or_else(|| panic!("no instruction begins with {beginning}"))
}

#[test]
fn the_compiler_of_the_image_is_new_enough_and_named_by_its_version() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let least = manifest.split_once("rust-version = \"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let from = &instructions()[0];
    let version = from.strip_prefix("FROM rust:").and_then(|rest| rest.split_once('-')).unwrap().0.to_owned();
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap()).collect::<Vec<u32>>();
    assert_eq!(numbers(&version).len(), 3, "{from}: Binder wants one version, and it stays the same");
    assert!(numbers(&version) >= numbers(&least), "{from}, and Cargo.toml asks for {least}");
}

#[test]
fn the_image_is_what_binder_asks_for() {
    let steps = instructions();
    for (argument, value) in [("ARG NB_USER=", "jovyan"), ("ARG NB_UID=", "1000")] {
        assert_eq!(steps[index(&steps, argument)], format!("{argument}{value}"));
    }
    assert!(steps[index(&steps, "RUN useradd")].contains("--uid ${NB_UID}"));
    let (copy, user, set_up) = (index(&steps, "COPY"), index(&steps, "USER"), index(&steps, "RUN cargo lab --setup"));
    assert!(steps[copy].contains("--chown=${NB_UID}"), "the user owns the project");
    assert!(copy < user && user < set_up, "the set-up is the user's");
    assert_eq!(steps.iter().rposition(|line| line.starts_with("USER")), Some(user), "nobody is root afterwards");
    assert_eq!(steps[user], "USER ${NB_USER}");
    assert_eq!(steps[index(&steps, "EXPOSE")], "EXPOSE 8888");
    let start = steps.last().unwrap();
    assert!(start.starts_with("CMD [\"jupyter\"") && start.contains("--port=8888"), "{start}");
    assert!(!steps.iter().any(|line| line.starts_with("ENTRYPOINT")), "Binder starts Jupyter itself");
}

#[test]
fn nothing_that_was_built_outside_gets_into_the_image() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let ignored: Vec<&str> = ignored.lines().collect();
    for folder in ["target", ".venv", ".git", "assets/optional"] {
        assert!(ignored.contains(&folder), "{folder}");
    }
    // What git does not keep is not needed either.
    let gitignore = fs::read_to_string(root().join(".gitignore")).unwrap();
    for pattern in gitignore.lines().filter(|line| !line.trim().is_empty()) {
        let name = pattern.trim_matches('/');
        assert!(ignored.iter().any(|line| line.trim_start_matches("**/") == name), "{pattern}");
    }
    // One source: repo2docker would not read these beside a Dockerfile.
    for other in ["apt.txt", "postBuild", "environment.yml", "requirements.txt"] {
        assert!(!root().join("binder").join(other).exists(), "binder/{other}");
    }
}
