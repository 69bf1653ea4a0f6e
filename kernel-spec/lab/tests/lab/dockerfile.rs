//! Static checks of the Dockerfile, whose errors would otherwise appear after half an hour of building, or on Binder.

use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The instructions without comments, with continuation lines joined.
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
fn the_image_pins_a_compiler_of_at_least_the_minimum_version() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let minimum = manifest.split_once("rust-version = \"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let from = &instructions()[0];
    let version = from.strip_prefix("FROM rust:").and_then(|rest| rest.split_once('-')).unwrap().0.to_owned();
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap()).collect::<Vec<u32>>();
    assert_eq!(numbers(&version).len(), 3, "{from}: the version must be pinned completely");
    assert!(numbers(&version) >= numbers(&minimum), "{from} is older than the rust-version {minimum} in Cargo.toml");
}

#[test]
fn the_image_meets_binders_requirements() {
    let steps = instructions();
    for (argument, value) in [("ARG NB_USER=", "jovyan"), ("ARG NB_UID=", "1000")] {
        assert_eq!(steps[index(&steps, argument)], format!("{argument}{value}"));
    }
    assert!(steps[index(&steps, "RUN useradd")].contains("--uid ${NB_UID}"));
    let (copy, user, set_up) = (index(&steps, "COPY"), index(&steps, "USER"), index(&steps, "RUN cargo lab --setup"));
    assert!(steps[copy].contains("--chown=${NB_UID}"), "the project must be owned by the user");
    assert!(copy < user && user < set_up, "the set-up must run as the user");
    assert_eq!(
        steps.iter().rposition(|line| line.starts_with("USER")),
        Some(user),
        "no later instruction may change the user"
    );
    assert_eq!(steps[user], "USER ${NB_USER}");
    assert_eq!(steps[index(&steps, "EXPOSE")], "EXPOSE 8888");
    let start = steps.last().unwrap();
    assert!(start.starts_with("CMD [\"jupyter\"") && start.contains("--port=8888"), "{start}");
    assert!(
        !steps.iter().any(|line| line.starts_with("ENTRYPOINT")),
        "Binder starts Jupyter itself, so there must be no ENTRYPOINT"
    );
}

#[test]
fn build_products_are_excluded_from_the_image() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let ignored: Vec<&str> = ignored.lines().collect();
    for folder in ["target", ".venv", ".git", "assets/optional"] {
        assert!(ignored.contains(&folder), "{folder}");
    }
    // Files that git ignores are build products as well.
    let gitignore = fs::read_to_string(root().join(".gitignore")).unwrap();
    for pattern in gitignore.lines().filter(|line| !line.trim().is_empty()) {
        let name = pattern.trim_matches('/');
        assert!(ignored.iter().any(|line| line.trim_start_matches("**/") == name), "{pattern}");
    }
    // repo2docker ignores these files if there is a Dockerfile.
    for other in ["apt.txt", "postBuild", "environment.yml", "requirements.txt"] {
        assert!(!root().join("binder").join(other).exists(), "binder/{other}");
    }
}
