//! Slurm array jobs for the tasks of a plan.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::{Deserialize, Serialize};

use super::job::Job;
use super::manifest::Manifest;
use super::plan::Plan;
use super::submission_folder::SubmissionFolder;
use crate::{Error, Result};

/// Slurm's default `MaxArraySize`.
const DEFAULT_ARRAY_SIZE: usize = 1001;

/// Slurm settings, the `[slurm]` table of a [`Plan`]. Changes to them do not affect the identity of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slurm {
    /// `--time` of a job in Slurm's format: `"1:30:00"`, or minutes. `metamers sweep plan.toml --dry-run` estimates a job's time.
    pub time: String,
    /// `--mem` of a job, such as `"4G"`.
    pub memory: String,
    /// `--cpus-per-task`, the number of tasks that run in parallel in a job.
    pub cpus: usize,
    /// The number of tasks in a job, at least; different metamers of a stimulus and stage are in one job, and run one after the other.
    pub tasks_per_job: usize,
    /// The maximum number of times that a failed job is requeued. Jobs that Slurm ends, at a limit of time or memory or by
    /// `scancel`, are not requeued; the next `metamers sweep plan.toml --slurm` resumes them.
    pub retries: usize,
    /// Further `#SBATCH` options, such as `["--partition=cpu", "--account=lab"]`.
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
            let allowed = |c: char| c.is_ascii_alphanumeric() || ":-.".contains(c);
            if value.is_empty() || !value.chars().all(allowed) {
                return Err(Error::invalid(format!("slurm.{what}"), format!("\"{value}\" is not a valid Slurm value")));
            }
        }
        match self.options.iter().find(|option| !option.starts_with('-') || option.chars().any(char::is_control)) {
            Some(option) => Err(Error::invalid(
                "slurm.options",
                format!("\"{option}\" is not a valid option; options start with --"),
            )),
            None => Ok(()),
        }
    }
}

/// The action after the Slurm scripts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submit {
    /// Submits the scripts with `sbatch`.
    Now,
    /// Only writes the scripts.
    ScriptOnly,
}

/// The scripts written for Slurm, and the job ids if they were submitted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Submission {
    /// The scripts, one for each array; more than one if the tasks exceed the cluster's maximum array size.
    pub scripts: Vec<PathBuf>,
    /// The job ids; empty if the scripts were not submitted.
    pub jobs: Vec<String>,
    /// The number of tasks.
    pub tasks: usize,
    /// The total number of array elements.
    pub elements: usize,
}

impl std::fmt::Display for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} tasks in {} array jobs:", self.tasks, self.elements)?;
        for (index, script) in self.scripts.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            match self.jobs.get(index) {
                Some(job) => write!(f, "{separator}  {} submitted as job {job}", script.display())?,
                None => write!(f, "{separator}  {} written; submit it with sbatch", script.display())?,
            }
        }
        Ok(())
    }
}

/// Writes the scripts for the missing tasks and submits them if requested; `None` if no task is missing.
pub(super) fn submit(plan: &Plan, job: &Job, program: &Path, submit: Submit) -> Result<Option<Submission>> {
    let slurm = plan.slurm.clone().unwrap_or_default();
    // Locked to the end, so that a second submission finds the jobs of this one in the queue.
    let locked = SubmissionFolder::lock(&absolute(&plan.folder())?.join("slurm"))?;
    let folder = locked.path();
    if submit == Submit::Now {
        check_queue_is_empty(folder)?;
    }
    let missing = job.results()?.missing();
    if missing.is_empty() {
        return Ok(None);
    }
    let elements = elements(&job.manifest, &missing, slurm.tasks_per_job)?;
    let mut submission = Submission { scripts: vec![], jobs: vec![], tasks: missing.len(), elements: elements.len() };
    for array in elements.chunks(max_array_size()) {
        let number = locked.reserve_number()?;
        let (tasks, script) = (folder.join(format!("{number}.tasks")), folder.join(format!("{number}.sh")));
        crate::fs::atomic::write(&tasks, (array.join("\n") + "\n").as_bytes())?;
        let text = script_text(&slurm, array.len(), &absolute(program)?, &absolute(&plan.file)?, &tasks)?;
        crate::fs::atomic::write(&script, text.as_bytes())?;
        if submit == Submit::Now {
            let id = sbatch(&script)?;
            crate::fs::atomic::write(&folder.join(format!("{number}.job")), id.as_bytes())?;
            submission.jobs.push(id);
        }
        submission.scripts.push(script);
    }
    Ok(Some(submission))
}

/// The tasks of each array element, at least so many while there are enough: tasks that depend on each other are in one element.
fn elements(manifest: &Manifest, tasks: &[usize], tasks_per_job: usize) -> Result<Vec<String>> {
    let tasks = tasks.iter().map(|&index| manifest.task(index)).collect::<Result<Vec<_>>>()?;
    let (mut elements, mut element) = (vec![], vec![]);
    for chain in manifest.chains(&tasks) {
        element.extend(chain.iter().map(|task| task.index));
        if element.len() >= tasks_per_job {
            elements.push(std::mem::take(&mut element));
        }
    }
    elements.push(element);
    Ok(elements.iter().filter(|element| !element.is_empty()).map(|element| task_ranges(element)).collect())
}

