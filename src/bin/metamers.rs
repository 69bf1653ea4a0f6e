//! The command-line program: sweeps on this machine or with Slurm, pages that make metamers, reproductions.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use metamers::display::Show;
use metamers::explorer::Explorer;
use metamers::sweep::{Plan, Submit, SweepResults, task_ranges};
use metamers::synthesis::Metamer;
use metamers::{Result, zoo};

/// Exit code if a metamer is not reproduced bit for bit.
const EXIT_DIFFERENT: u8 = 3;
/// Exit code if tasks are missing. The others are 0 for success, 1 for an error, and 2 for invalid arguments (from clap).
const EXIT_MISSING: u8 = 3;
/// Exit code after an interrupt, as shells use it for SIGINT.
const EXIT_INTERRUPTED: u8 = 130;
/// Maximum number of tasks in a range, so that a typing error does not exhaust the memory.
const MAX_RANGE: usize = 10_000_000;

#[derive(Parser)]
#[command(name = "metamers", version, about = "Model metamers: sweeps over stimuli, stages, seeds and networks.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the missing tasks of a plan
    ///
    /// Exit codes: 0 success, 1 error, 2 invalid arguments, 3 tasks missing after --collect, 130 interrupted.
    Sweep(SweepArgs),
    /// List the networks that a plan can use, or the stages of one network
    List {
        /// Name of a network, as in a plan
        network: Option<String>,
    },
    /// Repeat the synthesis of a saved metamer of a shipped network, and compare
    ///
    /// Exit codes: 0 bit-identical, 1 error, 3 different, 130 interrupted.
    Reproduce {
        /// A .metamer file
        file: PathBuf,
    },
    /// Write a page that makes metamers in a browser
    Page(PageArgs),
}

#[derive(Args)]
struct PageArgs {
    /// Name of a shipped network, such as efficientnet_lite0 or cochcnn_words
    network: String,
    /// The HTML file to write
    file: PathBuf,
    /// The page's originals: photos or sounds [default: eight shipped ones]
    #[arg(long, num_args = 1.., value_name = "FILE")]
    originals: Vec<PathBuf>,
    /// The stage with which the page opens
    #[arg(long)]
    stage: Option<String>,
    /// The title
    #[arg(long)]
    title: Option<String>,
    /// Add a module for several cores, which needs two headers from a server: see docs/teaching.md
    #[arg(long)]
    for_server: bool,
}

#[derive(Args)]
struct SweepArgs {
    /// The plan, a TOML file
    plan: PathBuf,
    /// Estimate the cost from a few gradient evaluations at each stage, without running the sweep
    #[arg(long, group = "mode")]
    dry_run: bool,
    /// Run only these tasks: numbers from 0, or ranges first-last
    #[arg(long, group = "mode", num_args = 1.., value_name = "TASK")]
    task: Vec<String>,
    /// Collect the finished tasks in results.csv and the panels, and list the missing ones
    #[arg(long, group = "mode")]
    collect: bool,
    /// Write an array job for the missing tasks and submit it with sbatch
    #[arg(long, group = "mode")]
    slurm: bool,
    /// With --slurm: write the job without submitting it
    #[arg(long, requires = "slurm")]
    no_submit: bool,
}

/// Writes a line. Errors are ignored, and `println!` would panic, if the reader has closed the pipe.
fn write_line(mut to: impl Write, line: impl Display) {
    let _ = writeln!(to, "{line}");
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Sweep(args) => sweep(&args),
        Command::List { network } => list(network.as_deref()),
        Command::Page(args) => page(args),
        Command::Reproduce { file } => reproduce(&file),
    };
    result.unwrap_or_else(|e| {
        write_line(stderr(), format_args!("error: {e}"));
        ExitCode::FAILURE
    })
}

