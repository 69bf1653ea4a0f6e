//! The tasks of a plan as an array job of Slurm.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::job::Job;
use super::plan::Plan;
use crate::{Error, Result};

/// A cluster takes arrays of so many elements unless its `MaxArraySize` says otherwise.
const ARRAY_SIZE: usize = 1001;

/// What Slurm is asked for, the `[slurm]` table of a [`Plan`]; changing it does not make another plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slurm {
    /// `--time` of a job, as Slurm writes it: `"1:30:00"`, or minutes. `metamers sweep plan.toml --dry-run` tells what a job takes.
    pub time: String,
    /// `--mem` of a job: `"4G"`.
    pub memory: String,
    /// `--cpus-per-task`: so many tasks are done side by side in a job.
    pub cpus: usize,
    /// How many tasks a job does.
    pub tasks_per_job: usize,
    /// How often a job that failed is put back into the queue. A job that Slurm itself ended, at its limit of time or memory or by
    /// `scancel`, is not: it is done by the next `metamers sweep plan.toml --slurm`, from where it was.
    pub retries: usize,
    /// More lines of `#SBATCH`: `["--partition=cpu", "--account=lab"]`.
    pub options: Vec<String>,
}

impl Default for Slurm {
    fn default() -> Self {
        Self { time: "1:00:00".into(), memory: "4G".into(), cpus: 1, tasks_per_job: 1, retries: 2, options: vec![] }
    }
}

impl Slurm {
    pub(super) fn check(&self) -> Result<()> {
        let at_least_one = |what: &str, value: usize| match value {
            0 => Err(Error::invalid(format!("slurm.{what}"), "must be at least 1")),
            _ => Ok(()),
        };
        at_least_one("cpus", self.cpus)?;
        at_least_one("tasks_per_job", self.tasks_per_job)?;
        for (what, value) in [("time", &self.time), ("memory", &self.memory)] {
            let word = |c: char| c.is_ascii_alphanumeric() || ":-.".contains(c);
            if value.is_empty() || !value.chars().all(word) {
                return Err(Error::invalid(
                    format!("slurm.{what}"),
                    format!("\"{value}\" is nothing that Slurm takes"),
                ));
            }
        }
        match self.options.iter().find(|option| !option.starts_with('-') || option.chars().any(char::is_control)) {
            Some(option) => Err(Error::invalid("slurm.options", format!("\"{option}\" is none: they begin with --"))),
            None => Ok(()),
        }
    }
}

/// What was written for Slurm, and the jobs if they were submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The scripts, one for each array: more than one where the cluster takes no array so large.
    pub scripts: Vec<PathBuf>,
    /// The numbers that Slurm gave them; empty when they were only written.
    pub jobs: Vec<String>,
    /// How many tasks they do.
    pub tasks: usize,
    /// How many elements the arrays have.
    pub elements: usize,
}

impl std::fmt::Display for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} tasks in {} jobs of an array:", self.tasks, self.elements)?;
        for (index, script) in self.scripts.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            match self.jobs.get(index) {
                Some(job) => write!(f, "{separator}  {} submitted as job {job}", script.display())?,
                None => write!(f, "{separator}  {} written; sbatch submits it", script.display())?,
            }
        }
        Ok(())
    }
}

pub(super) fn submit(plan: &Plan, job: &Job, program: &Path, submit: bool) -> Result<Option<Submission>> {
    let slurm = plan.slurm.clone().unwrap_or_default();
    let folder = absolute(&plan.folder())?.join("slurm");
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    if submit {
        none_in_queue(&folder)?;
    }
    let missing = job.results()?.missing();
    if missing.is_empty() {
        return Ok(None);
    }
    let elements: Vec<String> = missing.chunks(slurm.tasks_per_job).map(ranges).collect();
    let mut submission = Submission { scripts: vec![], jobs: vec![], tasks: missing.len(), elements: elements.len() };
    for (number, array) in (next_number(&folder)?..).zip(elements.chunks(array_size())) {
        let (tasks, script) = (folder.join(format!("{number}.tasks")), folder.join(format!("{number}.sh")));
        crate::fs::atomic::write(&tasks, (array.join("\n") + "\n").as_bytes())?;
        let text = text(&slurm, array.len(), &absolute(program)?, &absolute(&plan.file)?, &tasks)?;
        crate::fs::atomic::write(&script, text.as_bytes())?;
        if submit {
            let id = sbatch(&script)?;
            crate::fs::atomic::write(&folder.join(format!("{number}.job")), id.as_bytes())?;
            submission.jobs.push(id);
        }
        submission.scripts.push(script);
    }
    Ok(Some(submission))
}