/// The script of one array job.
fn script_text(slurm: &Slurm, elements: usize, program: &Path, plan: &Path, tasks: &Path) -> Result<String> {
    let Slurm { time, memory, cpus, retries, options, .. } = slurm;
    let options: String = options.iter().map(|option| format!("#SBATCH {option}\n")).collect();
    let (program, plan, list) = (shell_quote(program)?, shell_quote(plan)?, shell_quote(tasks)?);
    let logs = shell_quote(tasks.parent().unwrap_or(Path::new("")))?;
    Ok(format!(
        r#"#!/bin/sh
#SBATCH --job-name=metamers
#SBATCH --array=0-{last}
#SBATCH --time={time}
#SBATCH --mem={memory}
#SBATCH --cpus-per-task={cpus}
#SBATCH --requeue
#SBATCH --output=/dev/null
{options}# Each line of the list holds the tasks of one array element. Outside Slurm, set SLURM_ARRAY_TASK_ID.
exec >>{logs}/"${{SLURM_ARRAY_JOB_ID:-local}}_$SLURM_ARRAY_TASK_ID.log" 2>&1
tasks=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {list})
export RAYON_NUM_THREADS={cpus}
{program} sweep {plan} --task $tasks
status=$?
if [ $status -ne 0 ] && [ -n "$SLURM_ARRAY_JOB_ID" ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {retries} ]; then
    echo "failed with status $status; requeued"
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
exit $status
"#,
        last = elements - 1,
    ))
}

/// Formats task numbers for the command line, with `first-last` for consecutive ones: `"0-2 5"`.
#[must_use]
pub fn task_ranges(tasks: &[usize]) -> String {
    let mut found: Vec<(usize, usize)> = vec![];
    for &task in tasks {
        match found.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(task) => *last = task,
            _ => found.push((task, task)),
        }
    }
    let words = found.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Quotes a path for the shell.
fn shell_quote(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| Error::file(path, "is not valid UTF-8, which a Slurm script requires"))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(path, e))
}

/// Checks that no earlier submission is queued or running, because a second one would repeat its tasks.
fn check_queue_is_empty(folder: &Path) -> Result<()> {
    for file in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?.flatten() {
        if file.path().extension().is_none_or(|e| e != "job") {
            continue;
        }
        let id = std::fs::read_to_string(file.path()).map_err(|e| Error::io(file.path(), e))?;
        // Without squeue there is no sbatch either, whose error names what is missing.
        let Ok(queue) = Command::new("squeue").args(["--noheader", "--jobs", id.trim()]).output() else { continue };
        if is_queued(&queue)? {
            let reason = format!("is still in the queue; wait for its end or cancel it with scancel {}", id.trim());
            return Err(Error::invalid(format!("Slurm job {}", id.trim()), reason));
        }
    }
    Ok(())
}

/// Returns whether squeue's answer says that the job which it was asked for is queued or running.
fn is_queued(answer: &Output) -> Result<bool> {
    if answer.status.success() {
        return Ok(!answer.stdout.trim_ascii().is_empty());
    }
    let message = String::from_utf8_lossy(&answer.stderr);
    // Slurm forgets jobs some minutes after their end. Another error, such as a controller that does not answer, is no empty queue.
    match message.contains("Invalid job id") {
        true => Ok(false),
        false => Err(Error::invalid("squeue", format!("failed ({}); try again when it works", message.trim()))),
    }
}

/// The maximum array size of this cluster.
fn max_array_size() -> usize {
    let output = Command::new("scontrol").args(["show", "config"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MaxArraySize")?.split_once('='));
    line.and_then(|(_, size)| size.trim().parse().ok()).filter(|&size| size > 0).unwrap_or(DEFAULT_ARRAY_SIZE)
}

/// Submits a script and returns its job id.
fn sbatch(script: &Path) -> Result<String> {
    let output = Command::new("sbatch").arg("--parsable").arg(script).output();
    let output = output.map_err(|e| {
        let reason = format!(
            "is written, but sbatch could not be started ({e}); if Slurm is not installed here, submit the script on the cluster"
        );
        Error::file(script, reason)
    })?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::file(script, format!("is written, but sbatch rejected it: {reason}")));
    }
    // With several clusters, a semicolon and the cluster's name follow the id.
    let id = String::from_utf8_lossy(&output.stdout);
    Ok(id.trim().split(';').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_tasks_are_a_range() {
        assert_eq!(task_ranges(&[3]), "3");
        assert_eq!(task_ranges(&[0, 1, 2, 5, 7, 8]), "0-2 5 7-8");
        assert_eq!(task_ranges(&[usize::MAX, 0]), format!("{} 0", usize::MAX));
    }

    // The script runs where Slurm does.
    #[cfg(unix)]
    #[test]
    fn the_script_is_valid_shell() {
        let slurm = Slurm { options: vec!["--partition=cpu".into()], ..Slurm::default() };
        let (program, plan, tasks) = ("/opt/it's here/metamers", "/a b/plan.toml", "/a b/slurm/1.tasks");
        let text = script_text(&slurm, 8, Path::new(program), Path::new(plan), Path::new(tasks)).unwrap();
        assert!(text.contains("#SBATCH --array=0-7\n") && text.contains("#SBATCH --partition=cpu\n"), "{text}");
        assert!(text.contains(r"'/opt/it'\''s here/metamers' sweep '/a b/plan.toml' --task $tasks"), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script.sh");
        std::fs::write(&script, text).unwrap();
        assert!(Command::new("sh").arg("-n").arg(&script).status().unwrap().success());
    }

    #[test]
    fn invalid_settings_are_errors() {
        let message = |slurm: Slurm| slurm.check().unwrap_err().to_string();
        assert!(message(Slurm { cpus: 0, ..Slurm::default() }).contains("slurm.cpus"));
        assert!(message(Slurm { time: "1h\n#".into(), ..Slurm::default() }).contains("slurm.time"));
        assert!(message(Slurm { options: vec!["rm -rf".into()], ..Slurm::default() }).contains("slurm.options"));
        assert!(Slurm::default().check().is_ok());
    }
}
