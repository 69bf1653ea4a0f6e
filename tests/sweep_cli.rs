//! The command-line program: kills, interrupts, exit codes and printed text.

use std::path::{MAIN_SEPARATOR, Path};
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
fn a_repeatedly_killed_sweep_gives_bit_identical_results() {
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
        let started = Instant::now();
        let is_running = loop {
            match child.try_wait().unwrap() {
                Some(_) => break false,
                None if started.elapsed() > Duration::from_millis(400) && saved() => break true,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        if is_running {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(kills > 0, "the sweep finished before a kill");
    let (code, text) = output(&["sweep", &killed, "--collect"]);
    assert!(matches!(code, Some(0 | 3)), "{text}");
    assert_eq!(output(&["sweep", &killed]).0, Some(0));
    for file in ["results/0.metamer", "results/1.metamer", "results/2.metamer", "results/3.metamer", "results.csv"] {
        let read = |name: &str| std::fs::read(folder.path().join(name).join(file)).unwrap();
        assert!(read("whole") == read("killed"), "{file} differs after {kills} kills");
    }
}

// Slurm's scripts need a shell.
#[cfg(unix)]
#[test]
fn exit_codes_distinguish_errors_usage_errors_and_missing_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let plan = write_plan(folder.path(), "plan", 2);
    let (code, text) = output(&["sweep", "no_such_plan.toml"]);
    assert!(code == Some(1) && text.contains("no_such_plan.toml"), "{text}");
    assert_eq!(output(&["sweep", &plan, "--dry-run", "--collect"]).0, Some(2));
    assert_eq!(output(&["sweep", &plan, "--no-submit"]).0, Some(2));

    let (code, text) = output(&["sweep", &plan, "--collect"]);
    assert!(code == Some(3) && text.contains("missing: 0-3"), "{text}");
    let (code, text) = output(&["sweep", &plan, "--task", "1", "3-3", "1-1"]);
    assert!(code == Some(0) && text.contains("/2 metamers") && !text.contains("/3 metamers"), "{text}");
    let (code, text) = output(&["sweep", &plan, "--collect"]);
    assert!(code == Some(3) && text.contains("2 of 4") && text.contains("missing: 0 2"), "{text}");
    for (task, expected) in [("4", "numbered 0 to 3"), ("x", "is neither a number"), ("3-1", "is neither a number")] {
        let (code, text) = output(&["sweep", &plan, "--task", task]);
        assert!(code == Some(1) && text.contains(expected), "{text}");
    }

    let (code, text) = output(&["sweep", &plan, "--slurm", "--no-submit"]);
    assert!(code == Some(0) && text.contains("2 tasks in 2 array jobs") && text.contains("1.sh"), "{text}");
    // The script also runs outside Slurm if SLURM_ARRAY_TASK_ID is set.
    let script = folder.path().join("plan/slurm/1.sh");
    let status = Command::new("sh").arg(&script).env("SLURM_ARRAY_TASK_ID", "1").status().unwrap();
    assert!(status.success(), "{}", std::fs::read_to_string(folder.path().join("plan/slurm/local_1.log")).unwrap());
    let result = metamers(&["sweep", &plan, "--slurm"]).env("PATH", folder.path()).output().unwrap();
    let stderr = String::from_utf8(result.stderr).unwrap();
    assert!(result.status.code() == Some(1) && stderr.contains("sbatch could not be started"), "{stderr}");
    assert_eq!(output(&["sweep", &plan]).0, Some(0));
    let (code, text) = output(&["sweep", &plan, "--slurm"]);
    assert!(code == Some(0) && text.contains("all tasks are finished"), "{text}");
    let (code, text) = output(&["sweep", &plan, "--collect"]);
    assert!(code == Some(0) && text.contains("4 of 4"), "{text}");
    assert!(folder.path().join("plan/panel-efficientnet_lite0.png").exists());
}

#[test]
fn simultaneous_submissions_write_different_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let plan = write_plan(folder.path(), "plan", 2);
    let submit = || metamers(&["sweep", &plan, "--slurm", "--no-submit"]).stdout(Stdio::piped()).spawn().unwrap();
    let children = [submit(), submit(), submit()];
    let outputs = children.map(|child| String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap());
    for number in 1..=3 {
        let script = folder.path().join(format!("plan/slurm/{number}.sh"));
        let text = std::fs::read_to_string(&script).unwrap();
        assert!(text.contains(&format!("{number}.tasks")), "{text}");
        let named =
            outputs.iter().filter(|output| output.contains(&format!("{MAIN_SEPARATOR}{number}.sh written"))).count();
        assert_eq!(named, 1, "one submission has the number {number}: {outputs:?}");
    }
}

#[test]
fn list_prints_networks_and_stages() {
    let (code, text) = output(&["list"]);
    assert!(code == Some(0) && text.contains("cochcnn_words\n") && text.contains("resnet50:FILE\n"), "{text}");
    let (code, text) = output(&["list", "efficientnet_lite0"]);
    assert!(code == Some(0) && text.contains("block15"), "{text}");
    let (code, text) = output(&["list", "efficientnet"]);
    assert!(code == Some(1) && text.contains("efficientnet_lite0"), "{text}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_running_tasks_and_prints_how_to_resume() {
    let folder = tempfile::tempdir().unwrap();
    let plan = write_plan(folder.path(), "plan", 100_000);
    let child = metamers(&["sweep", &plan]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running = folder.path().join("plan/running");
    let started = Instant::now();
    while !std::fs::read_dir(&running).is_ok_and(|mut files| files.next().is_some()) {
        assert!(started.elapsed() < Duration::from_secs(120), "no task is running");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let result = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(result.stderr).unwrap();
    assert!(result.status.code() == Some(130) && stderr.contains("to resume"), "{stderr}");
    assert!(std::fs::read_dir(&running).unwrap().count() > 0);
}