/// The script of one array.
fn text(slurm: &Slurm, elements: usize, program: &Path, plan: &Path, tasks: &Path) -> Result<String> {
    let Slurm { time, memory, cpus, retries, options, .. } = slurm;
    let options: String = options.iter().map(|option| format!("#SBATCH {option}\n")).collect();
    let (program, plan, list) = (quoted(program)?, quoted(plan)?, quoted(tasks)?);
    let logs = quoted(tasks.parent().unwrap_or(Path::new("")))?;
    Ok(format!(
        r#"#!/bin/sh
#SBATCH --job-name=metamers
#SBATCH --array=0-{last}
#SBATCH --time={time}
#SBATCH --mem={memory}
#SBATCH --cpus-per-task={cpus}
#SBATCH --requeue
#SBATCH --output=/dev/null
{options}# The tasks of each job are a line of the list; whatever else sets SLURM_ARRAY_TASK_ID runs this as well.
exec >>{logs}/"${{SLURM_ARRAY_JOB_ID:-local}}_$SLURM_ARRAY_TASK_ID.log" 2>&1
tasks=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {list})
export RAYON_NUM_THREADS={cpus}
{program} sweep {plan} --task $tasks
status=$?
if [ $status -ne 0 ] && [ -n "$SLURM_ARRAY_JOB_ID" ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {retries} ]; then
    echo "ended with status $status; back into the queue"
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
exit $status
"#,
        last = elements - 1,
    ))
}

/// Numbers of tasks as the command line takes them, neighbours as `first-last`: `"0-2 5"`.
pub fn ranges(tasks: &[usize]) -> String {
    let mut found: Vec<(usize, usize)> = vec![];
    for &task in tasks {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == task => *last = task,
            _ => found.push((task, task)),
        }
    }
    let words = found.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A path as a word of the shell.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| Error::file(path, "is no UTF-8, which a script for Slurm must be"))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(path, e))
}

/// Numbers that no earlier submission has.
fn next_number(folder: &Path) -> Result<usize> {
    let mut last = 0;
    for file in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?.flatten() {
        let stem = file.path().file_stem().and_then(|stem| stem.to_str()?.parse::<usize>().ok());
        last = last.max(stem.unwrap_or(0));
    }
    Ok(last + 1)
}

/// A submission while the last one works would do the same tasks twice.
fn none_in_queue(folder: &Path) -> Result<()> {
    for file in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?.flatten() {
        if file.path().extension().is_none_or(|e| e != "job") {
            continue;
        }
        let id = std::fs::read_to_string(file.path()).map_err(|e| Error::io(file.path(), e))?;
        // Slurm forgets jobs some minutes after their end, and then says that there is none.
        let queue = Command::new("squeue").args(["--noheader", "--jobs", id.trim()]).output();
        if queue.is_ok_and(|queue| queue.status.success() && !queue.stdout.trim_ascii().is_empty()) {
            let reason = format!("is still in the queue: wait for its end, or end it with scancel {}", id.trim());
            return Err(Error::invalid(format!("Slurm job {}", id.trim()), reason));
        }
    }
    Ok(())
}

/// How many elements an array of this cluster may have.
fn array_size() -> usize {
    let said = Command::new("scontrol").args(["show", "config"]).output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    let line = said.lines().find_map(|line| line.strip_prefix("MaxArraySize")?.split_once('='));
    line.and_then(|(_, size)| size.trim().parse().ok()).filter(|&size| size > 0).unwrap_or(ARRAY_SIZE)
}

fn sbatch(script: &Path) -> Result<String> {
    let said = Command::new("sbatch").arg("--parsable").arg(script).output();
    let said = said.map_err(|e| {
        let what = format!(
            "is written, but sbatch could not be started ({e}): is Slurm installed here? Elsewhere, submit it by hand"
        );
        Error::file(script, what)
    })?;
    if !said.status.success() {
        let reason = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        return Err(Error::file(script, format!("is written, but sbatch refused it: {reason}")));
    }
    // The cluster's name follows a semicolon, where there are several.
    let id = String::from_utf8_lossy(&said.stdout);
    Ok(id.trim().split(';').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_a_range() {
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2 5 7-8");
    }

    #[test]
    fn the_script_is_one_that_a_shell_takes() {
        let slurm = Slurm { options: vec!["--partition=cpu".into()], ..Slurm::default() };
        let (program, plan, tasks) = ("/opt/it's here/metamers", "/a b/plan.toml", "/a b/slurm/1.tasks");
        let text = text(&slurm, 8, Path::new(program), Path::new(plan), Path::new(tasks)).unwrap();
        assert!(text.contains("#SBATCH --array=0-7\n") && text.contains("#SBATCH --partition=cpu\n"), "{text}");
        assert!(text.contains(r"'/opt/it'\''s here/metamers' sweep '/a b/plan.toml' --task $tasks"), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script.sh");
        std::fs::write(&script, text).unwrap();
        assert!(Command::new("sh").arg("-n").arg(&script).status().unwrap().success());
    }

    #[test]
    fn what_slurm_would_not_take_is_refused() {
        let message = |slurm: Slurm| slurm.check().unwrap_err().to_string();
        assert!(message(Slurm { cpus: 0, ..Slurm::default() }).contains("slurm.cpus"));
        assert!(message(Slurm { time: "1h\n#".into(), ..Slurm::default() }).contains("slurm.time"));
        assert!(message(Slurm { options: vec!["rm -rf".into()], ..Slurm::default() }).contains("slurm.options"));
        assert!(Slurm::default().check().is_ok());
    }
}
