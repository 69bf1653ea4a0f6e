//! The program: killed in the middle, and what it answers.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn metamers(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metamers"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = metamers(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

fn write_plan(folder: &Path, name: &str, evaluations: usize) -> String {
    let path = folder.join(format!("{name}.toml"));
    let text = format!(
        "networks = [\"efficientnet_lite0\"]\nstimuli = [\"photos/dog.jpg\", \"photos/fig.jpg\"]\nstages = [\"stem\", \"block2\"]\n\
         evaluations = {evaluations}\nsave_seconds = 0.2\n"
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn a_sweep_killed_again_and_again_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (write_plan(folder.path(), "whole", 90), write_plan(folder.path(), "killed", 90));
    assert_eq!(output(&["sweep", &whole]).0, Some(0));

    let running = folder.path().join("killed/running");
    let saved = || {
        std::fs::read_dir(&running)
            .is_ok_and(|files| files.flatten().any(|f| f.path().extension().is_some_and(|e| e == "run")))
    };
    let mut kills = 0;
    for _ in 0..3 {
        let mut child = metamers(&["sweep", &killed]).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let lives = loop {
            match child.try_wait().unwrap() {
                Some(_) => break false,
                None if begun.elapsed() > Duration::from_millis(400) && saved() => break true,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        if lives {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(kills > 0, "the sweep was done before it could be killed");
    let (code, said) = output(&["sweep", &killed, "--collect"]);
    assert!(matches!(code, Some(0 | 3)), "{said}");
    assert_eq!(output(&["sweep", &killed]).0, Some(0));
    for file in ["results/0.metamer", "results/1.metamer", "results/2.metamer", "results/3.metamer", "results.csv"] {
        let read = |name: &str| std::fs::read(folder.path().join(name).join(file)).unwrap();
        assert!(read("whole") == read("killed"), "{file} has other bits after {kills} kills");
    }
}

#[test]
fn exit_codes_tell_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let plan = write_plan(folder.path(), "plan", 2);
    let (code, said) = output(&["sweep", "no_such_plan.toml"]);
    assert!(code == Some(1) && said.contains("no_such_plan.toml"), "{said}");
    assert_eq!(output(&["sweep", &plan, "--dry-run", "--collect"]).0, Some(2));
    assert_eq!(output(&["sweep", &plan, "--no-submit"]).0, Some(2));

    let (code, said) = output(&["sweep", &plan, "--collect"]);
    assert!(code == Some(3) && said.contains("missing: 0-3"), "{said}");
    assert_eq!(output(&["sweep", &plan, "--task", "1", "3-3"]).0, Some(0));
    let (code, said) = output(&["sweep", &plan, "--collect"]);
    assert!(code == Some(3) && said.contains("2 of 4") && said.contains("missing: 0 2"), "{said}");
    for (task, expected) in [("4", "numbered 0 to 3"), ("x", "is neither a number"), ("3-1", "is neither a number")] {
        let (code, said) = output(&["sweep", &plan, "--task", task]);
        assert!(code == Some(1) && said.contains(expected), "{said}");
    }

    let (code, said) = output(&["sweep", &plan, "--slurm", "--no-submit"]);
    assert!(code == Some(0) && said.contains("2 tasks in 2 array jobs") && said.contains("1.sh"), "{said}");
    // The script also runs outside Slurm if the variable is set.
    let script = folder.path().join("plan/slurm/1.sh");
    let done = Command::new("sh").arg(&script).env("SLURM_ARRAY_TASK_ID", "1").status().unwrap();
    assert!(done.success(), "{}", std::fs::read_to_string(folder.path().join("plan/slurm/local_1.log")).unwrap());
    let said = metamers(&["sweep", &plan, "--slurm"]).env("PATH", folder.path()).output().unwrap();
    let words = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(1) && words.contains("sbatch could not be started"), "{words}");
    assert_eq!(output(&["sweep", &plan]).0, Some(0));
    let (code, said) = output(&["sweep", &plan, "--slurm"]);
    assert!(code == Some(0) && said.contains("all tasks are finished"), "{said}");
    let (code, said) = output(&["sweep", &plan, "--collect"]);
    assert!(code == Some(0) && said.contains("4 of 4"), "{said}");
    assert!(folder.path().join("plan/panel-efficientnet_lite0.png").exists());
}

#[test]
fn networks_and_stages_are_listed() {
    let (code, said) = output(&["list"]);
    assert!(code == Some(0) && said.contains("cochcnn_words\n") && said.contains("resnet50:FILE\n"), "{said}");
    let (code, said) = output(&["list", "efficientnet_lite0"]);
    assert!(code == Some(0) && said.contains("block15"), "{said}");
    let (code, said) = output(&["list", "efficientnet"]);
    assert!(code == Some(1) && said.contains("efficientnet_lite0"), "{said}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_everything_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let plan = write_plan(folder.path(), "plan", 100_000);
    let child = metamers(&["sweep", &plan]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running = folder.path().join("plan/running");
    let begun = Instant::now();
    while !std::fs::read_dir(&running).is_ok_and(|mut files| files.next().is_some()) {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing is under way");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let said = child.wait_with_output().unwrap();
    let words = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(130) && words.contains("to resume"), "{words}");
    assert!(std::fs::read_dir(&running).unwrap().count() > 0);
}
