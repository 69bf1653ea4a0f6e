//! The command-line program: sweeps of a plan, here or by Slurm.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use metamers::display::Show;
use metamers::sweep::{Plan, SweepResults, ranges};
use metamers::{Result, zoo};

/// Exit codes beside 0 for all done and 1 for an error; clap takes 2 for a wrong command line.
const MISSING: u8 = 3;
const INTERRUPTED: u8 = 130;
/// A range of more tasks than this is a slip.
const MOST: usize = 10_000_000;

#[derive(Parser)]
#[command(name = "metamers", version, about = "Model metamers: sweeps over stimuli, stages, seeds and networks.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Does the tasks of a plan that are missing
    ///
    /// Exit codes: 0 all done, 1 an error, 2 a wrong command line, 3 tasks are missing after --collect, 130 interrupted.
    Sweep(SweepArgs),
    /// Lists the networks that a plan can name, or the stages of one
    List {
        /// A network, as in a plan
        network: Option<String>,
    },
}

#[derive(Args)]
struct SweepArgs {
    /// The plan: a TOML file
    plan: PathBuf,
    /// Only tells what it will take: measures a few gradient evaluations at each stage
    #[arg(long, group = "what")]
    dry_run: bool,
    /// Does these tasks alone: numbers from 0, or first-last
    #[arg(long, group = "what", num_args = 1.., value_name = "TASK")]
    task: Vec<String>,
    /// Merges what is there into results.csv and the panels, and lists what is missing
    #[arg(long, group = "what")]
    collect: bool,
    /// Writes an array job for what is missing, and submits it with sbatch
    #[arg(long, group = "what")]
    slurm: bool,
    /// With --slurm: only writes the job
    #[arg(long, requires = "slurm")]
    no_submit: bool,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Sweep(args) => sweep(&args),
        Command::List { network } => list(network.as_deref()),
    };
    done.unwrap_or_else(|e| {
        eprintln!("error: {e}");
        ExitCode::FAILURE
    })
}

fn sweep(args: &SweepArgs) -> Result<ExitCode> {
    let plan = Plan::open(&args.plan)?;
    if args.dry_run {
        plan.dry_run()?.show();
    } else if args.slurm {
        match plan.slurm(&std::env::current_exe().unwrap_or_else(|_| "metamers".into()), !args.no_submit)? {
            Some(submission) => println!("{submission}"),
            None => println!("nothing is missing: metamers sweep {} --collect", args.plan.display()),
        }
    } else if args.collect {
        let results = plan.collect()?;
        keep(&plan, &results)?;
        results.notes().iter().for_each(|note| println!("{note}"));
        let missing = results.missing();
        println!(
            "{} of {} tasks are done: {}",
            results.rows().len(),
            results.tasks(),
            plan.folder().join("results.csv").display()
        );
        if !missing.is_empty() {
            println!("missing: {}", ranges(&missing));
            return Ok(ExitCode::from(MISSING));
        }
    } else {
        let results = match args.task.is_empty() {
            true => plan.run()?,
            false => plan.run_tasks(&tasks(&args.task)?)?,
        };
        if args.task.is_empty() {
            keep(&plan, &results)?;
        }
        if results.interrupted() {
            eprintln!("interrupted: the same command goes on from here");
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the table and the panels of the first seed.
fn keep(plan: &Plan, results: &SweepResults) -> Result<()> {
    let folder = plan.folder();
    results.save_csv(folder.join("results.csv"))?;
    for (index, network) in plan.networks.iter().enumerate() {
        let name: String = network.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        results.panel(index, plan.seeds[0])?.export(folder.join(format!("panel-{name}.png")))?;
    }
    Ok(())
}

/// `3`, `5-7`: the tasks that are meant.
fn tasks(words: &[String]) -> Result<Vec<usize>> {
    let mut tasks = vec![];
    for word in words {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last - first < MOST => tasks.extend(first..=last),
            _ => return Err(metamers::Error::invalid(format!("task \"{word}\""), "is no number and no first-last")),
        }
    }
    Ok(tasks)
}

fn list(network: Option<&str>) -> Result<ExitCode> {
    match network {
        Some(name) => zoo::by_name(name)?.show(),
        None => zoo::names().iter().for_each(|name| println!("{name}")),
    }
    Ok(ExitCode::SUCCESS)
}