fn sweep(args: &SweepArgs) -> Result<ExitCode> {
    let plan = Plan::open(&args.plan)?;
    if args.dry_run {
        plan.dry_run()?.show();
    } else if args.slurm {
        let submit = if args.no_submit { Submit::ScriptOnly } else { Submit::Now };
        match plan.slurm(std::env::current_exe().unwrap_or_else(|_| "metamers".into()), submit)? {
            Some(submission) => write_line(stdout(), submission),
            None => {
                let plan = args.plan.display();
                let line = format!("all tasks are finished; collect the results with: metamers sweep {plan} --collect");
                write_line(stdout(), line);
            }
        }
    } else if args.collect {
        let results = plan.collect()?;
        save_results(&plan, &results)?;
        results.notes().iter().for_each(|note| write_line(stdout(), note));
        let missing = results.missing();
        let (finished, tasks, file) = (results.rows().len(), results.tasks(), plan.folder().join("results.csv"));
        write_line(stdout(), format!("{finished} of {tasks} tasks are finished: {}", file.display()));
        if !missing.is_empty() {
            write_line(stdout(), format!("missing: {}", task_ranges(&missing)));
            return Ok(ExitCode::from(EXIT_MISSING));
        }
    } else {
        let results = match args.task.is_empty() {
            true => plan.run()?,
            false => plan.run_tasks(&parse_tasks(&args.task)?)?,
        };
        if args.task.is_empty() {
            save_results(&plan, &results)?;
        }
        if results.interrupted() {
            write_line(stderr(), "interrupted; run the same command to resume");
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Saves `results.csv`, and for each network the panel of the first seed.
fn save_results(plan: &Plan, results: &SweepResults) -> Result<()> {
    let folder = plan.folder();
    results.save_csv(folder.join("results.csv"))?;
    for (index, name) in panel_names(&plan.networks).iter().enumerate() {
        results.panel(index, plan.seeds[0])?.export(folder.join(name))?;
    }
    Ok(())
}

/// The file names of the panels of these networks. Characters other than ASCII letters and digits become `_`, and a name that an
/// earlier network has gets a number.
fn panel_names(networks: &[String]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for network in networks {
        let stem: String = network.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let numbered = (2..).map(|number| format!("panel-{stem}-{number}.png"));
        // Some file systems do not distinguish upper from lower case.
        let is_free = |name: &String| !names.iter().any(|taken| taken.eq_ignore_ascii_case(name));
        let name = std::iter::once(format!("panel-{stem}.png")).chain(numbered).find(is_free);
        names.extend(name);
    }
    names
}

/// Parses task numbers and ranges, such as `3` and `5-7`.
fn parse_tasks(words: &[String]) -> Result<Vec<usize>> {
    let mut tasks = vec![];
    for word in words {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last - first < MAX_RANGE => tasks.extend(first..=last),
            _ => {
                return Err(metamers::Error::invalid(
                    format!("task \"{word}\""),
                    "is neither a number nor a range first-last of at most 10,000,000 tasks",
                ));
            }
        }
    }
    Ok(tasks)
}

fn reproduce(file: &Path) -> Result<ExitCode> {
    let reproduction = Metamer::reproduce(file)?;
    reproduction.show();
    Ok(match (reproduction.is_complete(), reproduction.is_identical()) {
        (false, _) => ExitCode::from(EXIT_INTERRUPTED),
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(EXIT_DIFFERENT),
    })
}

fn page(args: PageArgs) -> Result<ExitCode> {
    let network = zoo::by_name(&args.network)?;
    let mut page = Explorer::page(&network)?;
    if !args.originals.is_empty() {
        page = page.originals(&args.originals)?;
    }
    if let Some(stage) = args.stage {
        page = page.stage(&stage)?;
    }
    if let Some(title) = args.title {
        page = page.title(title);
    }
    if args.for_server {
        page = page.for_server();
    }
    page.export(&args.file)?;
    write_line(stdout(), format_args!("wrote {}", args.file.display()));
    Ok(ExitCode::SUCCESS)
}

fn list(network: Option<&str>) -> Result<ExitCode> {
    match network {
        Some(name) => zoo::by_name(name)?.show(),
        None => zoo::names().iter().for_each(|name| write_line(stdout(), name)),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_of_networks_have_different_names() {
        let networks = ["alexnet:ä.pth", "alexnet:ö.pth", "Alexnet:a.pth", "alexnet:A.pth", "alexnet:_.pth"];
        let names = panel_names(&networks.map(String::from));
        let expected = ["alexnet___pth", "alexnet___pth-2", "Alexnet_a_pth", "alexnet_A_pth-2", "alexnet___pth-3"];
        assert_eq!(names, expected.map(|name| format!("panel-{name}.png")));
    }
}
